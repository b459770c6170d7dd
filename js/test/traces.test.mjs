// Does the JavaScript client say, byte for byte, what the Python client says?

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { ClientAttach } from '../src/attach.js';
import * as Code from '../src/codes.js';
import { OPENS_DOWN, OPENS_REPLY, join } from '../src/frames.js';
import { Inbound } from '../src/pipe.js';
import { Session } from '../src/session.js';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const LONG_BYTES = 256;
const unhex = (text) => Uint8Array.from(Buffer.from(text, 'hex'));

/** Take the steps of one trace; what they gave is checked on the way. */
function replay({ windows, clock, random, steps, end, farewell }) {
  let now = clock;
  const session = new Session(() => now, windows);
  const drawn = random.map(unhex);
  const attach = new ClientAttach(session, () => drawn.shift());
  let link;
  const same = (bytes, expected) => assert.equal(bytes.length > LONG_BYTES ? sha256(bytes) : hex(bytes), expected);
  const mode = (value) => new Map([[Code.HELLO_MODE, Uint8Array.of(value)]]);
  const acts = {
    hello: () => void (link = attach.hello()),
    clock: (to) => void (now = to),
    open: (host, port, id) => assert.equal(session.open(host, port), id),
    write: (id, size, byte) => session.write(id, new Uint8Array(size).fill(byte)),
    writeEof: (id) => session.writeEof(id),
    reset: (id, code, text) => session.reset(id, code, text),
    stop: (id) => session.stop(id),
    consume: (id, count) => session.consume(id, count),
    receive: (bytes) => session.receiveMessage(link.inbound, unhex(bytes)),
    nextMessage: (room, expected) => {
      same(session.nextMessage(link.outbound, room), expected);
    },
    // Over HTTP.
    attach: (value, room, expected) => {
      link = attach.hello(1, mode(value));
      same(session.nextMessage(link.outbound, room), expected);
    },
    heard: (bytes) => session.receive(link.inbound, unhex(bytes)),
    down: (request, value, expected) => {
      same(attach.short(request, mode(value)), expected);
      session.acked();
      link.inbound = new Inbound(OPENS_DOWN);
    },
    up: (request, room, expected) => {
      const rest = session.nextMessage({ position: undefined, cursor: session.log.first }, room);
      same(join([attach.short(request), rest]), expected);
    },
    reply: (bytes) => session.receive(new Inbound(OPENS_REPLY), unhex(bytes)),
  };
  for (const [name, ...values] of steps) acts[name](...values);
  assert.deepEqual([session.rx, session.log.base, session.log.next], end);
  if (farewell) assert.equal(hex(attach.farewell(Code.ABORTED, 'the page left')), farewell);
}

const read = (name) => JSON.parse(readFileSync(new URL(`../../tests/vectors/${name}.json`, import.meta.url), 'utf8'));
const traces = read('traces');
const posts = read('posts');

test('there are 300 traces, and they say something', () => {
  assert.equal(traces.length, 300);
  const said = traces.flatMap(({ steps }) => steps.filter(([name, , bytes]) => name === 'nextMessage' && bytes));
  assert.ok(said.length > 1500, `${said.length} messages`);
});

test('there are 100 traces over HTTP, and they say something', () => {
  const said = posts.flatMap(({ steps }) => steps.filter(([name]) => name === 'up' || name === 'heard'));
  assert.equal(posts.length, 100);
  assert.ok(said.length > 1500, `${said.length} bodies`);
});

for (const [index, trace] of posts.entries()) {
  test(`trace ${index} over HTTP: ${trace.steps.length} steps give the same bytes`, () => replay(trace));
}

for (const [index, trace] of traces.entries()) {
  test(`trace ${index}: ${trace.steps.length} steps give the same bytes`, () => replay(trace));
}
