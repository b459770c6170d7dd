// How far may a stream send, and when is more granted? The twin of core/flow.py.
//
// A window is one absolute number, so that told twice or late it does no harm. It moves with
// consumption: a reader that stops stops its writer. It is told once half of it is used up,
// and doubles while the reader drains it faster than two round trips.

import * as Code from './codes.js';
import { LocalError, StreamError } from './errors.js';

export const BEFORE_WELCOME_BYTES = 16 * 1024;
const FAST_DRAIN_ROUND_TRIPS = 2;

/** How many bytes of a stream the peer will take. */
export class SendCredit {
  sent = 0;

  /** @param {number} maxBytes */
  constructor(maxBytes) {
    this.max = maxBytes;
  }

  get room() {
    return this.max - this.sent;
  }

  /**
   * Take the peer's word; a lower one is old news.
   *
   * @param {number} maxBytes
   */
  grant(maxBytes) {
    this.max = Math.max(this.max, maxBytes);
  }

  /** @param {number} count */
  spend(count) {
    if (count > this.room) {
      throw new LocalError(`sending ${count} bytes with credit for ${this.room}`);
    }
    this.sent += count;
  }
}

/** How many bytes of a stream we promised to take. */
export class ReceiveWindow {
  received = 0;
  consumed = 0;

  /**
   * @param {number} sizeBytes
   * @param {number} nowS
   */
  constructor(sizeBytes, nowS) {
    this.size = sizeBytes;
    this.max = sizeBytes;
    this.grantedAtS = nowS;
  }

  /** Bytes that arrived and were not consumed yet. */
  get held() {
    return this.received - this.consumed;
  }

  /** @param {number} count */
  receive(count) {
    if (this.received + count > this.max) {
      throw new StreamError(Code.FLOW, `offset ${this.received + count} beyond window ${this.max}`);
    }
    this.received += count;
  }

  /** @param {number} count */
  consume(count) {
    if (count > this.held) throw new LocalError(`consuming ${count} bytes of ${this.held} held`);
    this.consumed += count;
  }

  /** Whether a grant is worth a frame. */
  get due() {
    return 2 * (this.consumed + this.size - this.max) >= this.size;
  }

  /**
   * Return the new maximum; the window may double within `spare` bytes.
   *
   * @param {number} nowS
   * @param {number} rttS
   * @param {number} spare
   */
  grant(nowS, rttS, spare) {
    const fast = nowS - this.grantedAtS <= FAST_DRAIN_ROUND_TRIPS * rttS;
    if (fast && this.size <= spare) this.size *= 2;
    this.grantedAtS = nowS;
    this.max = Math.max(this.max, this.consumed + this.size);
    return this.max;
  }
}
