// Does the JavaScript client say, byte for byte, what the Python client says?

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { ClientAttach } from '../src/attach.js';
import { Session } from '../src/session.js';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const LONG_BYTES = 256;
const unhex = (text) => Uint8Array.from(Buffer.from(text, 'hex'));

/** Take the steps of one trace; what they gave is checked on the way. */
function replay({ windows, clock, random, steps, end }) {
  let now = clock;
  const session = new Session(() => now, windows);
  const drawn = random.map(unhex);
  const attach = new ClientAttach(session, () => drawn.shift());
  let link;
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
      const message = session.nextMessage(link.outbound, room);
      assert.equal(message.length > LONG_BYTES ? sha256(message) : hex(message), expected);
    },
  };
  for (const [name, ...values] of steps) acts[name](...values);
  assert.deepEqual([session.rx, session.log.base, session.log.next], end);
}

const traces = JSON.parse(readFileSync(new URL('../../tests/vectors/traces.json', import.meta.url), 'utf8'));

test('there are 300 traces, and they say something', () => {
  assert.equal(traces.length, 300);
  const said = traces.flatMap(({ steps }) => steps.filter(([name, , bytes]) => name === 'nextMessage' && bytes));
  assert.ok(said.length > 1500, `${said.length} messages`);
});

for (const [index, trace] of traces.entries()) {
  test(`trace ${index}: ${trace.steps.length} steps give the same bytes`, () => replay(trace));
}
