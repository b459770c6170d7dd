// Does the page find a way to its server, and the better one when there is one?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as Code from '../src/codes.js';
import * as frames from '../src/frames.js';
import { SockProxy } from '../src/proxy.js';
import { FakeHttp, FakeServer, FakeTime, fakeWebSocket, turn } from './fakes.mjs';

const text = (value) => new TextEncoder().encode(value);
const html = (status) => new Response('<!doctype html><title>Log in</title>', { status });

function make({ server = new FakeServer(), ...options } = {}) {
  const http = new FakeHttp(server);
  const time = new FakeTime();
  const page = new EventTarget();
  const states = [];
  const seen = { visible: true };
  let next = 0;
  const proxy = new SockProxy('https://gw.example/sockproxy.js', {
    WebSocket: fakeWebSocket(server),
    fetch: http.fetch,
    sendBeacon: (url, bytes) => server.beacons.push([url, bytes]),
    BroadcastChannel: undefined,
    setTimeout: time.setTimeout,
    clearTimeout: time.clearTimeout,
    nextTurn: (act) => setImmediate(act),
    now: time.now,
    random: () => 0.5,
    randomBytes: (count) => new Uint8Array(count).fill((next += 1)),
    isVisible: () => seen.visible,
    page,
    ...options,
  });
  proxy.addEventListener('state', ({ detail }) => states.push(detail));
  return { server, http, time, page, proxy, states, seen };
}

/** Let what is under way arrive, and time pass in small steps. */
async function pass(time, ms, stepMs = 50) {
  for (let left = ms; left > 0; left -= stepMs) {
    time.advance(Math.min(stepMs, left));
    for (let i = 0; i < 4; i += 1) await turn();
  }
}

/** A page whose WebSockets do not get through, with an open socket over HTTP. */
async function overHttp(options) {
  const made = make({ links: ['stream', 'poll'], ...options });
  const socket = made.proxy.open('echo');
  await pass(made.time, 200);
  const { readable, writable } = await socket.opened;
  return { ...made, socket, reader: readable.getReader(), writer: writable.getWriter() };
}

async function echoes({ reader, writer, time }, words) {
  writer.write(text(words));
  let got = '';
  const reading = (async () => {
    while (got.length < words.length) got += new TextDecoder().decode((await reader.read()).value);
  })();
  for (let i = 0; i < 400 && got.length < words.length; i += 1) await pass(time, 50);
  await Promise.race([reading, turn()]);
  assert.ok(got === words, `${got.length} of ${words.length} bytes came back`);
}

// Over HTTP.

for (const kind of ['stream', 'poll']) {
  test(`${kind}: a socket opens and its bytes come back`, async () => {
    const made = await overHttp({ links: [kind] });
    await echoes(made, 'hello');
    await echoes(made, 'again');
    assert.equal(made.proxy.stats.link, kind);
    assert.deepEqual(made.states.map(({ state, link }) => [state, link]), [['connecting', undefined], ['up', kind]]);
    assert.ok(made.http.mostInFlight <= 2, `${made.http.mostInFlight} requests at once`);
    made.proxy.close();
    await turn();
    assert.equal(made.time.pending, 0, 'no timer is left');
  });

  test(`${kind}: requests carry no header of ours, and count by themselves`, async () => {
    const made = await overHttp({ links: [kind] });
    await echoes(made, 'hello');
    for (const { method, credentials, headers, url } of made.http.asked) {
      assert.deepEqual([method, credentials], ['POST', 'omit']);
      assert.ok(Object.keys(headers).every((name) => name === 'Accept'));
      assert.ok(/^https:\/\/gw\.example\/sp\/_\/(up|down)$/.test(url));
    }
    const numbers = (asked) => asked.map(({ request }) => request);
    assert.deepEqual(numbers(made.http.ups), made.http.ups.map((_, index) => index + 1));
    assert.deepEqual(numbers(made.http.downs), made.http.downs.map((_, index) => index + 1));
    made.proxy.close();
  });
}

test('an UP whose answer is lost is said again, with the same bytes under another number', async () => {
  const made = await overHttp();
  let lost = 0;
  made.http.fault = ({ way, body }) => {
    if (way !== 'up' || lost) return undefined;
    lost += 1;
    made.server.receives({ isUp: true, reply: [] }, body.slice());
    return new TypeError('the answer was lost');
  };
  const before = made.http.ups.length;
  await echoes(made, 'once');
  await pass(made.time, 1000);
  const [first, second] = made.http.ups.slice(before);
  const numbered = ({ rest }) => rest.filter(({ kind }) => kind >= frames.FIRST_NUMBERED).map(({ body }) => [...body]);
  assert.deepEqual(numbered(second), numbered(first));
  assert.equal(second.request, first.request + 1);
  assert.equal(made.states.length, 2, 'one lost answer is no lost link');
  made.proxy.close();
});

test('three UPs that fail in a row end the link, and the session goes on by the next', async () => {
  const made = await overHttp();
  let failures = 3;
  made.http.fault = ({ way }) => (way === 'up' && failures-- > 0 ? new TypeError('no way') : undefined);
  await echoes(made, 'late');
  assert.equal(made.server.hellos.length, 2);
  assert.equal(made.proxy.stats.resumes, 1);
  made.proxy.close();
});

test('a 413 halves what bodies hold, and offsets stay', async () => {
  const made = await overHttp();
  made.http.fault = ({ way, body }) => (way === 'up' && body.length > 24_000 ? html(413) : undefined);
  await echoes(made, 'x'.repeat(60_000));
  made.proxy.close();
});

test('Retry-After is kept', async () => {
  const made = await overHttp();
  let busy = 1;
  made.http.fault = ({ way }) => {
    if (way !== 'up' || !busy) return undefined;
    busy -= 1;
    return new Response('busy', { status: 503, headers: { 'Retry-After': '4' } });
  };
  made.writer.write(text('later'));
  await pass(made.time, 100);
  const asked = made.http.ups.length;
  await pass(made.time, 1500);
  assert.equal(made.http.ups.length, asked);
  await pass(made.time, 1000);
  assert.ok(made.http.ups.length > asked);
  made.proxy.close();
});

test('a login page with status 200 is never data', async () => {
  const made = await overHttp({ links: ['poll'] });
  let pages = 2;
  made.http.fault = ({ way }) => (way === 'down' && pages-- > 0 ? html(200) : undefined);
  await echoes(made, 'real');
  made.proxy.close();
});

test('a login page in place of later streams is a lost link, and the session goes on behind it', async () => {
  const made = await overHttp();
  await pass(made.time, 1100);
  made.http.fault = ({ way }) => (way === 'down' ? html(200) : undefined);
  const before = made.http.downs.length;
  made.http.down.finish();
  await pass(made.time, 10_000);
  assert.equal(made.states.at(-1).state, 'reconnecting');
  assert.ok(made.http.downs.length - before < 40, `${made.http.downs.length - before} requests in 10 s`);
  made.http.fault = () => undefined;
  await pass(made.time, 3000);
  await echoes(made, 'logged in');
  assert.equal(made.states.at(-1).state, 'up');
  made.proxy.close();
});

test('an environment whose answers have no body to read from polls', async () => {
  const made = make({ links: ['stream', 'poll'] });
  made.http.bodyless = true;
  const socket = made.proxy.open('echo');
  await turn();
  await turn();
  made.http.down.finish();
  await pass(made.time, 300);
  await socket.opened;
  assert.equal(made.http.downs.at(-1).mode, Code.POLL);
  made.proxy.close();
});

test('a stream that does not begin within 2 s is tried as polls', async () => {
  const made = make({ links: ['stream', 'poll'] });
  made.http.held = true;
  const socket = made.proxy.open('echo');
  await pass(made.time, 2500);
  made.http.held = false;
  await pass(made.time, 500);
  await socket.opened;
  assert.equal(made.proxy.stats.link, 'poll');
  made.proxy.close();
});

test('a session whose path begins to hold streams back goes on by polls', async () => {
  const made = make();
  const socket = made.proxy.open('echo');
  await pass(made.time, 200);
  await socket.opened;
  // The round trip is known to be short: no try is waited for as long as the first one was.
  made.http.held = made.server.away = true;
  made.server.socket.fail();
  await pass(made.time, 6000);
  assert.equal(made.proxy.stats.link, 'poll');
  made.proxy.close();
});

test('no stream is doubted where polls are not answered either', async () => {
  const made = await overHttp();
  made.http.fault = () => 'silence';
  made.writer.write(text('is anybody there?'));
  await pass(made.time, 30_000);
  const attaching = made.http.downs.filter(({ request }) => request === 1).slice(1, 5);
  const { STREAM, POLL } = Code;
  assert.deepEqual(attaching.map(({ mode }) => mode), [STREAM, POLL, STREAM, POLL]);
  made.proxy.close();
});

test('a stream that comes in one late piece is polls from then on', async () => {
  const made = make({ links: ['stream', 'poll'] });
  made.http.held = true;
  made.proxy.open('echo');
  await pass(made.time, 1000);
  made.http.down.release();
  await pass(made.time, 300);
  assert.equal(made.http.downs.at(-1).mode, Code.POLL);
  assert.equal(made.states.at(-1).state, 'up');
  made.proxy.close();
});

test('END 0x2F is advice to poll, and no loss', async () => {
  const made = await overHttp();
  made.http.down.deliver(frames.encode(frames.END, Code.POLL_ADVISED, 'held back'));
  made.http.down.finish();
  await echoes(made, 'polled');
  assert.equal(made.http.downs.at(-1).mode, Code.POLL);
  assert.equal(made.server.hellos.length, 1, 'the same link');
  made.proxy.close();
});

test('the natural end of a stream is followed by the next DOWN', async () => {
  const made = await overHttp();
  await pass(made.time, 2000);
  const before = made.http.downs.length;
  made.http.down.finish();
  await pass(made.time, 100);
  assert.equal(made.http.downs.length, before + 1);
  await echoes(made, 'on');
  made.proxy.close();
});

test('while an UP hangs no timer runs in circles', async () => {
  const made = await overHttp();
  made.http.fault = ({ way }) => (way === 'up' ? 'silence' : undefined);
  made.writer.write(text('hangs'));
  await pass(made.time, 100);
  made.server.sayData(2, text('more to acknowledge'));
  const [before, fired] = [made.http.asked.length, made.time.fired];
  await pass(made.time, 2000, 5);
  assert.ok(made.time.fired - fired <= 4, `${made.time.fired - fired} timers went off in 2 s`);
  assert.equal(made.http.asked.length, before);
  made.proxy.close();
});

for (const kind of ['stream', 'poll']) {
  test(`${kind}: an idle page sets off a handful of timers in five minutes`, async () => {
    const made = await overHttp({ links: [kind] });
    await pass(made.time, 1000);
    const [before, fired] = [made.http.asked.length, made.time.fired];
    for (let i = 0; i < 15; i += 1) {
      await pass(made.time, 20_000, 1000);
      // The server speaks before it is asked.
      if (kind === 'stream') made.http.down.deliver(frames.encode(frames.PING, 0));
      else made.http.down.finish();
    }
    await pass(made.time, 1000);
    assert.ok(made.time.fired - fired <= 60, `${made.time.fired - fired} timers went off`);
    assert.ok(made.http.asked.length - before <= 20, `${made.http.asked.length - before} requests`);
    assert.deepEqual(made.states.map(({ state }) => state), ['connecting', 'up']);
    made.proxy.close();
  });
}

test('a page that leaves says so by a beacon', async () => {
  const made = await overHttp();
  made.page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: false }));
  const [[url, bytes]] = made.server.beacons;
  assert.equal(url, 'https://gw.example/sp/_/up');
  const [hello, bye] = new frames.Decoder(frames.MAX_CLIENT_DATA_BYTES).feed(bytes);
  assert.deepEqual([frames.parse(hello)[2], bye.kind], [2, frames.BYE]);
  await turn();
  assert.equal(made.time.pending, 0);
});

// From one kind to the other.

test('where no WebSocket opens HTTP carries after 2.5 s', async () => {
  const made = make();
  made.server.hangs = true;
  const socket = made.proxy.open('echo');
  await pass(made.time, 2400);
  assert.equal(made.http.asked.length, 0);
  await pass(made.time, 300);
  await socket.opened;
  assert.equal(made.proxy.stats.link, 'stream');
  made.proxy.close();
});

test('in a hidden page HTTP is tried at once', async () => {
  const made = make();
  made.server.hangs = true;
  made.seen.visible = false;
  const socket = made.proxy.open('echo');
  await pass(made.time, 100);
  await socket.opened;
  assert.equal(made.proxy.stats.link, 'stream');
  made.proxy.close();
});

/** Let long times pass over a stream, whose server gives a sign of life now and then. */
async function passAlive({ time, http }, ms) {
  const stepMs = 20_000;
  for (let left = ms; left > 0; left -= stepMs) {
    await pass(time, Math.min(stepMs, left), stepMs / 4);
    http.down.deliver(frames.encode(frames.PING, 0));
  }
}

/** A WebSocket server that says nothing, beside HTTP that works. */
async function silentWebSocket() {
  const server = new FakeServer();
  const deaf = { connects: (socket) => (server.sockets.push(socket), queueMicrotask(() => socket.open())), receives: () => {} };
  const way = { to: deaf };
  const WebSocket = fakeWebSocket({
    connects: (socket) => way.to.connects(socket),
    receives: (socket, bytes) => way.to.receives(socket, bytes),
    closes: () => {},
  });
  const made = make({ server, WebSocket });
  const socket = made.proxy.open('echo');
  await pass(made.time, 2700);
  const { readable, writable } = await socket.opened;
  return { ...made, way, reader: readable.getReader(), writer: writable.getWriter() };
}

test('a WebSocket that opens and stays silent does not stop HTTP', async () => {
  const made = await silentWebSocket();
  assert.equal(made.proxy.stats.link, 'stream');
  assert.equal(made.http.downs[0].link, 2, 'a further link of the same session');
  await echoes(made, 'by HTTP');
  made.proxy.close();
});

test('a WebSocket that was open when HTTP won is probed a second later', async () => {
  const made = await silentWebSocket();
  const before = made.server.sockets.length;
  await pass(made.time, 750);
  assert.equal(made.server.sockets.length, before);
  await pass(made.time, 300);
  assert.equal(made.server.sockets.length, before + 1);
  await passAlive(made, 28_000);
  assert.equal(made.server.sockets.length, before + 1, 'once');
  made.proxy.close();
});

test('where no WebSocket opens one is tried after 30 s, 2, 10, 30 minutes, and nothing else is', async () => {
  const made = make();
  made.server.hangs = true;
  const socket = made.proxy.open('echo');
  await pass(made.time, 2600);
  await socket.opened;
  made.server.away = true;
  made.server.hangs = false;
  for (const seconds of [30, 120, 600, 1800, 1800]) {
    const before = made.server.sockets.length;
    await passAlive(made, seconds * 1000 - 5000);
    assert.equal(made.server.sockets.length, before, `sooner than after ${seconds} s`);
    await pass(made.time, 6000, 500);
    assert.equal(made.server.sockets.length, before + 1, `after ${seconds} s`);
  }
  assert.equal(made.proxy.stats.link, 'stream');
  assert.deepEqual(made.states.map(({ state }) => state), ['connecting', 'up']);
  made.proxy.close();
});

test('a WebSocket that has proved itself takes over, and nothing is fetched any more', async () => {
  const made = await silentWebSocket();
  made.way.to = made.server;
  await pass(made.time, 1500);
  assert.equal(made.proxy.stats.link, 'websocket');
  assert.equal(made.proxy.stats.switches, 1);
  const { state, cause, link } = made.states.at(-1);
  assert.deepEqual([state, cause, link], ['up', 'moved from stream to websocket', 'websocket']);
  assert.equal(made.states.some(({ state: told }) => told === 'reconnecting'), false);
  // The silent one was the first link.
  assert.deepEqual(made.server.hellos.map(({ link: number }) => number), [2, 3]);
  assert.equal(made.http.inFlight, 0);
  const asked = made.http.asked.length;
  await echoes(made, 'by WebSocket');
  await pass(made.time, 20_000, 500);
  assert.equal(made.http.asked.length, asked);
  made.proxy.close();
});

test('a WebSocket whose echo is wrong is left alone', async () => {
  const made = await silentWebSocket();
  made.way.to = made.server;
  made.server.wrongEcho = true;
  const before = made.server.sockets.length;
  await pass(made.time, 5000, 500);
  assert.equal(made.server.sockets.length, before + 1, 'it was probed');
  assert.equal(made.server.socket.readyState, 3);
  assert.equal(made.server.hellos.length, 1);
  assert.equal(made.proxy.stats.link, 'stream');
  await echoes(made, 'still by HTTP');
  made.proxy.close();
});

test('nothing is probed while the page is hidden', async () => {
  const made = await silentWebSocket();
  await pass(made.time, 2000, 500);
  const before = made.server.sockets.length;
  made.seen.visible = false;
  await passAlive(made, 180_000);
  assert.equal(made.server.sockets.length, before);
  assert.equal(made.proxy.stats.link, 'stream');
  made.seen.visible = true;
  await passAlive(made, 600_000);
  assert.ok(made.server.sockets.length > before, 'it is when it is seen again');
  made.proxy.close();
});

/** A page whose WebSockets do not last: two have died in a row, and HTTP carries. */
async function afterTwoDeaths() {
  const made = make();
  const socket = made.proxy.open('echo');
  await pass(made.time, 100);
  await socket.opened;
  for (let i = 0; i < 2; i += 1) {
    made.server.socket.fail();
    await pass(made.time, 600);
  }
  assert.equal(made.proxy.stats.link, 'stream');
  return made;
}

test('two WebSockets that die within 10 s are followed by HTTP for 10 minutes', async () => {
  const made = await afterTwoDeaths();
  const before = made.server.sockets.length;
  await passAlive(made, 595_000);
  assert.equal(made.server.sockets.length, before);
  await pass(made.time, 10_000, 1000);
  assert.equal(made.proxy.stats.link, 'websocket');
  made.proxy.close();
});

test('another network may bear WebSockets: they are tried there at once', async () => {
  const made = await afterTwoDeaths();
  const before = made.server.sockets.length;
  made.page.dispatchEvent(new Event('online'));
  await pass(made.time, 1000);
  assert.equal(made.server.sockets.length, before + 1);
  assert.equal(made.proxy.stats.link, 'websocket');
  made.proxy.close();
});

test('a page may choose its links while it runs', async () => {
  const made = make();
  const socket = made.proxy.open('echo');
  await pass(made.time, 100);
  const { readable, writable } = await socket.opened;
  const ends = { ...made, reader: readable.getReader(), writer: writable.getWriter() };
  for (const kind of ['poll', 'websocket', 'stream', 'websocket']) {
    made.proxy.useLinks([kind]);
    await pass(made.time, 300);
    assert.equal(made.proxy.stats.link, kind);
    await echoes(ends, `over ${kind}`);
  }
  assert.equal(made.proxy.stats.switches, 4);
  assert.equal(made.states.some(({ state }) => state === 'reconnecting'), false);
  made.proxy.close();
});

test('a page that asks for WebSockets alone keeps what carries, and one is tried soon again', async () => {
  const made = await overHttp({ links: ['poll'] });
  made.server.away = true;
  made.proxy.useLinks(['websocket']);
  await pass(made.time, 500);
  assert.equal(made.proxy.stats.link, 'poll');
  made.server.away = false;
  await pass(made.time, 2000);
  assert.equal(made.proxy.stats.link, 'websocket');
  await echoes(made, 'over there');
  made.proxy.close();
});

test('a page that names no link, or none of ours, is told so', () => {
  assert.throws(() => make({ links: [] }), { name: 'TypeError', message: /links \[\], not some of websocket/ });
  const { proxy } = make();
  assert.throws(() => proxy.useLinks(['websocket', 'pigeon']), { name: 'TypeError', message: /pigeon/ });
});

test('a page hears why it does not get through, and by which way it did', async () => {
  const made = make();
  made.server.away = true;
  const socket = made.proxy.open('echo');
  await pass(made.time, 200);
  assert.deepEqual(made.states.at(-1), { state: 'connecting', cause: 'WebSocket closed 1006', link: undefined });
  await pass(made.time, 3000);
  await socket.opened;
  const { state, cause, link } = made.states.at(-1);
  assert.deepEqual([state, cause, link], ['up', 'WebSocket closed 1006', 'stream']);
  made.proxy.close();
});

test('a socket that was never opened names what stood in the way', async () => {
  const made = make({ links: ['poll'] });
  made.http.fault = () => html(200);
  const socket = made.proxy.open('echo');
  await pass(made.time, 21_000, 200);
  await assert.rejects(socket.opened, /no answer in 20000 ms: an answer that begins with byte 60/);
  socket.closed.catch(() => {});
  made.proxy.close();
});

test('a foreign page over HTTP is told so, and asks no more', async () => {
  const made = make({ links: ['poll'] });
  const refuse = frames.encode(frames.REFUSE, Code.ORIGIN, 0, 'origin https://a.example is not listed');
  made.http.fault = () => new Response(refuse, { status: 403 });
  const socket = made.proxy.open('echo');
  await pass(made.time, 200);
  await assert.rejects(socket.opened, { name: 'NotAllowedError', message: /is not listed/ });
  socket.closed.catch(() => {});
  assert.equal(made.http.asked.length, 1);
});
