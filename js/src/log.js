// Which numbered frames does the peer not hold yet? The twin of core/log.py.
//
// An offset always denotes the same bytes: a frame is kept as it was first encoded, never
// split and never encoded again. The log holds at most one frame more than its window, and is
// charged a fixed sum for each frame besides its bytes.

import * as Code from './codes.js';
import { PeerError } from './errors.js';

/** @import { Stream } from './stream.js' */

export const FRAME_CHARGE_BYTES = 64;
const INITIAL_WINDOW_BYTES = 512 * 1024;

/**
 * A numbered frame; `end` is the offset behind it.
 *
 * @typedef {{end: number, bytes: Uint8Array, stream?: Stream, payloadBytes: number}} Entry
 */

/** Our numbered frames, from the first unacked one on. */
export class Log {
  /** @type {Entry[]} */
  entries = [];
  base = 0;
  next = 0;
  first = 0;
  blocked = false;

  /** @param {number} windowMaxBytes */
  constructor(windowMaxBytes) {
    this.windowMax = windowMaxBytes;
    this.window = Math.min(INITIAL_WINDOW_BYTES, windowMaxBytes);
  }

  get unackedBytes() {
    return this.next - this.base;
  }

  /** Whether no frame may be numbered now. Asks for a wider window: one is waiting. */
  isFull() {
    const charged = this.unackedBytes + FRAME_CHARGE_BYTES * this.entries.length;
    if (charged < this.window) return false;
    this.blocked = true;
    return true;
  }

  /** The number of the entry that comes next. */
  get end() {
    return this.first + this.entries.length;
  }

  /**
   * Keep the window below what the peer allows.
   *
   * @param {number} windowMaxBytes
   */
  limit(windowMaxBytes) {
    this.windowMax = windowMaxBytes;
    this.window = Math.min(this.window, windowMaxBytes);
  }

  /**
   * Number a frame.
   *
   * @param {Uint8Array} bytes
   * @param {Stream} [stream]
   * @param {number} [payloadBytes]
   */
  append(bytes, stream, payloadBytes = 0) {
    this.next += bytes.length;
    this.entries.push({ end: this.next, bytes, stream, payloadBytes });
  }

  /**
   * Drop what the peer holds; an older ack is no news. Throws `PeerError` for an ack of what
   * was never sent or of half a frame.
   *
   * @param {number} rx
   */
  acknowledge(rx) {
    if (rx <= this.base) return;
    if (rx > this.next) throw new PeerError(Code.PROTOCOL, `ack ${rx} beyond ${this.next}`);
    let count = 0;
    for (const { end, stream, payloadBytes } of this.entries) {
      if (end > rx) break;
      if (stream) stream.acked += payloadBytes;
      this.base = end;
      count += 1;
    }
    // At once, for taking them one by one moves the rest of a long log each time.
    this.entries.splice(0, count);
    this.first += count;
    if (this.base !== rx) {
      throw new PeerError(Code.PROTOCOL, `ack ${rx} inside a frame that starts at ${this.base}`);
    }
    if (this.blocked) {
      this.blocked = false;
      this.window = Math.min(2 * this.window, this.windowMax);
    }
  }

  /** @param {number} number */
  entry(number) {
    return this.entries[number - this.first];
  }
}
