// Do frames survive the wire, however it cuts them?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as Code from '../src/codes.js';
import * as frames from '../src/frames.js';
import * as varint from '../src/varint.js';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const unhex = (text) => Uint8Array.from(Buffer.from(text, 'hex'));

// RFC 9000, appendix A.1, and the edges.
const INTEGERS = [
  ['00', 0],
  ['25', 37],
  ['3f', 63],
  ['4040', 64],
  ['7bbd', 15293],
  ['7fff', 16383],
  ['80004000', 16384],
  ['9d7f3e7d', 494878333],
  ['bfffffff', 2 ** 30 - 1],
  ['c000000040000000', 2 ** 30],
  ['c00000ffffffffff', 2 ** 40 - 1],
  ['c01fffffffffffff', 2 ** 53 - 1],
];

for (const [wire, value] of INTEGERS) {
  test(`${value} is ${wire}`, () => {
    assert.equal(hex(varint.encode(value)), wire);
    assert.equal(new varint.Reader(unhex(wire)).int(), value);
  });
}

test('a longer encoding than needed is accepted', () => {
  assert.equal(new varint.Reader(unhex('4025')).int(), 37);
});

test('an integer above 2^53-1 is a protocol error', () => {
  for (const wire of ['c020000000000000', 'ffffffffffffffff']) {
    assert.throws(() => new varint.Reader(unhex(wire)).int(), { code: Code.PROTOCOL });
  }
});

test('what is no integer of ours is never encoded', () => {
  for (const value of [-1, 2 ** 53, NaN]) assert.throws(() => varint.encode(value));
});

const tlvs = new Map([[2, Uint8Array.of(0x40, 0x80)]]);
const FRAMES = [
  [frames.PAD, Uint8Array.of(1, 2)],
  [frames.ACK, 2 ** 40],
  [frames.PONG, 5, 6],
  [frames.HELLO, 1, 1, 1, 0, 0, new Uint8Array(16).fill(1), new Uint8Array(32).fill(2), tlvs],
  [frames.WELCOME, 1, 0, 1, new Uint8Array(32).fill(3), tlvs],
  [frames.REFUSE, Code.ORIGIN, 0, 'origin “x”'],
  [frames.OPEN, 2, 65536, 6667, 'irc.example.org', new Map()],
  [frames.OPENED, 2, 65536, '192.0.2.1', 6667, '::1', 0],
  [frames.CLOSED, 254, 8, 1, 2, ''],
];

for (const [kind, ...values] of FRAMES) {
  test(`frame ${kind} comes back as it was, cut anywhere`, () => {
    const wire = frames.encode(kind, ...values);
    for (let cut = 0; cut <= wire.length; cut += 1) {
      const decoder = new frames.Decoder(frames.MAX_SERVER_DATA_BYTES);
      const found = [...decoder.feed(wire.slice(0, cut)), ...decoder.feed(wire.slice(cut))];
      assert.equal(found.length, 1);
      assert.equal(found[0].size, wire.length);
      assert.deepEqual(frames.parse(found[0]), values);
      assert.equal(decoder.pendingBytes, 0);
    }
  });
}

for (const [stream, length, header] of [
  [2, 1, '8201'],
  [126, 63, 'fe3f'],
  [128, 64, 'ff40804040'],
  [2, 16384, '8280004000'],
]) {
  test(`DATA of ${length} bytes on stream ${stream} has the header ${header}`, () => {
    const payload = new Uint8Array(length).fill(7);
    const wire = frames.encodeData(stream, [payload], length);
    assert.equal(hex(wire.slice(0, -length)), header);
    const [raw] = new frames.Decoder(65_535).feed(wire);
    assert.deepEqual([raw.kind, raw.stream, raw.body.length], [frames.DATA, stream, length]);
  });
}

test('many frames in one message are cut byte by byte alike', () => {
  const wire = frames.join(FRAMES.map(([kind, ...values]) => frames.encode(kind, ...values)));
  const decoder = new frames.Decoder(65_535);
  const found = [...wire].flatMap((byte) => decoder.feed(Uint8Array.of(byte)));
  assert.deepEqual(found.map(({ kind }) => kind), FRAMES.map(([kind]) => kind));
});

for (const [what, wire, code] of [
  ['a body above 16 KiB', '0080004001', Code.TOO_BIG],
  ['DATA above its limit', '8280010000', Code.TOO_BIG],
  ['DATA without a byte', '8200', Code.PROTOCOL],
]) {
  test(`${what} is refused before a byte of it is kept`, () => {
    const decoder = new frames.Decoder(frames.MAX_SERVER_DATA_BYTES);
    assert.throws(() => decoder.feed(unhex(wire)), { code });
  });
}

for (const [what, wire] of [
  ['too short', '0700'],
  ['too long', '01020101'],
  ['not UTF-8', '0803260 1ff'.replace(' ', '')],
  ['a secret of 3 bytes', '060701000003010203'],
]) {
  test(`a body that is ${what} is a protocol error`, () => {
    const [raw] = new frames.Decoder(65_535).feed(unhex(wire));
    assert.throws(() => frames.parse(raw), { code: Code.PROTOCOL });
  });
}

test('a reason is cut at 200 bytes, never inside a character', () => {
  assert.equal(frames.clip('ü'.repeat(150)), 'ü'.repeat(100));
  assert.equal(frames.clip(`x${'ü'.repeat(150)}`), `x${'ü'.repeat(99)}`);
});

test('a field that is no integer is a protocol error', () => {
  assert.equal(frames.tlvInt(new Map(), 2, 5), 5);
  for (const content of [[], [0x40], [1, 2]]) {
    const fields = new Map([[2, Uint8Array.from(content)]]);
    assert.throws(() => frames.tlvInt(fields, 2, 5), { code: Code.PROTOCOL });
  }
});
