// Do bytes and frames mean each other here as they do in Python? (tests/vectors/frames.json)

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as Code from '../src/codes.js';
import * as frames from '../src/frames.js';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const unhex = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
const vectors = JSON.parse(readFileSync(new URL('../../tests/vectors/frames.json', import.meta.url), 'utf8'));

const CODES = { PROTOCOL: Code.PROTOCOL, TOO_BIG: Code.TOO_BIG };

/** Turn a field of the vectors into what the layout's letter takes. */
const value = (letter, field) => {
  if (letter === 'v') return new Map(Object.entries(field).map(([number, content]) => [Number(number), unhex(content)]));
  return 'skr'.includes(letter) ? unhex(field) : field;
};

const decode = (bytes) => new frames.Decoder(frames.MAX_CLIENT_DATA_BYTES).feed(bytes);
const known = vectors.good.filter(({ hex: wire }) => frames.LAYOUT[unhex(wire)[0]] !== undefined);

test('the vectors have every frame that this end knows', () => {
  const kinds = new Set(known.map(({ hex: wire }) => String(unhex(wire)[0])));
  assert.deepEqual(new Set(Object.keys(frames.LAYOUT)), kinds);
});

for (const { frame, fields, hex: wire } of known) {
  test(`${frame} ${wire.slice(0, 24)} is read and written`, () => {
    const [raw] = decode(unhex(wire));
    const layout = frames.LAYOUT[raw.kind];
    const expected = Object.values(fields).map((field, index) => value(layout[index], field));
    assert.deepEqual(frames.parse(raw), expected);
    assert.equal(hex(frames.encode(raw.kind, ...expected)), wire);
  });
}

for (const { stream, length, header } of vectors.data) {
  test(`DATA of ${length} bytes on stream ${stream} begins with ${header}`, () => {
    const data = frames.encodeData(stream, [new Uint8Array(length)], length);
    assert.equal(hex(data.subarray(0, data.length - length)), header);
    const [raw] = decode(data);
    assert.deepEqual([raw.kind, raw.stream, raw.body.length], [frames.DATA, stream, length]);
  });
}

for (const { why, hex: wire, code } of vectors.bad) {
  test(`${why} is refused`, () => {
    const read = () => decode(unhex(wire)).map((raw) => raw.kind in frames.LAYOUT && frames.parse(raw));
    assert.throws(read, (error) => error.code === CODES[code]);
  });
}

for (const { why, hex: wire, fields } of vectors.long) {
  test(`${why} is read`, () => {
    assert.deepEqual(frames.parse(decode(unhex(wire))[0]), Object.values(fields));
  });
}
