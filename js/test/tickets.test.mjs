// Does a page show its tickets in time, the right ones, and nowhere else?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as Code from '../src/codes.js';
import * as frames from '../src/frames.js';
import { SockProxy } from '../src/proxy.js';
import { FakeHttp, FakeServer, FakeTime, fakeBroadcastChannel, fakeWebSocket, turn } from './fakes.mjs';

const ACCEPTED = [Code.CLEAN, 300];
const REFUSED = [Code.TICKET_REFUSED, 0];
const KINDS = ['websocket', 'stream', 'poll'];

/** A page and the servers of its sessions, one after the other; `server` is the newest. */
function make({ links = ['websocket'], judge = () => ACCEPTED, ...options } = {}) {
  const made = { time: new FakeTime(), page: new EventTarget(), states: [], servers: [], seen: { visible: true } };
  made.begin = () => {
    made.server = Object.assign(new FakeServer(), { judge });
    made.http = new FakeHttp(made.server);
    made.servers.push(made.server);
  };
  made.begin();
  const ofSocket = new Map();
  const WebSocket = fakeWebSocket({
    connects: (socket) => {
      ofSocket.set(socket, made.server);
      made.server.connects(socket);
    },
    receives: (socket, bytes) => ofSocket.get(socket).receives(socket, bytes),
  });
  let next = 0;
  made.proxy = new SockProxy('https://gw.example/sockproxy.js', {
    WebSocket,
    links,
    fetch: (...words) => made.http.fetch(...words),
    sendBeacon: (url, bytes) => made.server.beacons.push([url, bytes]),
    BroadcastChannel: undefined,
    setTimeout: made.time.setTimeout,
    clearTimeout: made.time.clearTimeout,
    nextTurn: (act) => setImmediate(act),
    now: made.time.now,
    random: () => 0.5,
    randomBytes: (count) => new Uint8Array(count).fill((next += 1)),
    isVisible: () => made.seen.visible,
    page: made.page,
    ...options,
  });
  made.proxy.addEventListener('state', ({ detail }) => made.states.push(detail));
  return made;
}

/** A function that gives t1, t2, ...; `asked` counts, `next` may be set to what is given instead. */
function minting() {
  const ticket = async () => {
    ticket.asked += 1;
    return ticket.next ? ticket.next() : `t${ticket.asked}`;
  };
  return Object.assign(ticket, { asked: 0 });
}

const fails = (text) => () => Promise.reject(new Error(text));
const silence = () => new Promise(() => {});

async function settle() {
  for (let i = 0; i < 8; i += 1) await turn();
}

/** Let what is under way arrive, and time pass in small steps. */
async function pass(time, ms, stepMs = 50) {
  await settle();
  for (let left = ms; left > 0; left -= stepMs) {
    time.advance(Math.min(stepMs, left));
    await settle();
  }
}

/** Let time pass over a link whose server says now and then that it is there. */
async function passAlive(made, ms) {
  for (let left = ms; left > 0; left -= 20_000) {
    await pass(made.time, Math.min(20_000, left), 500);
    made.server.say(frames.PING, 0);
  }
  await settle();
}

/** A page with an open socket. */
async function connected(options) {
  const made = make(options);
  const socket = made.proxy.open('echo');
  await pass(made.time, 200);
  const { readable, writable } = await socket.opened;
  return { ...made, made, socket, reader: readable.getReader(), writer: writable.getWriter() };
}

async function echoes({ reader, writer, time }, words) {
  writer.write(new TextEncoder().encode(words));
  const read = reader.read();
  await pass(time, 500);
  assert.equal(new TextDecoder().decode((await read).value), words);
}

/** Close, and see that nothing is left. */
async function ends({ proxy, time }) {
  proxy.close();
  await settle();
  assert.equal(time.pending, 0, 'no timer is left');
}

const shown = ({ hellos }) => hellos.map(({ ticket }) => ticket);
const told = (socket) => Promise.all([socket.opened, socket.closed].map((end) => end.catch((error) => error)));

// The first HELLO.

for (const kind of KINDS) {
  for (const [what, ticket] of [
    ['a string', 't1'],
    ['a function', () => 't1'],
    ['a function that takes its time', minting()],
  ]) {
    test(`${kind}: ${what} gives the ticket of the first HELLO`, async () => {
      const made = await connected({ links: [kind], ticket });
      assert.deepEqual(shown(made.server), ['t1']);
      assert.deepEqual(made.server.auths, []);
      await echoes(made, 'hello');
      await ends(made);
    });
  }

  test(`${kind}: without a ticket none is shown, and nothing waits`, async () => {
    const made = make({ links: [kind], judge: undefined });
    made.proxy.open('echo').opened.catch(() => {});
    await Promise.resolve();
    assert.equal(made.time.pending > 0, true);
    await pass(made.time, 200);
    assert.deepEqual(shown(made.server), [undefined]);
    await ends(made);
  });
}

test('nobody is asked before there is a socket', async () => {
  const ticket = minting();
  const made = make({ ticket });
  await pass(made.time, 1000);
  assert.equal(ticket.asked, 0);
  assert.equal(made.time.pending, 0);
});

test('connecting waits for the ticket, and all sockets wait for the same one', async () => {
  let give;
  let asked = 0;
  const ticket = () => {
    asked += 1;
    return new Promise((done) => (give = done));
  };
  const made = make({ ticket });
  const sockets = ['echo', 'irc', 'redis'].map((name) => made.proxy.open(name));
  await pass(made.time, 2000);
  made.page.dispatchEvent(new Event('visibilitychange'));
  await pass(made.time, 1000);
  assert.equal(made.server.sockets.length, 0);
  give('t1');
  await settle();
  await Promise.all(sockets.map(({ opened }) => opened));
  assert.equal(asked, 1);
  assert.deepEqual(shown(made.server), ['t1']);
  await ends(made);
});

test('a page that closes while it is asked is done', async () => {
  let give;
  const made = make({ ticket: () => new Promise((done) => (give = done)) });
  const socket = made.proxy.open('echo');
  await settle();
  await ends(made);
  give('t1');
  await settle();
  assert.equal(made.server.sockets.length, 0);
  await assert.rejects(socket.opened, { name: 'AbortError' });
});

test('WebSocket and HTTP race with one ticket, which was asked for once', async () => {
  const ticket = minting();
  const made = make({ links: KINDS, ticket });
  ticket.next = () => new Promise((done) => made.time.setTimeout(() => done('t1'), 2000));
  made.server.hangs = true;
  const socket = made.proxy.open('echo');
  await pass(made.time, 4000);
  assert.equal(made.http.asked.length, 0, 'the WebSocket has its 2.5 s from when it was tried');
  await pass(made.time, 1000);
  await socket.opened;
  assert.equal(ticket.asked, 1);
  assert.deepEqual(made.http.downs.slice(0, 1).map(({ ticket: found }) => found), ['t1']);
  await ends(made);
});

for (const kind of ['stream', 'poll']) {
  test(`${kind}: later requests of a link carry no ticket`, async () => {
    const made = await connected({ links: [kind], ticket: 't1' });
    await echoes(made, 'hello');
    await echoes(made, 'again');
    const [first, ...later] = made.http.asked;
    assert.deepEqual([first.way, first.ticket], ['down', 't1']);
    assert.ok(later.length > 2);
    assert.deepEqual(later.filter(({ ticket }) => ticket !== undefined), []);
    await ends(made);
  });
}

test('a probe shows no ticket, the HELLO that follows does', async () => {
  const ticket = minting();
  const made = make({ links: KINDS, ticket });
  made.server.hangs = true;
  made.proxy.open('echo').opened.catch(() => {});
  await pass(made.time, 3000);
  assert.equal(made.proxy.stats.link, 'stream');
  made.server.hangs = false;
  const said = [];
  const receives = made.server.receives.bind(made.server);
  made.server.receives = (socket, bytes) => {
    said.push(Buffer.from(bytes).toString('latin1'));
    receives(socket, bytes);
  };
  await passAlive(made, 31_000);
  assert.equal(made.proxy.stats.link, 'websocket');
  const probed = said.findIndex((bytes) => bytes.length > 4000);
  assert.ok(probed > 0, 'it was probed');
  assert.deepEqual(said.slice(0, probed + 1).filter((bytes) => bytes.includes('t1')), []);
  assert.deepEqual(shown(made.server), ['t1', 't1']);
  assert.equal(ticket.asked, 1);
  await ends(made);
});

// A page whose function does not give one.

test('a function that throws is asked again, and the page is told why it waits', async () => {
  const ticket = minting();
  ticket.next = fails('503');
  const made = make({ ticket });
  const socket = made.proxy.open('echo');
  await pass(made.time, 2000);
  assert.ok(ticket.asked > 2 && ticket.asked < 8, `${ticket.asked} times`);
  const { state, cause } = made.states.at(-1);
  assert.deepEqual([state, cause], ['connecting', 'no ticket: 503']);
  assert.equal(made.server.sockets.length, 0);
  ticket.next = undefined;
  await pass(made.time, 3000);
  await socket.opened;
  assert.equal(made.states.at(-1).state, 'up');
  await ends(made);
});

test('a socket that no ticket came for says so after its 20 s, and then nobody is asked', async () => {
  const ticket = minting();
  ticket.next = fails('503');
  const made = make({ ticket });
  const socket = made.proxy.open('echo');
  await pass(made.time, 21_000, 200);
  await assert.rejects(socket.opened, { name: 'NetworkError', message: 'no answer in 20000 ms: no ticket: 503' });
  await pass(made.time, 15_000, 200);
  assert.equal(made.proxy.state, 'lost');
  assert.equal(made.time.pending, 0);
  ticket.next = undefined;
  await made.proxy.open('echo').opened;
  await ends(made);
});

test('a function that never answers is asked again after 10 s, and a late answer is not heard', async () => {
  let give;
  const ticket = minting();
  ticket.next = () => new Promise((done) => (give = done));
  const made = make({ ticket });
  made.proxy.open('echo').opened.catch(() => {});
  await pass(made.time, 9900, 100);
  assert.equal(ticket.asked, 1);
  ticket.next = silence;
  await pass(made.time, 400, 100);
  assert.equal(ticket.asked, 2);
  assert.equal(made.states.at(-1).cause, 'no ticket in 10000 ms');
  give('late');
  await settle();
  assert.equal(made.server.sockets.length, 0);
  await ends(made);
});

for (const [what, thrown, words] of [
  ['a string', 'logged out', 'no ticket: logged out'],
  ['nothing', undefined, 'no ticket: the function failed'],
  ['what cannot be a text', Object.create(null), 'no ticket: the function failed'],
]) {
  test(`a function may throw ${what}`, async () => {
    const made = make({
      ticket: () => {
        throw thrown;
      },
    });
    made.proxy.open('echo').opened.catch(() => {});
    await settle();
    assert.equal(made.states.at(-1).cause, words);
    await ends(made);
  });
}

for (const [given, words] of [
  ['x'.repeat(4097), 'ticket of 4097 bytes, above 4096'],
  ['é'.repeat(2049), 'ticket of 4098 bytes, above 4096'],
  [{ token: 'x' }, 'ticket of type object, not a string'],
]) {
  for (const [what, ticket] of [['given', given], ['answered', () => given]]) {
    test(`${what}, a ${words} refuses the socket here`, async () => {
      const made = make({ ticket });
      const errors = await told(made.proxy.open('echo'));
      for (const { name, message } of errors) assert.deepEqual([name, message], ['NotAllowedError', words]);
      assert.equal(made.server.sockets.length, 0);
      assert.equal(made.time.pending, 0);
    });
  }
}

test('a ticket of 4096 bytes is shown', async () => {
  const made = await connected({ ticket: 'x'.repeat(4096) });
  assert.equal(made.server.hellos[0].ticket.length, 4096);
  await ends(made);
});

test('a function that has none lets the server decide', async () => {
  const made = await connected({ ticket: () => null, judge: undefined });
  assert.deepEqual(shown(made.server), [undefined]);
  await ends(made);
});

// While a session runs.

for (const kind of KINDS) {
  test(`${kind}: at 80 % of its life a ticket is followed by a fresh one`, async () => {
    const ticket = minting();
    const made = await connected({ links: [kind], ticket });
    await passAlive(made, 239_000);
    assert.equal(ticket.asked, 1);
    await passAlive(made, 1500);
    assert.equal(ticket.asked, 2);
    assert.deepEqual(made.server.auths, ['t2']);
    await passAlive(made, 238_000);
    assert.deepEqual(made.server.auths, ['t2']);
    await passAlive(made, 3000);
    assert.deepEqual(made.server.auths, ['t2', 't3']);
    assert.equal(made.server.hellos.length, 1);
    assert.deepEqual(made.states.map(({ state }) => state), ['connecting', 'up']);
    await ends(made);
  });
}

test('a ticket without a known end is not renewed, nor is a string', async () => {
  const ticket = minting();
  const endless = await connected({ ticket, judge: () => [Code.CLEAN, 0] });
  const fixed = await connected({ ticket: 't1' });
  await passAlive(endless, 600_000);
  await passAlive(fixed, 600_000);
  assert.equal(ticket.asked, 1);
  assert.deepEqual([...endless.server.auths, ...fixed.server.auths], []);
  await ends(endless);
  await ends(fixed);
});

test('a life of years is no reason to ask at once, nor one of a second to ask in a flurry', async () => {
  for (const [expiresS, most] of [[10 * 365 * 86_400, 1], [1, 4]]) {
    const ticket = minting();
    const time = new FakeTime();
    // As browsers do: what is more than 31 bits is no time at all.
    const setTimeout = (act, ms) => time.setTimeout(act, ms > 2 ** 31 - 1 ? 0 : ms);
    const made = make({ ticket, judge: () => [Code.CLEAN, expiresS], setTimeout, clearTimeout: time.clearTimeout, now: time.now });
    made.proxy.open('echo').opened.catch(() => {});
    await pass(time, 3000);
    assert.ok(ticket.asked <= most, `${ticket.asked} times in 3 s`);
    await ends({ ...made, time });
  }
});

test('the same ticket given again is said again, for only the answer tells its end', async () => {
  const ticket = minting();
  ticket.next = () => Promise.resolve('same');
  const made = await connected({ ticket });
  await passAlive(made, 241_000);
  assert.deepEqual(made.server.auths, ['same']);
  await ends(made);
});

test('a refresh that fails is tried again until the ticket has expired, and the page is told', async () => {
  const ticket = minting();
  const made = await connected({ ticket });
  ticket.next = fails('the app is down');
  await passAlive(made, 242_000);
  const { state, cause, link } = made.states.at(-1);
  assert.deepEqual([state, cause, link], ['up', 'no ticket: the app is down', 'websocket']);
  await passAlive(made, 59_000);
  const { asked } = ticket;
  assert.ok(asked > 5 && asked < 20, `${asked} times`);
  await passAlive(made, 120_000);
  assert.ok(ticket.asked <= asked + 1, `${ticket.asked - asked} times after its end`);
  await echoes(made, 'as long as the server has not ended it');
  await ends(made);
});

for (const [given, words] of [[null, 'no ticket: none was given'], [5, 'ticket of type number, not a string']]) {
  test(`a refresh that gives ${given} is one that fails, and the accepted ticket stays`, async () => {
    const ticket = minting();
    const made = await connected({ ticket });
    ticket.next = async () => given;
    await passAlive(made, 241_000);
    const { state, cause } = made.states.at(-1);
    assert.deepEqual([state, cause], ['up', words]);
    made.server.socket.fail();
    await pass(made.time, 500);
    assert.deepEqual(shown(made.server), ['t1', 't1']);
    assert.deepEqual(made.server.auths, []);
    await ends(made);
  });
}

test('old failures are forgotten with the next ticket: a new one is made up for at once', async () => {
  const ticket = minting();
  ticket.next = fails('503');
  const made = make({ ticket });
  made.proxy.open('echo').opened.catch(() => {});
  await pass(made.time, 10_000, 100);
  ticket.next = undefined;
  await pass(made.time, 8000, 100);
  assert.equal(made.proxy.state, 'up');
  await passAlive(made, 225_000);
  ticket.next = () => ((ticket.next = undefined), Promise.reject(new Error('once')));
  await passAlive(made, 16_000);
  assert.equal(made.server.auths.length, 1);
  await ends(made);
});

for (const verdict of [ACCEPTED, REFUSED]) {
  test(`an answer of ${verdict[0]} that comes while the page is asked does not end the ask's 10 s`, async () => {
    const made = await connected({ ticket: 't1' });
    made.server.judge = undefined;
    made.proxy.ticket = 't2';
    await settle();
    made.proxy.ticket = silence;
    await settle();
    made.server.say(frames.AUTH_RESULT, ...verdict);
    await passAlive(made, 10_500);
    assert.equal(made.states.at(-1).cause, 'no ticket in 10000 ms');
    await ends(made);
  });
}

test('a fresh ticket that comes in the end is said', async () => {
  const ticket = minting();
  const made = await connected({ ticket });
  ticket.next = fails('the app is down');
  await passAlive(made, 245_000);
  ticket.next = undefined;
  await passAlive(made, 30_000);
  assert.equal(made.server.auths.length, 1);
  await ends(made);
});

test('a fresh ticket that is refused changes nothing, and another one is asked for', async () => {
  const ticket = minting();
  const bad = new Set(['t2']);
  const made = await connected({ ticket, judge: (shown) => (bad.has(shown) ? REFUSED : ACCEPTED) });
  await passAlive(made, 242_000);
  assert.deepEqual(made.server.auths, ['t2', 't3']);
  const causes = made.states.filter(({ state }) => state === 'up').map(({ cause }) => cause);
  assert.deepEqual(causes, ['', 'the server refuses the new ticket', '']);
  await ends(made);
});

test('after a refused fresh ticket a new link shows the one that was accepted', async () => {
  const made = await connected({ ticket: 't1', judge: (shown) => (shown === 't1' ? ACCEPTED : REFUSED) });
  made.proxy.ticket = 'bad';
  await pass(made.time, 100);
  assert.deepEqual(made.server.auths, ['bad']);
  made.server.socket.fail();
  await pass(made.time, 500);
  assert.deepEqual(shown(made.server), ['t1', 't1']);
  await echoes(made, 'goes on');
  await ends(made);
});

test('where the link broke before the answer, the one that was accepted follows', async () => {
  const made = await connected({ ticket: 't1', judge: (shown) => (shown === 't1' ? ACCEPTED : REFUSED) });
  made.server.mute = true;
  made.proxy.ticket = 'bad';
  await pass(made.time, 100);
  made.server.socket.fail();
  made.server.mute = false;
  await pass(made.time, 1000);
  assert.deepEqual(shown(made.server), ['t1', 'bad', 't1']);
  await echoes(made, 'goes on');
  await ends(made);
});

test('a string that the server cannot judge now is said again', async () => {
  const made = await connected({ ticket: 't1', judge: (shown) => (shown === 't1' ? ACCEPTED : [Code.BUSY, 0]) });
  made.proxy.ticket = 't2';
  await pass(made.time, 1000);
  assert.ok(made.server.auths.length > 1);
  assert.equal(made.states.at(-1).cause, 'the server cannot judge the new ticket now');
  made.server.judge = () => ACCEPTED;
  await passAlive(made, 20_000);
  assert.deepEqual(new Set(made.server.auths), new Set(['t2']));
  assert.equal(made.states.at(-1).cause, '');
  await ends(made);
});

test('a session without a ticket, or an end, needs none: one that is refused is not followed', async () => {
  for (const first of [undefined, 't1']) {
    const ticket = minting();
    const judge = (shown) => (shown === first ? [Code.CLEAN, 0] : REFUSED);
    const made = await connected({ ticket: first, judge });
    ticket.next = async () => 'bad';
    made.proxy.ticket = ticket;
    await passAlive(made, 300_000);
    assert.equal(ticket.asked, 1);
    made.server.socket.fail();
    await pass(made.time, 500);
    assert.deepEqual(shown(made.server), [first, first]);
    await ends(made);
  }
});

test('where the server knows the page by something else its end is the server\'s to move', async () => {
  const ticket = minting();
  ticket.next = async () => null;
  const made = await connected({ ticket });
  await passAlive(made, 400_000);
  made.server.socket.fail();
  await pass(made.time, 500);
  assert.equal(ticket.asked, 1);
  assert.deepEqual(shown(made.server), [undefined, undefined]);
  await ends(made);
});

test('an answer to AUTH that is lost is not waited for', async () => {
  const ticket = minting();
  const made = await connected({ ticket });
  const { judge } = made.server;
  made.server.judge = undefined;
  await passAlive(made, 241_000);
  assert.deepEqual(made.server.auths, ['t2']);
  made.server.judge = judge;
  await passAlive(made, 12_000);
  assert.deepEqual(made.server.auths, ['t2', 't3']);
  await ends(made);
});

test('a ticket that is set while a session runs is said at once', async () => {
  const made = await connected({ ticket: 't1' });
  made.proxy.ticket = 't2';
  await pass(made.time, 100);
  assert.deepEqual(made.server.auths, ['t2']);
  made.proxy.ticket = async () => 't3';
  await pass(made.time, 100);
  assert.deepEqual(made.server.auths, ['t2', 't3']);
  await passAlive(made, 241_000);
  assert.deepEqual(made.server.auths, ['t2', 't3', 't3'], 'and a function is asked in time');
  await ends(made);
});

test('a ticket that is set before the first socket is that of the first HELLO', async () => {
  const made = make();
  made.proxy.ticket = 't1';
  assert.equal(made.proxy.ticket, undefined, 'it is never told');
  await made.proxy.open('echo').opened;
  assert.deepEqual(shown(made.server), ['t1']);
  await ends(made);
});

test('a ticket that is set while the page is asked takes the place of the answer', async () => {
  const made = make({ ticket: silence });
  const socket = made.proxy.open('echo');
  await settle();
  made.proxy.ticket = 't2';
  await socket.opened;
  assert.deepEqual(shown(made.server), ['t2']);
  await ends(made);
});

test('a ticket that is taken away is not shown again', async () => {
  const made = await connected({ ticket: 't1' });
  made.proxy.ticket = undefined;
  await settle();
  assert.deepEqual(made.server.auths, []);
  made.server.judge = undefined;
  made.server.socket.fail();
  await pass(made.time, 500);
  assert.deepEqual(shown(made.server), ['t1', undefined]);
  await ends(made);
});

/** A page whose HELLO waits for its answer, and whose ticket changes meanwhile. */
async function changing(ticket) {
  const made = make({ ticket: 't1' });
  made.server.mute = true;
  made.proxy.open('echo').opened.catch(() => {});
  await settle();
  made.proxy.ticket = ticket;
  await settle();
  made.server.mute = false;
  assert.deepEqual(made.server.auths, []);
  return made;
}

const welcomes = ({ server }) => server.say(frames.WELCOME, 1, server.rx, 0, new Uint8Array(32), new Map());

test('a ticket that is set between HELLO and WELCOME is said after it', async () => {
  const made = await changing('t2');
  welcomes(made);
  await settle();
  assert.deepEqual(shown(made.server), ['t1']);
  assert.deepEqual(made.server.auths, ['t2']);
  await ends(made);
});

test('a ticket that is set before WELCOME is in the HELLO of the next link, where this one breaks', async () => {
  const made = await changing('t2');
  made.server.socket.fail();
  await pass(made.time, 500);
  assert.deepEqual(shown(made.server), ['t1', 't2']);
  assert.deepEqual(made.server.auths, []);
  await ends(made);
});

test('a page that closes when it is welcomed says no ticket any more', async () => {
  const made = await changing(async () => 't2');
  made.proxy.addEventListener('state', () => made.proxy.close(), { once: true });
  welcomes(made);
  await settle();
  assert.equal(made.proxy.state, 'closed');
  assert.deepEqual(made.server.auths, []);
  assert.equal(made.time.pending, 0);
});

test('a ticket that a page sets when it hears of the loss is for the next session', async () => {
  const { made, server } = await connected({ ticket: 't1' });
  made.proxy.addEventListener('state', ({ detail }) => {
    if (detail.state === 'lost') made.proxy.ticket = async () => 't2';
  });
  made.begin();
  server.say(frames.BYE, Code.TICKET_REFUSED, 'expired');
  await settle();
  assert.equal(made.time.pending, 0);
  await made.proxy.open('echo').opened;
  assert.deepEqual(shown(made.server), ['t2']);
  await ends(made);
});

test('a page may close when it hears of a trouble', async () => {
  const made = await connected({ ticket: 't1', judge: (shown) => (shown === 't1' ? ACCEPTED : REFUSED) });
  made.proxy.addEventListener('state', () => made.proxy.close(), { once: true });
  made.proxy.ticket = async () => 'bad';
  await settle();
  assert.equal(made.proxy.state, 'closed');
  assert.equal(made.time.pending, 0);
});

// Links come and go.

test('a new link shows the same ticket, and nobody is asked', async () => {
  const ticket = minting();
  const made = await connected({ ticket });
  for (let i = 0; i < 3; i += 1) {
    made.server.socket.fail();
    await pass(made.time, 6000);
    await echoes(made, `after loss ${i}`);
  }
  assert.deepEqual(shown(made.server), ['t1', 't1', 't1', 't1']);
  assert.equal(ticket.asked, 1);
  await ends(made);
});

test('a ticket that came while there was no link is in the next HELLO', async () => {
  const ticket = minting();
  const made = await connected({ ticket });
  await passAlive(made, 239_000);
  made.server.away = true;
  made.server.socket.fail();
  await pass(made.time, 2000);
  assert.equal(ticket.asked, 2);
  made.server.away = false;
  await pass(made.time, 2000);
  assert.deepEqual(shown(made.server), ['t1', 't2']);
  assert.deepEqual(made.server.auths, []);
  await ends(made);
});

test('a ticket that has expired meanwhile is not shown: a fresh one is fetched first', async () => {
  const ticket = minting();
  const made = await connected({ ticket, judge: () => [Code.CLEAN, 60] });
  ticket.next = fails('no network');
  made.server.away = true;
  made.server.socket.fail();
  await pass(made.time, 70_000, 500);
  ticket.next = undefined;
  made.server.away = false;
  await pass(made.time, 21_000, 500);
  const found = shown(made.server);
  assert.equal(found.length, 2);
  assert.notEqual(found[1], 't1');
  await echoes(made, 'goes on');
  await ends(made);
});

test('a page that slept past the end of its ticket asks before it shows one', async () => {
  const ticket = minting();
  const made = await connected({ ticket });
  made.server.socket.fail();
  made.time.freeze(600_000);
  await pass(made.time, 1000);
  assert.deepEqual(shown(made.server), ['t1', 't2']);
  assert.equal(made.proxy.state, 'up');
  await ends(made);
});

test('where a fresh ticket has to be fetched a WebSocket is still tried first', async () => {
  const ticket = minting();
  const made = await connected({ links: KINDS, ticket, judge: () => [Code.CLEAN, 60] });
  ticket.next = fails('503');
  await passAlive(made, 80_000);
  ticket.next = () => new Promise((done) => made.time.setTimeout(() => done('late'), 1000));
  made.server.socket.fail();
  await pass(made.time, 1500);
  assert.deepEqual(shown(made.server), ['t1', 'late']);
  assert.equal(made.proxy.stats.link, 'websocket');
  assert.equal(made.http.asked.length, 0);
  await ends(made);
});

test('a network that is back is a reason to ask at once', async () => {
  const ticket = minting();
  ticket.next = fails('no network');
  const made = make({ ticket });
  const socket = made.proxy.open('echo');
  await pass(made.time, 9000, 100);
  ticket.next = undefined;
  const { asked } = ticket;
  made.page.dispatchEvent(new Event('online'));
  await settle();
  assert.equal(ticket.asked, asked + 1);
  await socket.opened;
  await ends(made);
});

test('a page that is hidden, shown and shared among tabs asks no more for it', async () => {
  const ticket = minting();
  const BroadcastChannel = fakeBroadcastChannel();
  const made = await connected({ links: ['poll'], ticket, BroadcastChannel });
  const tabs = [];
  for (let i = 0; i < 4; i += 1) tabs.push(await connected({ links: ['poll'], ticket: 'own', BroadcastChannel, epoch: () => -i }));
  for (const visible of [false, true, false, true]) {
    made.seen.visible = visible;
    made.page.dispatchEvent(new Event('visibilitychange'));
    await pass(made.time, 3000);
  }
  assert.equal(made.http.downs.at(-1).mode, Code.BRIEF, 'it has made room for older tabs');
  assert.equal(ticket.asked, 1);
  assert.deepEqual(made.http.asked.slice(1).filter(({ ticket: found }) => found), []);
  for (const tab of [made, ...tabs]) await ends(tab);
});

// The server says no.

test('no ticket where one is required refuses all that wait, in the words of the server', async () => {
  const made = make({ judge: () => [Code.TICKET_REQUIRED, 0] });
  const sockets = [made.proxy.open('echo'), made.proxy.open('irc')];
  for (const socket of sockets) {
    for (const { name, message } of await told(socket)) {
      assert.deepEqual([name, message], ['NotAllowedError', "the server's word on 33"]);
    }
  }
  assert.equal(made.server.hellos.length, 1);
  assert.equal(made.time.pending, 0);
});

for (const kind of KINDS) {
  test(`${kind}: a string that is refused refuses the socket at once`, async () => {
    const made = make({ links: [kind], ticket: 't1', judge: () => REFUSED });
    const socket = made.proxy.open('echo');
    await settle();
    for (const { name, message } of await told(socket)) {
      assert.deepEqual([name, message], ['NotAllowedError', "the server's word on 34"]);
    }
    assert.deepEqual(shown(made.server), ['t1']);
    assert.equal(made.time.pending, 0);
  });

  test(`${kind}: where a function gave it another one is tried`, async () => {
    const ticket = minting();
    const made = await connected({ links: [kind], ticket, judge: (shown) => (shown === 't1' ? REFUSED : ACCEPTED) });
    assert.deepEqual(shown(made.server), ['t1', 't2']);
    assert.deepEqual(made.states.map(({ state }) => state), ['connecting', 'connecting', 'up']);
    await echoes(made, 'hello');
    await ends(made);
  });

  test(`${kind}: a second fresh ticket that is refused means no`, async () => {
    const ticket = minting();
    const made = make({ links: [kind], ticket, judge: () => REFUSED });
    const socket = made.proxy.open('echo');
    await pass(made.time, 2000);
    for (const { name, message } of await told(socket)) {
      assert.deepEqual([name, message], ['NotAllowedError', "the server's word on 34"]);
    }
    assert.equal(ticket.asked, 2);
    assert.equal(made.proxy.state, 'lost');
    assert.equal(made.time.pending, 0);
  });
}

test('a WebSocket that opens while another ticket is fetched does not show the refused one', async () => {
  const ticket = minting();
  const made = make({ ticket, judge: (shown) => (shown === 't1' ? REFUSED : ACCEPTED) });
  made.server.hangs = true;
  const socket = made.proxy.open('echo');
  await pass(made.time, 1600);
  const [first, second] = made.server.sockets;
  made.server.hangs = false;
  ticket.next = () => new Promise((done) => made.time.setTimeout(() => done('t2'), 1000));
  first.open();
  await settle();
  second.open();
  await pass(made.time, 2000);
  await socket.opened;
  assert.deepEqual(shown(made.server), ['t1', 't2']);
  await ends(made);
});

test('a function that has none is asked twice where one is required', async () => {
  let asked = 0;
  const made = make({ ticket: () => void (asked += 1), judge: () => [Code.TICKET_REQUIRED, 0] });
  const socket = made.proxy.open('echo');
  await pass(made.time, 1000);
  await assert.rejects(socket.opened, { name: 'NotAllowedError' });
  assert.equal(asked, 2);
});

test('on a resume fresh tickets are tried until linger, at growing distances', async () => {
  const ticket = minting();
  const made = await connected({ ticket });
  made.server.judge = () => REFUSED;
  made.server.socket.fail();
  await pass(made.time, 60_000, 100);
  assert.equal(made.proxy.state, 'reconnecting');
  assert.ok(ticket.asked >= 6 && ticket.asked < 20, `${ticket.asked} times`);
  assert.equal(new Set(shown(made.server)).size, ticket.asked, 'each is shown once');
  made.server.judge = () => ACCEPTED;
  await pass(made.time, 11_000, 100);
  await echoes(made, 'goes on');
  await ends(made);
});

test('on a resume that is refused to the end the session is lost', async () => {
  const made = await connected({ ticket: minting() });
  made.server.judge = () => REFUSED;
  made.server.socket.fail();
  await pass(made.time, 119_000, 500);
  assert.equal(made.proxy.state, 'reconnecting');
  await pass(made.time, 2000, 500);
  await assert.rejects(made.socket.closed, { name: 'NetworkError', lost: true });
  assert.equal(made.time.pending, 0);
});

test('on a resume a string that is refused ends the session: it gets no better', async () => {
  const made = await connected({ ticket: 't1' });
  made.server.judge = () => REFUSED;
  made.server.socket.fail();
  await pass(made.time, 500);
  await assert.rejects(made.socket.closed, { name: 'NotAllowedError', message: "the server's word on 34" });
  assert.equal(made.proxy.state, 'lost');
  assert.equal(made.time.pending, 0);
});

test('on a resume a string that the page has replaced meanwhile is tried', async () => {
  const made = await connected({ ticket: 't1' });
  made.server.judge = (shown) => (shown === 't2' ? ACCEPTED : REFUSED);
  made.server.mute = true;
  made.server.socket.fail();
  await pass(made.time, 100);
  made.proxy.ticket = 't2';
  await settle();
  made.server.mute = false;
  made.server.say(frames.REFUSE, ...REFUSED, 'expired');
  await pass(made.time, 1000);
  assert.deepEqual(shown(made.server), ['t1', 't1', 't2']);
  await echoes(made, 'goes on');
  await ends(made);
});

// The server ends the session.

for (const kind of KINDS) {
  for (const [code, name] of [[Code.TICKET_REFUSED, 'NotAllowedError'], [Code.KILLED, 'NetworkError']]) {
    test(`${kind}: BYE ${code} ends the streams with it, and the next socket asks anew`, async () => {
      const ticket = minting();
      const { made, server, socket } = await connected({ links: [kind], ticket });
      made.begin();
      server.say(frames.BYE, code, 'the ticket has expired');
      await settle();
      const error = await socket.closed.catch((reason) => reason);
      assert.deepEqual([error.name, error.message], [name, 'the ticket has expired']);
      assert.equal(error.lost, undefined);
      assert.equal(made.proxy.state, 'lost');
      assert.equal(made.time.pending, 0);

      const next = made.proxy.open('echo');
      await pass(made.time, 500);
      await next.opened;
      assert.deepEqual(shown(made.server), ['t2']);
      assert.equal(made.server.hellos[0].create, true);
      await ends(made);
    });
  }
}

test('a session that drains keeps its ticket, and its successor asks for its own', async () => {
  const ticket = minting();
  const { made, server } = await connected({ ticket });
  made.begin();
  server.say(frames.GOAWAY, Code.RESTART, 10_000);
  await settle();
  const next = made.proxy.open('irc');
  await pass(made.time, 500);
  await next.opened;
  assert.deepEqual([shown(server), shown(made.server)], [['t1'], ['t2']]);
  made.proxy.ticket = 'both';
  await pass(made.time, 500);
  assert.deepEqual([server.auths, made.server.auths], [['both'], ['both']]);
  await ends(made);
});

// Where it must not be.

for (const kind of KINDS) {
  test(`${kind}: a ticket is in no URL, event, figure, error or console`, async (t) => {
    const canary = 'canary-5fa9';
    const heard = [];
    t.mock.method(console, 'debug', (...words) => heard.push(...words));
    const ticket = minting();
    ticket.next = async () => `${canary}-${ticket.asked}`;
    let verdict = ACCEPTED;
    const made = await connected({ links: [kind], ticket, debug: true, judge: () => verdict });
    await passAlive(made, 241_000);
    verdict = REFUSED;
    await passAlive(made, 250_000);
    heard.push(made.proxy.stats, made.proxy, { ...made.proxy }, made.states);
    heard.push(made.http.asked.map(({ url, headers }) => [url, headers]), made.server.sockets.map(({ url, protocol }) => [url, protocol]));
    made.server.say(frames.BYE, Code.TICKET_REFUSED, 'expired');
    await settle();
    const { name, message, stack } = await made.socket.closed.catch((reason) => reason);
    heard.push([name, message, stack]);
    assert.equal(name, 'NotAllowedError');
    assert.ok(made.server.auths.some((said) => said.includes(canary)), 'the server has seen it');
    assert.ok(heard.length > 5);
    assert.ok(!JSON.stringify(heard).includes(canary));
    await ends(made);
  });
}
