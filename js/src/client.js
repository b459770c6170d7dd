// How do the sockets of a page share one session?
//
// A client owns one session and its line, and joins each stream of the session to the socket
// that asked for it. It lives until the session is lost or ended; what was asked and never sent
// is handed back, for it may still be served by the next session.

import { ClientAttach } from './attach.js';
import * as Code from './codes.js';
import { Line } from './line.js';
import { Session } from './session.js';

/** @import { Environment } from './environment.js' */
/** @import { Event } from './events.js' */
/** @import { LineOptions } from './line.js' */
/** @import { Request } from './request.js' */

const OPEN_WITHIN_MS = 20_000;
// So much of a stream may wait to be numbered before its writer waits too: then many small
// writes of one turn share a message.
const UNNUMBERED_BYTES = 16 * 1024;
/** What ends a session and says why to its streams; after all else they are lost. @type {number[]} */
const TELLING = [Code.KILLED, Code.TICKET_REQUIRED, Code.TICKET_REFUSED];

/**
 * @typedef {object} ClientOwner
 * @property {(client: Client, state: 'connecting' | 'up' | 'reconnecting' | 'lost', cause: string) => void} clientState
 * @property {(requests: Request[]) => void} clientOrphans never sent; another session may serve them
 * @property {(client: Client) => void} clientGoesAway it takes no more requests
 * @property {(client: Client) => void} clientEnded it has nothing more to do
 */

/** One session, its line and the requests that it serves. */
export class Client {
  /** @type {Map<number, Request>} */
  #requests = new Map();
  #goingAway = false;
  bytesIn = 0;
  bytesOut = 0;
  resumes = 0;

  /**
   * @param {string} url
   * @param {Environment} env
   * @param {ClientOwner} owner
   * @param {LineOptions} options
   */
  constructor(url, env, owner, options) {
    this.env = env;
    this.owner = owner;
    this.session = new Session(() => env.now() / 1000);
    this.attach = new ClientAttach(this.session, env.randomBytes);
    this.line = new Line(url, this.session, this.attach, env, this, options);
  }

  /** @param {Request} request */
  open(request) {
    request.client = this;
    request.id = this.session.open(request.host, request.port, request.tlvs);
    this.#requests.set(request.id, request);
    request.timer ??= this.env.setTimeout(() => {
      const { trouble } = this.line;
      const text = `no answer in ${OPEN_WITHIN_MS} ms${trouble && `: ${trouble}`}`;
      request.client?.reset(request, Code.CONNECT_TIMEOUT, text);
    }, OPEN_WITHIN_MS);
    this.line.flushSoon();
  }

  /**
   * Do something to a stream, if it still is one.
   *
   * @param {Request} request
   * @param {(session: Session, id: number) => void} verb
   */
  act({ id }, verb) {
    if (!this.session.streams.has(id)) return;
    verb(this.session, id);
    this.line.flushSoon();
  }

  /**
   * @param {Request} request
   * @param {Uint8Array} bytes
   * @param {() => void} done
   */
  write(request, bytes, done) {
    this.bytesOut += bytes.length;
    this.act(request, (session, id) => session.write(id, bytes));
    if (this.session.queued(request.id) > UNNUMBERED_BYTES) request.done = done;
    else done();
  }

  /**
   * Abort a stream; the page hears of it now, whatever the server still says.
   *
   * @param {Request} request
   * @param {number} code
   * @param {string} text
   */
  reset(request, code, text) {
    this.act(request, (session, id) => session.reset(id, code, text));
    this.#end(request, code, text, 0);
  }

  /**
   * End the session and every stream in it.
   *
   * @param {number} code
   * @param {string} text
   */
  close(code, text) {
    this.line.close(code, text);
    for (const request of this.#requests.values()) this.#end(request, code, text, 0);
  }

  get switches() {
    return this.line.switches;
  }

  get streams() {
    return [...this.#requests.values()].flatMap(({ id, host, port }) => {
      const stream = this.session.streams.get(id);
      if (!stream) return [];
      const { credit, window, queue, acked } = stream;
      return [
        {
          id,
          host,
          port,
          sendWindow: credit.room,
          receiveWindow: window.size,
          queuedBytes: queue.size,
          heldBytes: window.held,
          ackedBytes: acked,
        },
      ];
    });
  }

  // What the line asks and tells.

  isWanted() {
    return this.#requests.size > 0;
  }

  isWaiting() {
    for (const { queue } of this.session.streams.values()) if (queue.size) return true;
    return false;
  }

  lineSent() {
    for (const id of this.session.takeProgress()) {
      const request = this.#requests.get(id);
      if (!request?.done || this.session.queued(id) > UNNUMBERED_BYTES) continue;
      const { done } = request;
      request.done = undefined;
      done();
    }
  }

  /**
   * @param {boolean} up
   * @param {string} cause
   */
  lineState(up, cause) {
    const down = this.attach.known ? 'reconnecting' : 'connecting';
    this.owner.clientState(this, up ? 'up' : down, cause);
  }

  /**
   * @param {number} code
   * @param {string} text
   */
  lineLost(code, text) {
    this.owner.clientState(this, 'lost', text);
    this.owner.clientEnded(this);
    // Nothing was ever accepted: the refusal itself is what the page must hear.
    if (!this.attach.known) return this.close(code, text);
    for (const { stream, acked } of this.session.lose()) {
      const request = this.#requests.get(stream);
      if (request) this.#end(request, TELLING.includes(code) ? code : Code.LOST, text, acked);
    }
    const orphans = [...this.#requests.values()];
    this.#requests.clear();
    this.owner.clientOrphans(orphans);
  }

  /** @param {Event} event */
  lineEvent(event) {
    if (event.type === 'welcomed') this.resumes += event.resumed ? 1 : 0;
    if (event.type === 'goingAway') this.#goAway();
    const request = 'stream' in event && this.#requests.get(event.stream);
    if (!request) return;
    const { events } = request;
    if (event.type === 'opened') {
      this.#opened(request, event.remote, event.local);
    } else if (event.type === 'data') {
      this.bytesIn += event.bytes.length;
      events.onData(event.bytes);
    } else if (event.type === 'eof') {
      events.onEof();
    } else if (event.type === 'closed') {
      this.#closed(request, event.code, event.text, event.acked);
    }
  }

  /**
   * @param {Request} request
   * @param {[string, number]} remote
   * @param {[string, number]} local
   */
  #opened(request, [remoteAddress, remotePort], [localAddress, localPort]) {
    this.env.clearTimeout(request.timer);
    request.isOpen = true;
    request.events.onOpened({ remoteAddress, remotePort, localAddress, localPort });
  }

  /**
   * @param {Request} request
   * @param {number} code
   * @param {string} text
   * @param {number} acked
   */
  #closed(request, code, text, acked) {
    if (code === Code.BUSY && this.#goingAway && !request.isOpen) {
      // It crossed the GOAWAY and was never tried.
      this.#requests.delete(request.id);
      this.owner.clientOrphans([request]);
      this.#leaveIfDrained();
    } else {
      this.#end(request, code, text, acked);
    }
  }

  #goAway() {
    this.#goingAway = true;
    this.owner.clientGoesAway(this);
    this.#leaveIfDrained();
  }

  #leaveIfDrained() {
    if (!this.#goingAway || this.#requests.size) return;
    this.line.close(Code.CLEAN, '');
    this.owner.clientEnded(this);
  }

  /**
   * @param {Request} request
   * @param {number} code
   * @param {string} text
   * @param {number} acked
   */
  #end(request, code, text, acked) {
    this.env.clearTimeout(request.timer);
    this.#requests.delete(request.id);
    request.client = request.done = undefined;
    request.events.onClosed(code, text, acked);
    this.#leaveIfDrained();
  }
}
