// Does a run of POSTs carry a session as one link, whatever stands between?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ClientAttach } from '../src/attach.js';
import * as Code from '../src/codes.js';
import * as frames from '../src/frames.js';
import { Ladder } from '../src/ladder.js';
import { HttpLink } from '../src/links/http.js';
import { Session } from '../src/session.js';
import { Tabs } from '../src/tabs.js';
import { FakeHttp, FakeServer, FakeTime, fakeBroadcastChannel, turn } from './fakes.mjs';

const STREAM_ID = 2;
const URL = 'https://gw.example/sp/_/';
const TEN_MINUTES_MS = 600_000;

const html = (status, headers) => new Response('<!doctype html><title>Log in</title>', { status, headers });
const kinds = ({ rest }) => rest.map(({ kind }) => kind);
const modes = (asked) => asked.map(({ mode }) => mode);

/** A link that has not begun, of a session with one stream. */
function make({ kind = 'stream', links = ['stream', 'poll'], random = 0.5, BroadcastChannel } = {}) {
  const server = new FakeServer();
  server.stuck = true;
  const http = new FakeHttp(server);
  const time = new FakeTime();
  const session = new Session(() => time.now() / 1000);
  const attach = new ClientAttach(session, (count) => new Uint8Array(count).fill(7));
  const ladder = new Ladder(links);
  if (kind === 'poll') ladder.advisePoll(time.now());
  const told = [];
  const owner = {
    hearings: 0,
    linkHeard: (link, events) => {
      owner.hearings += 1;
      for (const event of events) owner.hears(event);
      if (events.some(({ type }) => type === 'refused')) link.close();
      link.flush();
    },
    hears: ({ type }) => type !== 'opened' && told.push(type),
    linkFault: (link, error) => {
      told.push(`fault ${error.message}`);
      link.close();
    },
    linkClosed: (_link, cause) => told.push(`closed ${cause}`),
  };
  const env = { ...time, fetch: http.fetch, epoch: () => 100, random: () => random, BroadcastChannel };
  const link = new HttpLink(URL, env, session, attach, owner, ladder);
  session.open('echo', 0);
  return { server, http, time, session, attach, ladder, told, owner, env, link };
}

/** Let what is under way arrive. */
async function settle() {
  for (let i = 0; i < 8; i += 1) await turn();
}

async function pass(time, ms, stepMs = 50) {
  await settle();
  for (let left = ms; left > 0; left -= stepMs) {
    time.advance(Math.min(stepMs, left));
    await settle();
  }
}

/** A link that was welcomed, and has said all that it owed. */
async function welcomed(options) {
  const made = make(options);
  made.link.begin();
  await pass(made.time, 50);
  assert.equal(made.link.isWelcomed, true);
  return made;
}

/** Write to the stream, as far as one UP takes it. */
function write({ session, link }, size) {
  session.write(STREAM_ID, new Uint8Array(size));
  return link.flush();
}

/** Fail these requests, as often as this. */
function fail(http, way, times, fault = () => new TypeError('no way')) {
  let left = times;
  http.fault = (asked) => (asked.way === way && left-- > 0 ? fault(asked) : undefined);
}

function ends({ link, time, http }) {
  link.close();
  assert.equal(time.pending, 0, 'no timer is left');
  assert.equal(http.inFlight, 0, 'no request is left');
}

// Down: attaching.

for (const [kind, mode] of [['stream', Code.STREAM], ['poll', Code.POLL]]) {
  test(`${kind}: the first DOWN attaches and opens, and no UP goes before its WELCOME`, async () => {
    const made = make({ kind });
    const { http, link, told } = made;
    link.begin();
    assert.equal(link.isFree, false);
    assert.equal(link.flush(), false);
    assert.equal(link.isWelcomed, false);
    const [down] = http.downs;
    assert.deepEqual([down.link, down.request, down.flags, down.mode], [1, 1, frames.FLAG_CREATE, mode]);
    assert.deepEqual(kinds(down), [frames.AT, frames.OPEN]);
    await settle();
    assert.equal(link.isWelcomed, true);
    assert.equal(link.kind, kind);
    assert.equal(told[0], 'welcomed');
    const [up] = http.ups;
    assert.deepEqual([up.link, up.request, up.flags, up.mode], [1, 1, 0, undefined]);
    assert.ok(kinds(up).includes(frames.PING));
    ends(made);
  });

  test(`${kind}: a request asks the browser for nothing that it would ask about`, async () => {
    const made = await welcomed({ kind });
    for (const asked of made.http.asked) {
      const { method, headers, credentials, cache, redirect, url, way } = asked;
      assert.deepEqual([method, credentials, cache, redirect], ['POST', 'omit', 'no-store', 'error']);
      const isStream = kind === 'stream' && way === 'down';
      assert.deepEqual(headers, isStream ? { Accept: 'text/event-stream' } : {});
      assert.equal(url, `${URL}${way}`);
    }
    ends(made);
  });

  test(`${kind}: what redirects is no way to the server`, async () => {
    const made = make({ kind });
    fail(made.http, 'down', 1, () => new TypeError('redirected'));
    made.link.begin();
    await settle();
    assert.deepEqual(made.told, ['closed redirected']);
    ends(made);
  });

  test(`${kind}: a page with status 200 in place of a WELCOME ends the link`, async () => {
    const made = make({ kind });
    fail(made.http, 'down', 1, () => html(200));
    made.link.begin();
    await settle();
    assert.deepEqual(made.told, ["closed an answer that begins with byte 60 is not the server's"]);
    ends(made);
  });

  test(`${kind}: an empty answer in place of a WELCOME ends the link`, async () => {
    const made = make({ kind });
    fail(made.http, 'down', 1, () => new Response(''));
    made.link.begin();
    await settle();
    assert.deepEqual(made.told, ['closed the answer ended too soon']);
    ends(made);
  });

  test(`${kind}: a refusal is told, and nothing is asked on`, async () => {
    const made = make({ kind });
    made.server.refusal = [Code.ORIGIN, 0, 'not listed'];
    made.link.begin();
    await pass(made.time, 1000);
    assert.deepEqual(made.told, ['refused']);
    assert.equal(made.http.asked.length, 1);
    ends(made);
  });

  test(`${kind}: pages in the middle of a link are no data, no sign of life, and end it by the third`, async () => {
    const made = await welcomed({ kind });
    const { http, time, told, owner, server } = made;
    await pass(time, 1100);
    const [downs, hearings] = [http.downs.length, owner.hearings];
    fail(http, 'down', Infinity, () => html(200));
    if (kind === 'poll') server.sayData(STREAM_ID, new Uint8Array(1));
    else http.down.finish();
    await pass(time, 5000);
    assert.equal(http.downs.length, downs + 3);
    // The end of the good one before them.
    assert.equal(owner.hearings, hearings + 1);
    assert.equal(told.at(-1), "closed an answer that begins with byte 60 is not the server's");
    ends(made);
  });
}

// Down: going on.

test('poll: the next DOWN goes out before anything of the last one is told', async () => {
  const made = await welcomed({ kind: 'poll' });
  const { http, server, owner, session } = made;
  const before = http.downs.length;
  const seen = [];
  owner.hears = ({ type }) => seen.push([type, http.downs.length, http.downs.at(-1).rx]);
  server.sayData(STREAM_ID, new Uint8Array(5));
  await settle();
  assert.deepEqual(seen, [['data', before + 1, session.rx]]);
  assert.ok(session.rx > 0);
  ends(made);
});

for (const kind of ['stream', 'poll']) {
  test(`${kind}: each DOWN goes on where the session is, under its own number`, async () => {
    const made = await welcomed({ kind });
    const { http, server, session, time, told } = made;
    for (let i = 0; i < 3; i += 1) {
      await pass(time, 1100);
      server.sayData(STREAM_ID, new Uint8Array(5));
      await settle();
      if (kind === 'stream') http.down.finish();
      await settle();
    }
    assert.deepEqual(http.downs.map(({ request }) => request), http.downs.map((_, index) => index + 1));
    assert.ok(http.downs.every(({ link }) => link === 1));
    assert.equal(http.downs.at(-1).rx, session.rx);
    assert.equal(session.rx, server.said);
    assert.deepEqual(told, ['welcomed', 'data', 'data', 'data']);
    ends(made);
  });

  test(`${kind}: two DOWNs that fail are asked again, three end the link`, async () => {
    for (const [times, closes] of [[2, 0], [3, 1]]) {
      const made = await welcomed({ kind });
      const { http, server, time, told } = made;
      await pass(time, 1100);
      fail(http, 'down', times);
      server.sayData(STREAM_ID, new Uint8Array(5));
      await settle();
      if (kind === 'stream') http.down.finish();
      await pass(time, 3000);
      assert.equal(told.filter((what) => what === 'closed no way').length, closes);
      assert.equal(told.filter((what) => what === 'data').length, 1);
      ends(made);
    }
  });
}

test('failures count in a row', async () => {
  const made = await welcomed();
  const { http, time, told } = made;
  for (let i = 0; i < 3; i += 1) {
    await pass(time, 1100);
    fail(http, 'down', 2);
    http.down.finish();
    await pass(time, 1500);
  }
  assert.deepEqual(told, ['welcomed']);
  ends(made);
});

test('a stream that is cut inside a frame loses nothing of it', async () => {
  const made = await welcomed();
  const { http, server, session, time, told } = made;
  const whole = frames.encodeData(STREAM_ID, [new Uint8Array(100)], 100);
  const { rx } = session;
  http.held = true;
  server.sayData(STREAM_ID, new Uint8Array(100));
  await settle();
  http.held = false;
  http.down.deliver(whole.slice(0, 50));
  await settle();
  http.down.cut();
  await pass(time, 1000);
  assert.equal(session.rx, rx + whole.length);
  assert.equal(http.downs.at(-1).rx, rx);
  assert.deepEqual(told, ['welcomed', 'data']);
  ends(made);
});

test('a poll that is cut inside a frame loses nothing of it', async () => {
  const made = await welcomed({ kind: 'poll' });
  const { http, server, session, time, told } = made;
  const whole = frames.encodeData(STREAM_ID, [new Uint8Array(100)], 100);
  await pass(time, 1100);
  const { rx } = http.downs.at(-1);
  let cuts = 1;
  const cut = frames.join([frames.encode(frames.AT, rx + 5), whole]).slice(0, 50);
  server.sayData(STREAM_ID, new Uint8Array(5));
  http.fault = ({ way }) => (way === 'down' && cuts-- > 0 ? new Response(cut) : undefined);
  server.sayData(STREAM_ID, new Uint8Array(100));
  await pass(time, 1000);
  assert.equal(session.rx, server.said);
  assert.deepEqual(told, ['welcomed', 'data', 'data']);
  ends(made);
});

test('what no server may say is a fault, told once', async () => {
  const made = await welcomed();
  made.http.down.deliver(frames.encode(frames.WINDOW, 998, 5));
  await settle();
  assert.deepEqual(made.told, ['welcomed', 'fault stream 998 was never opened']);
  ends(made);
});

test('the natural end of a stream is followed by the next, at once', async () => {
  const made = await welcomed();
  const { http, time, told } = made;
  await pass(time, 1100);
  const before = http.downs.length;
  http.down.finish();
  await settle();
  assert.equal(http.downs.length, before + 1);
  assert.equal(http.downs.at(-1).mode, Code.STREAM);
  assert.deepEqual(told, ['welcomed']);
  ends(made);
});

test('answers that end as soon as they begin are not asked for in a flurry', async () => {
  const made = await welcomed();
  const { http, time } = made;
  const before = http.downs.length;
  for (let i = 0; i < 200; i += 1) {
    http.down.finish();
    await pass(time, 50);
  }
  const asked = http.downs.length - before;
  assert.ok(asked > 10 && asked < 25, `${asked} in 10 s`);
  ends(made);
});

test('an END of one answer, for a newer DOWN or as advice, is not told; any other is', async () => {
  const made = await welcomed();
  const { http, time, told } = made;
  for (const code of [Code.SUPERSEDED, Code.POLL_ADVISED, Code.RESTART]) {
    http.down.deliver(frames.encode(frames.END, code, ''));
    await settle();
  }
  assert.deepEqual(told, ['welcomed', 'linkEnded']);
  await pass(time, 1000);
  ends(made);
});

test('a DOWN is given up after 40 s of silence on a stream, 35 s on a poll, and asked again', async () => {
  for (const [kind, ms] of [['stream', 40_000], ['poll', 35_000]]) {
    const made = await welcomed({ kind });
    const { http, time, told } = made;
    await pass(time, 300);
    const before = http.downs.length;
    await pass(time, ms - 500, 100);
    assert.equal(http.downs.length, before);
    await pass(time, 1000, 100);
    assert.equal(http.downs.length, before + 1);
    assert.deepEqual(told, ['welcomed']);
    ends(made);
  }
});

test('what comes on a stream begins the 40 s anew, and arms no timer', async () => {
  const made = await welcomed();
  const { http, server, time, env } = made;
  await pass(time, 300);
  const before = http.downs.length;
  await pass(time, 30_000, 100);
  let armed = 0;
  env.setTimeout = (...words) => {
    armed += 1;
    return time.setTimeout(...words);
  };
  for (let i = 0; i < 10; i += 1) {
    server.sayData(STREAM_ID, new Uint8Array(5));
    await settle();
  }
  assert.equal(armed, 0);
  await pass(time, 39_500, 100);
  assert.equal(http.downs.length, before);
  await pass(time, 1000, 100);
  assert.equal(http.downs.length, before + 1);
  ends(made);
});

test('a page that slept listens once more before it gives an answer up', async () => {
  const made = await welcomed();
  const { http, server, time, told } = made;
  const before = http.downs.length;
  time.freeze(100_000);
  time.advance(0);
  server.sayData(STREAM_ID, new Uint8Array(5));
  await settle();
  assert.deepEqual(told, ['welcomed', 'data']);
  assert.equal(http.downs.length, before);
  ends(made);
});

// Down: paths that hold streams back.

test('a stream that does not begin within 2 s ends the link, and is doubted', async () => {
  const made = make();
  const { http, link, ladder, time, told } = made;
  http.held = true;
  link.begin();
  await pass(time, 1950);
  assert.deepEqual(told, []);
  await pass(time, 50);
  assert.deepEqual(told, ['closed the stream does not begin']);
  assert.equal(ladder.mode(time.now()), 'poll');
  ends(made);
});

test('nor one whose headers do not come', async () => {
  const made = make();
  const { http, link, ladder, time, told } = made;
  fail(http, 'down', 1, () => 'silence');
  link.begin();
  await pass(time, 2000);
  assert.deepEqual(told, ['closed the stream does not begin']);
  assert.equal(ladder.mode(time.now()), 'poll');
  ends(made);
});

test('a slow path gets three round trips to begin', async () => {
  const made = make();
  const { http, link, session, time, told } = made;
  session.rttS = 1;
  http.held = true;
  link.begin();
  await pass(time, 2900);
  assert.deepEqual(told, []);
  await pass(time, 100);
  assert.deepEqual(told, ['closed the stream does not begin']);
  ends(made);
});

test('a later stream that does not begin is asked for as a poll, on the same link', async () => {
  const made = await welcomed();
  const { http, server, link, ladder, time, told } = made;
  await pass(time, 1100);
  http.held = true;
  http.down.finish();
  await pass(time, 1950);
  assert.equal(http.downs.at(-1).mode, Code.STREAM);
  await pass(time, 100);
  assert.equal(http.downs.at(-1).mode, Code.POLL);
  assert.equal(link.kind, 'poll');
  server.sayData(STREAM_ID, new Uint8Array(5));
  await settle();
  assert.deepEqual(told, ['welcomed', 'data']);
  // Polls work here: it is the path.
  assert.equal(ladder.mode(time.now() + TEN_MINUTES_MS - 100), 'poll');
  ends(made);
});

test('a path that lags by one piece is polled', async () => {
  const made = make();
  const { http, link, time, told } = made;
  http.lags = true;
  link.begin();
  await settle();
  assert.deepEqual(told, ['welcomed']);
  await pass(time, 1900);
  assert.deepEqual(modes(http.downs), [Code.STREAM]);
  await pass(time, 200);
  assert.equal(http.downs.at(-1).mode, Code.POLL);
  assert.equal(http.downs.at(-1).link, 1);
  ends(made);
});

for (const [ms, mode] of [[350, Code.STREAM], [450, Code.POLL]]) {
  test(`both PINGs in one piece ${ms} ms after the headers: mode ${mode}`, async () => {
    const made = make();
    const { http, link, ladder, time, told } = made;
    http.held = true;
    link.begin();
    await pass(time, ms);
    http.held = false;
    http.down.release();
    await settle();
    assert.equal(http.downs.at(-1).mode, mode);
    assert.equal(link.kind, ladder.mode(time.now()));
    assert.deepEqual(told, ['welcomed']);
    ends(made);
  });
}

test('PINGs that come one by one are late for another reason', async () => {
  const made = make();
  const { http, link, time } = made;
  http.held = true;
  link.begin();
  await pass(time, 600);
  http.held = false;
  const [next] = [frames.encode(frames.WELCOME, 1, made.server.rx, 0, new Uint8Array(32), new Map())];
  for (const bytes of [next, frames.encode(frames.PING, 0), frames.encode(frames.PING, 0)]) {
    http.down.deliver(bytes);
    await pass(time, 50);
  }
  assert.deepEqual(modes(http.downs), [Code.STREAM]);
  ends(made);
});

test('answers that have no body to read from are taken whole, and polled for', async () => {
  const made = make();
  const { http, link, ladder, time, told } = made;
  http.bodyless = true;
  link.begin();
  await settle();
  http.down.finish();
  await settle();
  assert.deepEqual(told, ['welcomed']);
  assert.deepEqual(modes(http.downs), [Code.STREAM, Code.POLL]);
  assert.equal(ladder.mode(time.now()), 'poll');
  ends(made);
});

test('END 0x2F is advice to poll, for ten minutes, and no loss', async () => {
  const made = await welcomed();
  const { http, ladder, time, told } = made;
  await pass(time, 1100);
  http.down.deliver(frames.encode(frames.END, Code.POLL_ADVISED, 'held back'));
  http.down.finish();
  await settle();
  assert.deepEqual(modes(http.downs), [Code.STREAM, Code.POLL]);
  assert.equal(ladder.mode(time.now() + TEN_MINUTES_MS - 1), 'poll');
  assert.equal(ladder.mode(time.now() + TEN_MINUTES_MS), 'stream');
  assert.deepEqual(told, ['welcomed']);
  ends(made);
});

// Tabs.

/** Three tabs that are older. */
function older(env, count = 3) {
  return Array.from({ length: count }, (_, age) => new Tabs(URL, { ...env, epoch: () => age, random: () => 0 }, () => {}));
}

test('the fourth tab asks briefly: every 2 s, and four times a second while bytes move', async () => {
  const BroadcastChannel = fakeBroadcastChannel();
  const tabs = older({ BroadcastChannel });
  const made = await welcomed({ BroadcastChannel });
  const { http, server, time, link } = made;
  assert.ok(modes(http.downs).every((mode) => mode === Code.BRIEF));
  await pass(time, 10_000);
  const before = http.downs.length;
  await pass(time, 10_000);
  assert.equal(http.downs.length, before + 5);
  write(made, 10);
  await pass(time, 4000);
  const busy = http.downs.length - before - 5;
  assert.ok(busy >= 10 && busy <= 17, `${busy} in 4 s`);
  await pass(time, 6000);
  const calm = http.downs.length;
  await pass(time, 10_000);
  assert.equal(http.downs.length, calm + 5);
  server.sayData(STREAM_ID, new Uint8Array(5));
  await pass(time, 2000);
  assert.equal(made.told.at(-1), 'data');
  for (const tab of tabs) tab.close();
  await pass(time, 5000);
  assert.equal(http.downs.at(-1).mode, Code.STREAM);
  assert.equal(link.kind, 'stream');
  ends(made);
  assert.equal(BroadcastChannel.open, 0);
});

for (const kind of ['stream', 'poll']) {
  test(`${kind}: a tab lets go of what it holds when three older ones are there`, async () => {
    const BroadcastChannel = fakeBroadcastChannel();
    const made = await welcomed({ kind, BroadcastChannel });
    const { http, time } = made;
    await pass(time, 1100);
    older({ BroadcastChannel }, 2);
    assert.notEqual(http.downs.at(-1).mode, Code.BRIEF);
    older({ BroadcastChannel: made.env.BroadcastChannel }, 3);
    assert.equal(http.downs.at(-1).mode, Code.BRIEF);
    await pass(time, 500);
    assert.equal(http.inFlight, 0);
    ends(made);
  });
}

// Up.

test('one UP at a time, and what is written meanwhile goes with the next', async () => {
  const made = await welcomed();
  const { http, link, server, time } = made;
  const before = http.ups.length;
  assert.equal(write(made, 10), true);
  assert.equal(link.isFree, false);
  assert.ok(link.underwayBytes > 10);
  assert.equal(write(made, 20), false);
  assert.equal(write(made, 30), false);
  assert.equal(http.ups.length, before + 1);
  await settle();
  assert.equal(http.ups.length, before + 2);
  assert.equal(server.received.get(STREAM_ID), 60);
  assert.equal(link.underwayBytes, 0);
  assert.equal(link.isFree, true);
  await pass(time, 1000);
  assert.deepEqual(http.ups.map(({ request }) => request), http.ups.map((_, index) => index + 1));
  assert.ok(http.mostInFlight <= 2, `${http.mostInFlight} requests at once`);
  ends(made);
});

for (const fault of ['lost', 'silence']) {
  test(`an UP that is not answered (${fault}) is said again after 10 s, the same bytes under the next number`, async () => {
    const made = await welcomed();
    const { http, server, time, told } = made;
    fail(http, 'up', 1, () => fault);
    const before = http.ups.length;
    write(made, 10);
    await settle();
    write(made, 20);
    await pass(time, 9900);
    assert.equal(http.ups.length, before + 1);
    await pass(time, 500);
    const [first, second] = http.ups.slice(before);
    assert.deepEqual(second.said, first.said);
    assert.equal(second.request, first.request + 1);
    assert.equal(server.received.get(STREAM_ID), 30);
    assert.deepEqual(told, ['welcomed']);
    ends(made);
  });
}

for (const [name, answer] of Object.entries({
  'a page with status 200': () => html(200),
  'nothing': () => new Response(''),
  'a page of an error': () => html(502),
  'an ACK of less than was said': () => new Response(frames.encode(frames.ACK, 0)),
})) {
  test(`an UP that is answered by ${name} is said again`, async () => {
    const made = await welcomed();
    const { http, server, time, told, owner } = made;
    fail(http, 'up', 2, answer);
    const [before, hearings] = [http.ups.length, owner.hearings];
    write(made, 10);
    await settle();
    assert.equal(owner.hearings, hearings);
    await pass(time, 1500);
    const [first, second, third] = http.ups.slice(before);
    assert.deepEqual([second.said, third.said], [first.said, first.said]);
    assert.equal(server.received.get(STREAM_ID), 10);
    assert.deepEqual(told, ['welcomed']);
    ends(made);
  });
}

test('three UPs that fail end the link, and the next one tries less', async () => {
  const made = await welcomed();
  const { http, ladder, time, told } = made;
  fail(http, 'up', 3);
  const before = http.ups.length;
  write(made, 10);
  await pass(time, 5000);
  assert.equal(http.ups.length, before + 3);
  assert.deepEqual(told, ['welcomed', 'closed no way']);
  assert.equal(ladder.postBytes, 32 * 1024);
  ends(made);
});

test('UPs that fail now and then do not', async () => {
  const made = await welcomed();
  const { http, time, told } = made;
  for (let i = 0; i < 3; i += 1) {
    fail(http, 'up', 2);
    write(made, 10);
    await pass(time, 1500);
  }
  assert.deepEqual(told, ['welcomed']);
  ends(made);
});

test('a 413 halves the body, and no byte is said twice or left out', async () => {
  const made = await welcomed();
  const { http, ladder, server, time, told } = made;
  http.fault = ({ way, body }) => (way === 'up' && body.length > 20_000 ? html(413) : undefined);
  const before = http.ups.length;
  write(made, 60_000);
  await pass(time, 3000);
  assert.equal(ladder.postBytes, 16 * 1024);
  assert.equal(server.received.get(STREAM_ID), 60_000);
  const sizes = http.ups.slice(before).map(({ body }) => body.length);
  assert.ok(sizes[0] > 60_000 && sizes[1] > 32_000 && sizes[2] > 16_000, `${sizes}`);
  assert.ok(sizes.slice(2).every((size) => size < 20_000), `${sizes}`);
  assert.deepEqual(told, ['welcomed']);
  ends(made);
});

test('full bodies grow up to what the server takes', async () => {
  const made = make();
  const { http, link, ladder, server, session, time } = made;
  server.welcomeTlvs = new Map([
    [Code.WELCOME_MAX_POST, new Uint8Array(frames.encode(frames.ACK, 200_000)).slice(-4)],
    [Code.WELCOME_STREAM_WINDOW, new Uint8Array(frames.encode(frames.ACK, 1_000_000)).slice(-4)],
  ]);
  link.begin();
  await pass(time, 50);
  assert.equal(made.attach.maxPost, 200_000);
  const before = http.ups.length;
  session.write(STREAM_ID, new Uint8Array(900_000));
  link.flush();
  await settle();
  for (let i = 0; i < 20; i += 1) {
    link.flush();
    await pass(time, 100);
  }
  assert.equal(server.received.get(STREAM_ID), 900_000);
  const sizes = http.ups.slice(before).map(({ body }) => body.length);
  assert.ok(sizes[1] > 2 * 64_000, `${sizes}`);
  assert.ok(sizes.every((size) => size <= 200_000), `${sizes}`);
  assert.equal(ladder.postBytes, 200_000 - 20 * 1024);
  ends(made);
});

test('Retry-After is kept, up to 2 s, once', async () => {
  for (const [seconds, ms] of [['1', 1000], ['30', 2000]]) {
    const made = await welcomed();
    const { http, time } = made;
    fail(http, 'up', 1, () => html(503, { 'Retry-After': seconds }));
    const before = http.ups.length;
    write(made, 10);
    await pass(time, ms - 50);
    assert.equal(http.ups.length, before + 1);
    await pass(time, 100);
    assert.equal(http.ups.length, before + 2);
    ends(made);
  }
});

test('a PING of the server is answered in an UP', async () => {
  const made = await welcomed();
  made.http.down.deliver(frames.encode(frames.PING, 77));
  await settle();
  assert.ok(kinds(made.http.ups.at(-1)).includes(frames.PONG));
  ends(made);
});

// The end.

for (const [name, act] of Object.entries({
  'before anything is answered': () => {},
  'while a stream runs': ({ time }) => pass(time, 100),
  'while an UP is under way': async (made) => {
    await settle();
    write(made, 10);
  },
  'while an UP waits to be said again': async (made) => {
    await settle();
    fail(made.http, 'up', 1);
    write(made, 10);
    await settle();
  },
  'while a DOWN waits to be asked again': async (made) => {
    await settle();
    fail(made.http, 'down', 1);
    made.http.down.cut();
    await settle();
  },
})) {
  test(`nothing runs after close, ${name}`, async () => {
    const BroadcastChannel = fakeBroadcastChannel();
    const made = make({ BroadcastChannel });
    const { http, link, time, told } = made;
    link.begin();
    await act(made);
    const before = [http.asked.length, told.length];
    link.close();
    assert.equal(time.pending, 0);
    await pass(time, 60_000, 5000);
    assert.deepEqual([http.asked.length, told.length], before);
    assert.equal(http.inFlight, 0);
    assert.equal(BroadcastChannel.open, 0);
    assert.equal(link.flush(), false);
    assert.equal(link.sayLast(Uint8Array.of(1)), false);
  });
}

test('an answer that comes after close is not listened to', async () => {
  const made = make({ kind: 'poll' });
  const { env, link, told, time } = made;
  let answer;
  env.fetch = () => new Promise((done) => (answer = done));
  link.begin();
  link.close();
  answer(new Response(frames.encode(frames.WELCOME, 1, 0, 0, new Uint8Array(32), new Map())));
  await settle();
  assert.deepEqual(told, []);
  assert.equal(link.isWelcomed, false);
  assert.equal(time.pending, 0);
});
