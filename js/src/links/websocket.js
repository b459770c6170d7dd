// How does a WebSocket carry a session?
//
// A link tells its owner that it is open, what came, and once that it is gone; after `close`
// it tells nothing. It takes bytes while its backlog is short, so that what is sent next is
// decided as late as possible.

import * as Code from '../codes.js';

const SUBPROTOCOL = 'sockproxy.v1';
const BACKLOG_BYTES = 64 * 1024;
const CLOSE_BASE = 4000;

/**
 * @typedef {object} LinkOwner
 * @property {(link: WebSocketLink) => void} linkOpened
 * @property {(link: WebSocketLink, bytes: Uint8Array) => void} linkMessage
 * @property {(link: WebSocketLink, cause: string) => void} linkClosed
 */

export class WebSocketLink {
  #socket;

  /**
   * @param {string} url
   * @param {typeof globalThis.WebSocket} WebSocket
   * @param {LinkOwner} owner
   */
  constructor(url, WebSocket, owner) {
    const socket = new WebSocket(url, SUBPROTOCOL);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => owner.linkOpened(this);
    socket.onmessage = ({ data }) => {
      if (typeof data !== 'string') return owner.linkMessage(this, new Uint8Array(data));
      this.close(Code.PROTOCOL);
      owner.linkClosed(this, 'text where only bytes belong');
    };
    socket.onclose = ({ code, reason }) => {
      this.#forget();
      owner.linkClosed(this, `WebSocket closed ${code} ${reason}`.trim());
    };
  }

  /** Whether a message may be sent now. */
  get room() {
    return this.#socket.readyState === 1 && this.#socket.bufferedAmount < BACKLOG_BYTES;
  }

  /** @param {Uint8Array} bytes */
  send(bytes) {
    this.#socket.send(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
  }

  /** @param {number} [code] a hint for the log at the other end; the frames decide */
  close(code = Code.CLEAN) {
    this.#forget();
    this.#socket.close(CLOSE_BASE + code);
  }

  #forget() {
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
  }
}
