// What did a page ask for, and who serves it now?

import * as Code from './codes.js';
import * as varint from './varint.js';

/** @import { Client } from './client.js' */
/** @import { StreamEvents, StreamVerbs, TCPSocketOptions } from './socket.js' */

/** One stream that a page wants; it may change sessions until it was sent. */
export class Request {
  id = 0;
  /** @type {Client | undefined} who serves it; none before and after */
  client;
  isOpen = false;
  /** @type {any} */
  timer;
  /** @type {(() => void) | undefined} the writer that waits for its bytes to be numbered */
  done;

  /**
   * @param {string} host
   * @param {number} port
   * @param {TCPSocketOptions} options
   * @param {StreamEvents} events
   */
  constructor(host, port, options, events) {
    this.host = host;
    this.port = port;
    this.options = options;
    this.events = events;
  }

  get tlvs() {
    const { noDelay, keepAliveDelay } = this.options;
    const tlvs = new Map();
    if (noDelay) tlvs.set(Code.OPEN_NO_DELAY, Uint8Array.of());
    if (keepAliveDelay) {
      tlvs.set(Code.OPEN_KEEP_ALIVE_MS, Uint8Array.from(varint.encode(keepAliveDelay)));
    }
    return tlvs;
  }

  /** @returns {StreamVerbs} */
  get verbs() {
    /** @param {(client: Client) => void} act */
    const ask = (act) => {
      if (this.client) act(this.client);
    };
    return {
      write: (bytes, done) => ask((client) => client.write(this, bytes, done)),
      end: () => ask((client) => client.act(this, (session, id) => session.writeEof(id))),
      consume: (count) => ask((client) => client.act(this, (session, id) => session.consume(id, count))),
      reset: (code) => ask((client) => client.reset(this, code, '')),
      stop: () => ask((client) => client.act(this, (session, id) => session.stop(id))),
    };
  }
}
