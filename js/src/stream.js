// What may happen on a stream, and what does it still have to say? The twin of core/stream.py.
//
// Every transition is a row of `TABLE`: what is not in it is a protocol error. A frame that
// we number and a frame that we receive take the same row. What waits to be numbered is state
// and not a queue, so that a stream never owes more than its window plus a few frames.

import * as Code from './codes.js';
import { LocalError, StreamError } from './errors.js';
import { ReceiveWindow, SendCredit } from './flow.js';

/** @typedef {'idle' | 'opening' | 'open' | 'eof' | 'closed'} State */
/** @typedef {'up' | 'down'} Direction */

/** @type {Record<string, State>} */
const BOTH = {
  'idle OPEN': 'opening',
  'closed OPEN': 'opening',
  'opening OPENED': 'open',
  'open DATA': 'open',
  'open EOF': 'eof',
  'opening CLOSED': 'closed',
  'open CLOSED': 'closed',
  'eof CLOSED': 'closed',
};

/** @type {Record<Direction, Record<string, State>>} */
export const TABLE = {
  // The client may send before it knows that the backend is there, and what it sent may
  // cross a CLOSED: for a closed id it means nothing.
  up: {
    ...BOTH,
    'opening DATA': 'opening',
    'opening EOF': 'eof',
    'eof OPENED': 'eof',
    'opening RESET': 'closed',
    'open RESET': 'closed',
    'eof RESET': 'closed',
    'closed DATA': 'closed',
    'closed EOF': 'closed',
    'closed RESET': 'closed',
    'closed OPENED': 'closed',
    'closed CLOSED': 'closed',
  },
  down: BOTH,
};

/** Bytes of one stream that no frame holds yet, in order. */
export class SendQueue {
  /** @type {Uint8Array[]} */
  #chunks = [];
  size = 0;

  /** @param {Uint8Array} bytes */
  put(bytes) {
    this.#chunks.push(bytes);
    this.size += bytes.length;
  }

  /**
   * Take the next `count` bytes, in pieces.
   *
   * @param {number} count
   */
  take(count) {
    if (!(count > 0 && count <= this.size)) {
      throw new LocalError(`taking ${count} of ${this.size} queued bytes`);
    }
    this.size -= count;
    const parts = [];
    while (count) {
      const chunk = this.#chunks[0];
      const part = chunk.subarray(0, count);
      if (part.length < chunk.length) this.#chunks[0] = chunk.subarray(part.length);
      else this.#chunks.shift();
      parts.push(part);
      count -= part.length;
    }
    return parts;
  }

  clear() {
    this.#chunks = [];
    this.size = 0;
  }
}

/** One TCP connection inside a session, seen from the client. */
export class Stream {
  /** @type {State} */
  up = 'idle';
  /** @type {State} */
  down = 'idle';
  queue = new SendQueue();
  acked = 0;
  // What waits to be numbered: the values of its frame, or whether there is one.
  /** @type {any[] | undefined} */
  opening;
  /** @type {any[] | undefined} */
  reset;
  stop = false;
  eof = false;
  // The page wants no more of what the peer sends.
  discarding = false;
  openNumbered = false;
  // Whether it waits in the session's turn for DATA.
  ready = false;

  /**
   * @param {number} id
   * @param {SendCredit} credit
   * @param {ReceiveWindow} window
   */
  constructor(id, credit, window) {
    this.id = id;
    this.credit = credit;
    this.window = window;
  }

  /**
   * Take one row of the table. Throws `StreamError` where there is none.
   *
   * @param {Direction} direction
   * @param {string} step the name of a frame
   */
  move(direction, step) {
    const state = TABLE[direction][`${this[direction]} ${step}`];
    if (!state) {
      throw new StreamError(
        Code.STREAM_PROTOCOL,
        `stream ${this.id}: ${step} in state ${this[direction]}`,
      );
    }
    this[direction] = state;
  }

  /** @param {string} step */
  moveBoth(step) {
    this.move('up', step);
    this.move('down', step);
  }

  get sends() {
    return isLive(this.up);
  }

  get receives() {
    return isLive(this.down);
  }

  /** Bytes of DATA that could be numbered now. */
  get sendable() {
    if (this.opening || !this.sends) return 0;
    return Math.min(this.queue.size, this.credit.room);
  }

  /**
   * Compare an EOF's total with what arrived. Throws `StreamError`.
   *
   * @param {number} total
   */
  checkTotal(total) {
    const { received } = this.window;
    if (total !== received) {
      throw new StreamError(
        Code.STREAM_PROTOCOL,
        `stream ${this.id}: EOF at ${total} after ${received} bytes`,
      );
    }
  }

  /** Forget everything that was not numbered; CLOSED and RESET overtake it. */
  dropUnsent() {
    this.queue.clear();
    this.opening = undefined;
    this.stop = false;
    this.eof = false;
  }
}

/** @param {State} state */
const isLive = (state) => state === 'opening' || state === 'open';
