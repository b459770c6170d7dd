// How does an integer look on the wire? (RFC 9000 section 16, up to 2^53-1.)
//
// Arithmetic only: the 32-bit operators would cut what lies above 2^31.

import * as Code from './codes.js';
import { CutError, LocalError, PeerError } from './errors.js';

const MAX_VALUE = Number.MAX_SAFE_INTEGER;
const BYTE = 256;
const MARK = 64;
const BOUNDS = [2 ** 6, 2 ** 14, 2 ** 30];

/**
 * Return the shortest encoding of `value`, 1 to 8 bytes.
 *
 * @param {number} value
 * @returns {number[]}
 */
export function encode(value) {
  if (!(value >= 0 && value <= MAX_VALUE)) {
    throw new LocalError(`integer ${value} outside 0..${MAX_VALUE}`);
  }
  const size = BOUNDS.filter((bound) => value >= bound).length;
  const bytes = [];
  for (let left = 2 ** size; left; left--) {
    bytes.unshift(value % BYTE);
    value = Math.floor(value / BYTE);
  }
  bytes[0] += size * MARK;
  return bytes;
}

/** Reads values one after the other; throws `CutError` where the bytes end early. */
export class Reader {
  /**
   * @param {Uint8Array} bytes
   * @param {number} [at]
   */
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  get left() {
    return this.bytes.length - this.at;
  }

  /** Longer encodings than needed are accepted. */
  int() {
    const [first] = this.take(1);
    if (first < MARK) return first;
    let value = first % MARK;
    for (const byte of this.take(2 ** Math.floor(first / MARK) - 1)) value = value * BYTE + byte;
    if (value > MAX_VALUE) throw new PeerError(Code.PROTOCOL, `integer above ${MAX_VALUE}`);
    return value;
  }

  /** @param {number} count */
  take(count) {
    if (count > this.left) throw new CutError();
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** The bytes behind their length. */
  prefixed() {
    return this.take(this.int());
  }
}
