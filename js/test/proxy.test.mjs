// Does a page keep its sockets whatever happens to its connection?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as Code from '../src/codes.js';
import * as frames from '../src/frames.js';
import { SockProxy } from '../src/proxy.js';
import { FakeServer, FakeTime, fakeWebSocket, turn } from './fakes.mjs';

function make(options = {}) {
  const server = options.server ?? new FakeServer();
  const time = new FakeTime();
  const page = new EventTarget();
  let next = 0;
  const proxy = new SockProxy('https://gw.example/sockproxy.js', {
    WebSocket: fakeWebSocket(server),
    links: ['websocket'],
    sendBeacon: (url, bytes) => server.beacons.push([url, bytes]),
    setTimeout: time.setTimeout,
    clearTimeout: time.clearTimeout,
    nextTurn: (act) => setImmediate(act),
    now: time.now,
    random: () => 0.5,
    randomBytes: (count) => new Uint8Array(count).fill((next += 1)),
    isVisible: () => true,
    page,
    ...options,
  });
  const states = [];
  proxy.addEventListener('state', ({ detail }) => states.push(detail.state));
  return { server, time, page, proxy, states };
}

async function connected(options) {
  const made = make(options);
  const socket = made.proxy.open('echo');
  const { readable, writable } = await socket.opened;
  const reader = readable.getReader();
  const writer = writable.getWriter();
  made.server.ack();
  await turn();
  return { ...made, socket, reader, writer };
}

const text = (value) => new TextEncoder().encode(value);

async function readText(reader, length) {
  let got = '';
  while (got.length < length) {
    const { value, done } = await reader.read();
    if (done) break;
    got += new TextDecoder().decode(value);
  }
  return got;
}

test('nothing is connected before the first socket', async () => {
  const { server, proxy, time } = make();
  await turn();
  assert.equal(server.sockets.length, 0);
  assert.equal(proxy.state, 'idle');
  assert.equal(time.pending, 0);
});

test('the server is found from the address of the script', async () => {
  const { server } = await connected();
  assert.equal(server.socket.url, 'wss://gw.example/sp/_/ws');
  assert.equal(server.socket.protocol, 'sockproxy.v1');
});

test('a socket opens in one round trip, and its bytes come back', async () => {
  const { server, reader, writer, states } = await connected();
  writer.write(text('hello'));
  assert.equal(await readText(reader, 5), 'hello');
  assert.deepEqual(server.opens, [{ id: 2, host: 'echo', port: 0 }]);
  assert.deepEqual(server.hellos.map(({ create }) => create), [true]);
  assert.deepEqual(states, ['connecting', 'up']);
});

test('sockets of one page share one session', async () => {
  const { server, proxy } = await connected();
  await Promise.all([proxy.open('irc').opened, proxy.open('redis').opened]);
  assert.equal(server.hellos.length, 1);
  assert.deepEqual(server.opens.map(({ id }) => id), [2, 4, 6]);
});

test('half-close goes both ways and closed resolves', async () => {
  const { reader, writer, socket } = await connected();
  writer.write(text('bye'));
  writer.close();
  assert.equal(await readText(reader, 10), 'bye');
  await socket.closed;
});

test('bytes written while the link is down arrive once, in order', async () => {
  const { server, proxy, reader, writer, states, time } = await connected();
  writer.write(text('one '));
  assert.equal(await readText(reader, 4), 'one ');

  server.socket.fail();
  assert.equal(proxy.state, 'reconnecting');
  writer.write(text('two '));
  await turn();
  time.advance(0);
  await turn();

  assert.equal(await readText(reader, 4), 'two ');
  assert.deepEqual(server.hellos.map(({ link }) => link), [1, 2]);
  assert.deepEqual(states, ['connecting', 'up', 'reconnecting', 'up']);
  assert.equal(proxy.stats.resumes, 1);
});

test('the secret of a WELCOME attaches the next link', async () => {
  const { server, time } = await connected();
  server.socket.fail();
  time.advance(0);
  await turn();
  assert.deepEqual(server.hellos[1].secret, new Uint8Array(32).fill(1));
  assert.deepEqual(server.hellos[1].sid, server.hellos[0].sid);
  assert.equal(server.hellos[1].create, false);
});

test('while the server is away tries go on, at most 1.5 s apart', async () => {
  const { server, time, writer, reader } = await connected();
  server.away = true;
  server.socket.fail();
  const before = server.sockets.length;
  for (let second = 0; second < 20; second += 1) {
    time.advance(1000);
    await turn();
  }
  assert.ok(server.sockets.length - before >= 13, `${server.sockets.length - before} tries`);

  server.away = false;
  writer.write(text('still here'));
  time.advance(1500);
  await turn();
  assert.equal(await readText(reader, 10), 'still here');
});

test('a try that hangs is not waited for', async () => {
  const { server, time, proxy } = await connected();
  server.hangs = true;
  server.socket.fail();
  time.advance(0);
  await turn();
  const before = server.sockets.length;
  time.advance(1500);
  await turn();
  assert.equal(server.sockets.length, before + 1);

  server.socket.open();
  await turn();

  assert.equal(proxy.state, 'up');
  assert.equal(server.sockets[before - 1].readyState, 3, 'the hung try was given up');
});

test('a try that never opens is given up after 10 s', async () => {
  const server = new FakeServer();
  server.hangs = true;
  const { proxy, time } = make({ server });
  proxy.open('echo').opened.catch(() => {});
  await turn();
  time.advance(10_000);
  assert.equal(server.sockets[0].readyState, 3);
  assert.ok(server.sockets.filter(({ readyState }) => readyState === 0).length <= 7);
});

test('an unanswered write starts a new link after 3 s, and the old one may still win', async () => {
  const { server, time, proxy, writer } = await connected();
  server.mute = true;
  const old = server.socket;
  writer.write(text('x'));
  await turn();
  time.advance(2900);
  await turn();
  assert.equal(server.sockets.length, 1);

  server.hangs = true;
  time.advance(200);
  await turn();
  assert.equal(server.sockets.length, 2);
  assert.equal(proxy.state, 'reconnecting');

  server.mute = false;
  old.deliver(frames.encode(frames.ACK, server.rx));
  assert.equal(proxy.state, 'up');
  assert.equal(server.sockets[1].readyState, 3, 'the new try was dropped');
});

test('a silent link is replaced without losing a byte', async () => {
  const { server, time, writer, reader } = await connected();
  server.mute = true;
  writer.write(text('abc'));
  await turn();
  server.mute = false;
  const old = server.socket;
  time.advance(3100);
  await turn();
  assert.equal(await readText(reader, 3), 'abc');
  assert.equal(old.readyState, 3);
});

test('long idleness is no silence: a write after it gets its full 3 s', async () => {
  const { server, time, writer } = await connected();
  time.advance(20_000);
  await turn();
  server.mute = true;
  writer.write(text('x'));
  await turn();
  time.advance(2000);
  await turn();
  assert.equal(server.sockets.length, 1);
});

test('a server that does not ping is asked before it is declared dead', async () => {
  const { server, time, proxy } = await connected();
  time.advance(39_000);
  await turn();
  assert.equal(server.sockets.length, 1);
  time.advance(2000);
  await turn();
  time.advance(3000);
  await turn();
  assert.equal(proxy.state, 'up', 'the answer to the probe counts');
  assert.equal(server.sockets.length, 1);
});

test('a backend that does not read is no dead link', async () => {
  const { server, time, proxy, writer, states } = await connected();
  server.stuck = true;
  writer.write(new Uint8Array(3 * 2 ** 20));
  for (let second = 0; second < 30; second += 1) {
    server.ack();
    await turn();
    time.advance(second < 5 ? 10 : 1000);
    await turn();
  }
  assert.ok(proxy.stats.streams[0].queuedBytes > 0, 'the write waits for credit');
  assert.equal(server.sockets.length, 1);
  assert.deepEqual(states, ['connecting', 'up']);
});

test('a page that slept asks before it declares death', async () => {
  const { server, time, proxy } = await connected();
  time.freeze(3_600_000);
  time.advance(0);
  await turn();
  time.advance(100);
  await turn();
  assert.equal(proxy.state, 'up');
  assert.equal(server.sockets.length, 1);
});

test('a page that slept through its linger tries before it gives up', async () => {
  const { server, time, proxy } = await connected();
  server.away = true;
  server.socket.fail();
  time.advance(10);
  await turn();
  time.freeze(3_600_000);
  server.away = false;
  time.advance(0);
  await turn();
  assert.equal(proxy.state, 'up');
});

test('offline stops trying, online tries at once', async () => {
  const { server, time, page, proxy } = await connected();
  server.away = true;
  server.socket.fail();
  page.dispatchEvent(new Event('offline'));
  const before = server.sockets.length;
  time.advance(60_000);
  await turn();
  assert.equal(server.sockets.length, before);

  server.away = false;
  page.dispatchEvent(new Event('online'));
  await turn();
  assert.equal(proxy.state, 'up');
});

test('online lets a new link race the old one, whose network may be gone', async () => {
  const { server, page, proxy } = await connected();
  server.mute = true;
  page.dispatchEvent(new Event('online'));
  server.mute = false;
  await turn();
  assert.equal(server.hellos.length, 2);
  assert.equal(proxy.state, 'up');
});

for (const type of ['pageshow', 'resume', 'visibilitychange']) {
  test(`${type} tries at once`, async () => {
    const { server, time, page } = await connected();
    server.away = true;
    server.socket.fail();
    time.advance(5000);
    await turn();
    const before = server.sockets.length;
    page.dispatchEvent(new Event(type));
    assert.equal(server.sockets.length, before + 1);
  });
}

test('a page that goes for good ends its session, one that may come back keeps it', async () => {
  const { server, page, proxy } = await connected();
  page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }));
  assert.equal(proxy.state, 'up');
  page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: false }));
  assert.equal(server.byes.length, 1);
  assert.equal(proxy.state, 'closed');
});

test('a session that the server forgot is lost, with what surely arrived', async () => {
  const { server, time, proxy, writer, socket } = await connected();
  await writer.write(text('12345'));
  server.ack();
  await turn();
  server.refusal = [Code.SESSION_UNKNOWN, 0, 'session unknown'];
  server.socket.fail();
  time.advance(0);
  await turn();
  await assert.rejects(socket.closed, { name: 'NetworkError', lost: true, acked: 5 });
  assert.equal(proxy.state, 'lost');
  assert.equal(time.pending, 0, 'no timer is left');
});

test('a socket made after the loss starts a new session', async () => {
  const { server, time, proxy, states } = await connected();
  const first = proxy.id;
  server.refusal = [Code.SESSION_UNKNOWN, 0, 'session unknown'];
  server.socket.fail();
  time.advance(0);
  await turn();

  Object.assign(server, new FakeServer(), { sockets: server.sockets });
  const next = new FakeServer();
  server.connects = (socket) => next.connects(socket);
  server.receives = (socket, bytes) => next.receives(socket, bytes);
  await proxy.open('echo').opened;

  assert.notEqual(proxy.id, first);
  assert.deepEqual(states.slice(-3), ['lost', 'connecting', 'up']);
});

test('a server away for longer than linger and a minute loses the session', async () => {
  const { server, time, proxy, socket } = await connected();
  server.away = true;
  server.socket.fail();
  for (let second = 0; second < 119; second += 1) {
    time.advance(1000);
    await turn();
  }
  assert.equal(proxy.state, 'reconnecting');
  time.advance(2000);
  await assert.rejects(socket.closed, { lost: true });
});

test('the page may give up earlier than the server', async () => {
  const { server, time, proxy, socket } = await connected({ linger: 5 });
  server.away = true;
  server.socket.fail();
  const before = server.sockets.length;
  for (let second = 0; second < 4; second += 1) {
    time.advance(1000);
    await turn();
  }
  assert.equal(proxy.state, 'reconnecting');
  assert.ok(server.sockets.length - before >= 4, 'tries stay close together');
  time.advance(1500);
  await assert.rejects(socket.closed, { lost: true });
});

test('a page that may not open WebSockets hears so, each time it asks', async () => {
  class Forbidden {
    constructor() {
      throw new Error('forbidden by policy');
    }
  }
  const { proxy, time } = make({ WebSocket: Forbidden });
  for (let count = 0; count < 2; count += 1) {
    await assert.rejects(proxy.open('echo').opened, /forbidden by policy/);
    assert.equal(proxy.state, 'lost');
  }
  assert.equal(time.pending, 0);
});

test('an origin that is not allowed is told in the words of the server, once', async () => {
  const server = new FakeServer();
  server.refusal = [Code.ORIGIN, 0, 'origin https://app.example: add it to [backend echo]'];
  const { proxy } = make({ server });
  await assert.rejects(proxy.open('echo').opened, {
    name: 'NotAllowedError',
    message: 'origin https://app.example: add it to [backend echo]',
  });
  assert.equal(server.sockets.length, 1);
});

test('a busy server is tried again when it says', async () => {
  const server = new FakeServer();
  server.refusal = [Code.BUSY, 5000, 'busy'];
  const { proxy, time } = make({ server });
  const { opened } = proxy.open('echo');
  await turn();
  server.refusal = undefined;
  time.advance(4900);
  await turn();
  assert.equal(server.sockets.length, 1);
  time.advance(200);
  await turn();
  await opened;
});

test('an open that nobody answers fails after 20 s', async () => {
  const server = new FakeServer();
  server.away = true;
  const { proxy, time } = make({ server });
  const socket = proxy.open('echo');
  const failed = assert.rejects(socket.opened, { name: 'NetworkError' });
  await turn();
  for (let second = 0; second < 21; second += 1) {
    time.advance(1000);
    await turn();
  }
  await failed;
});

test('frames of a bad server end the session with a BYE and break no promise', async () => {
  const { server, socket, proxy } = await connected();
  server.socket.deliver(frames.encode(frames.WINDOW, 998, 5));
  assert.equal(server.byes[0][0], Code.PROTOCOL);
  assert.equal(proxy.state, 'lost');
  await assert.rejects(socket.closed, { lost: true });
});

test('a frame before WELCOME ends the link and not the session', async () => {
  const { server, time, proxy } = await connected();
  server.mute = true;
  server.socket.fail();
  time.advance(0);
  await turn();
  server.socket.deliver(frames.encodeData(2, [text('portal')], 6));
  assert.equal(proxy.state, 'reconnecting');
  server.mute = false;
  time.advance(1500);
  await turn();
  assert.equal(proxy.state, 'up');
});

test('a text message ends the link and not the session', async () => {
  const { server, time, proxy } = await connected();
  server.socket.onmessage({ data: '<html>' });
  assert.equal(proxy.state, 'reconnecting');
  time.advance(0);
  await turn();
  assert.equal(proxy.state, 'up');
});

test('a draining server serves the old sockets, and new ones get a new session', async () => {
  const { server, proxy, reader, writer } = await connected();
  server.say(frames.GOAWAY, Code.RESTART, 10_000);
  await turn();
  const old = server.socket;
  const next = new FakeServer();
  server.connects = (socket) => next.connects(socket);
  const receives = server.receives.bind(server);
  server.receives = (socket, bytes) => {
    if (next.sockets.includes(socket)) next.receives(socket, bytes);
    else receives(socket, bytes);
  };

  await proxy.open('irc').opened;
  assert.deepEqual(next.opens.map(({ host }) => host), ['irc']);
  writer.write(text('old'));
  assert.equal(await readText(reader, 3), 'old');

  await writer.close();
  await readText(reader, 1);
  await turn();
  assert.equal(old.readyState, 3, 'the drained session has left');
});

test('close ends the session, its sockets and its timers', async () => {
  const { server, proxy, socket, time } = await connected();
  proxy.close();
  assert.equal(server.byes.length, 1);
  await assert.rejects(socket.closed, { name: 'AbortError' });
  await assert.rejects(proxy.open('echo').opened, { name: 'AbortError' });
  assert.equal(time.pending, 0);
  assert.equal(proxy.state, 'closed');
});

test('a host that no frame could hold is a TypeError', async () => {
  const { proxy } = make();
  await assert.rejects(proxy.open('x'.repeat(20_000)).opened, TypeError);
});

test('a listener that throws does not disturb the session', async () => {
  const { proxy, server } = make();
  const seen = [];
  // The runner listens too, and would call it a failure of the test.
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => seen.push(error.message));
  proxy.addEventListener('state', () => {
    throw new Error('the page broke');
  }, { once: true });
  await proxy.open('echo').opened;
  await turn();
  for (const listener of listeners) process.on('uncaughtException', listener);
  assert.deepEqual(seen, ['the page broke']);
  assert.equal(server.opens.length, 1);
});

test('no bytes go into a WebSocket that is backed up', async () => {
  const { server, writer } = await connected();
  server.socket.bufferedAmount = 64 * 1024;
  const before = server.frames.length;
  writer.write(text('x'));
  await turn();
  assert.equal(server.frames.length, before);
  server.socket.bufferedAmount = 0;
  server.ack();
  await turn();
  assert.equal(server.frames.length, before + 1);
});

test('many small writes share a message, and the first does not wait for them', async () => {
  const { server, writer, reader } = await connected();
  await turn();
  let messages = 0;
  const receives = server.receives.bind(server);
  server.receives = (socket, bytes) => {
    messages += 1;
    receives(socket, bytes);
  };
  for (let count = 0; count < 1000; count += 1) writer.write(text('x'));
  assert.equal((await readText(reader, 1000)).length, 1000);
  assert.ok(messages <= 4, `${messages} messages`);
});

test('a writer waits when more than 16 KiB wait for credit', async () => {
  const { server, writer } = await connected();
  server.mute = true;
  server.socket.bufferedAmount = 64 * 1024;
  await writer.write(new Uint8Array(16 * 1024));
  let settled = false;
  const write = writer.write(text('x')).then(() => (settled = true));
  await turn();
  assert.equal(settled, false);
  server.socket.bufferedAmount = 0;
  server.mute = false;
  server.ack();
  await write;
});

test('an ack goes alone within 100 ms of what it answers', async () => {
  const { server, time } = await connected();
  server.sayData(2, text('x'));
  await turn();
  time.advance(100);
  assert.equal(server.acked, server.said);
});

test('stats tell the present and the sum of the past', async () => {
  const { proxy, reader, writer } = await connected();
  writer.write(text('hello'));
  await readText(reader, 5);
  const { bytesIn, bytesOut, streams } = proxy.stats;
  assert.deepEqual([bytesIn, bytesOut, streams.length], [5, 5, 1]);
  assert.equal(streams[0].host, 'echo');
  assert.match(proxy.id, /^[0-9a-f]{8}$/);
});
