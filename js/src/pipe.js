// Where in the two logs does one carrier of bytes stand? The twin of core/pipe.py.
//
// A WebSocket is one inbound and one outbound pipe for as long as it lives; over HTTP each
// request body and each response body is one. A pipe knows just enough to place its frames: AT,
// and the rule that a frame below `rx` is old news, one across it is a lie, and one above it is
// a hole.

import * as Code from './codes.js';
import { LinkError, PeerError } from './errors.js';
import { Decoder, MAX_SERVER_DATA_BYTES, OPENS_LINK } from './frames.js';

/** Bytes from the peer. */
export class Inbound {
  decoder = new Decoder(MAX_SERVER_DATA_BYTES);
  /** @type {number | undefined} */
  position;
  welcomeDue;
  /** Whether its first byte is still to come. */
  isBlank = true;
  /** How often the peer asked here for a sign of life. */
  pings = 0;
  #first;

  /** @param {number[]} [first] the types that its first frame may have */
  constructor(first = OPENS_LINK) {
    this.#first = first;
    this.welcomeDue = first === OPENS_LINK;
  }

  /**
   * Look at the first byte: a proxy's own page is told by it. Throws `LinkError` where it is
   * not the server's.
   *
   * @param {Uint8Array} bytes
   */
  begin(bytes) {
    if (!this.isBlank || !bytes.length) return;
    if (!this.#first.includes(bytes[0])) {
      throw new LinkError(`an answer that begins with byte ${bytes[0]} is not the server's`);
    }
    this.isBlank = false;
  }

  /**
   * The next numbered frame starts at `offset`; only forward on one pipe.
   *
   * @param {number} offset
   */
  at(offset) {
    if (this.position !== undefined && offset < this.position) {
      throw new PeerError(Code.PROTOCOL, `AT ${offset} behind ${this.position}`);
    }
    this.position = offset;
  }

  /**
   * Return whether a numbered frame of `size` bytes is the one at `rx`; false: it came before.
   * Throws `LinkError` for a hole, `PeerError` for a frame across `rx`.
   *
   * @param {number} size
   * @param {number} rx
   */
  place(size, rx) {
    const start = this.position ?? rx;
    if (start > rx) throw new LinkError(`frame at ${start} after ${rx}`);
    this.position = start + size;
    if (start === rx) return true;
    if (this.position > rx) {
      throw new PeerError(Code.PROTOCOL, `frame ${start}..${this.position} across ${rx}`);
    }
    return false;
  }
}

/**
 * Bytes to the peer: `position` is the offset that it expects next here, undefined before it
 * can know; `cursor` is the number of the log entry that goes next.
 *
 * @typedef {{position: number | undefined, cursor: number}} Outbound
 */
