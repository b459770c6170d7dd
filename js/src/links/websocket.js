// How does a WebSocket carry a session?
//
// A link tells its owner that it is open, what came, and once that it is gone; after `close` it
// tells nothing. It takes bytes while its backlog is short, so that what is sent next is decided
// as late as possible. Before it carries anything it may be asked to prove that it can: what an
// open WebSocket takes may still be held by something on the way.

import * as Code from '../codes.js';
import { PeerError } from '../errors.js';
import * as frames from '../frames.js';

/** @import { ClientAttach } from '../attach.js' */
/** @import { Event } from '../events.js' */
/** @import { Inbound, Outbound } from '../pipe.js' */
/** @import { Session } from '../session.js' */

const SUBPROTOCOL = 'sockproxy.v1';
const BACKLOG_BYTES = 64 * 1024;
const CLOSE_BASE = 4000;
// A small one, and one that does not fit into a packet.
const ECHO_BYTES = [16, 4000];

/**
 * What every link tells. A `Link` is a WebSocketLink or an HttpLink.
 *
 * @typedef {object} LinkOwner
 * @property {(link: any) => void} linkOpened it can carry, or prove that it can
 * @property {(link: any) => void} linkProved
 * @property {(link: any, events: Event[]) => void} linkHeard
 * @property {(link: any, error: unknown) => void} linkFault what came cannot be used
 * @property {(link: any, cause: string) => void} linkClosed
 */

export class WebSocketLink {
  /** @type {'websocket'} */
  kind = 'websocket';
  isOpen = false;
  /** How many bytes of a request are under way, that only its answer will confirm. */
  underwayBytes = 0;
  #socket;
  /** @type {{inbound: Inbound, outbound: Outbound} | undefined} */
  #pipes;
  #echoes = 0;

  /**
   * @param {string} url
   * @param {typeof globalThis.WebSocket} WebSocket
   * @param {Session} session
   * @param {ClientAttach} attach
   * @param {LinkOwner} owner
   */
  constructor(url, WebSocket, session, attach, owner) {
    this.session = session;
    this.attach = attach;
    this.owner = owner;
    const socket = new WebSocket(url, SUBPROTOCOL);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.isOpen = true;
      owner.linkOpened(this);
    };
    socket.onmessage = ({ data }) => {
      if (typeof data !== 'string') return this.#receive(new Uint8Array(data));
      this.close(Code.PROTOCOL);
      owner.linkClosed(this, 'text where only bytes belong');
    };
    socket.onclose = ({ code, reason }) => {
      this.#forget();
      owner.linkClosed(this, `WebSocket closed ${code} ${reason}`.trim());
    };
  }

  /** Become the link that carries the session. */
  begin() {
    this.#pipes = this.attach.hello();
  }

  /** Whether the server has accepted it. */
  get isWelcomed() {
    return this.#pipes?.inbound.welcomeDue === false;
  }

  /** Ask for two echoes, without touching the session. */
  probe() {
    const hello = [1, frames.FLAG_PROBE, 0, 0, 0, new Uint8Array(0), new Uint8Array(0), new Map()];
    this.#send(frames.join([frames.encode(frames.HELLO, ...hello), this.#echo()]));
  }

  /** Send what there is to send, as far as there is room; return whether there was anything. */
  flush() {
    let hasSent = false;
    while (this.#pipes && this.isFree) {
      const message = this.session.nextMessage(this.#pipes.outbound);
      if (!message.length) break;
      this.#send(message);
      hasSent = true;
    }
    return hasSent;
  }

  /**
   * Say what ends the session; return whether it could be said.
   *
   * @param {Uint8Array} bytes
   */
  sayLast(bytes) {
    const isFree = Boolean(this.#pipes && this.isFree);
    if (isFree) this.#send(bytes);
    return isFree;
  }

  /** @param {number} [code] a hint for the log at the other end; the frames decide */
  close(code = Code.CLEAN) {
    this.#forget();
    this.#socket.close(CLOSE_BASE + code);
  }

  /** Whether it takes more bytes now. */
  get isFree() {
    return this.#socket.readyState === 1 && this.#socket.bufferedAmount < BACKLOG_BYTES;
  }

  /** @param {Uint8Array} bytes */
  #send(bytes) {
    this.#socket.send(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
  }

  /** @param {Uint8Array} bytes */
  #receive(bytes) {
    if (!this.#pipes) return this.#echoed(bytes);
    let events;
    try {
      events = this.session.receiveMessage(this.#pipes.inbound, bytes);
    } catch (error) {
      return this.owner.linkFault(this, error);
    }
    this.owner.linkHeard(this, events);
  }

  #echo() {
    const pad = new Uint8Array(ECHO_BYTES[this.#echoes]);
    return frames.join([frames.encode(frames.PING, 0), frames.encode(frames.PAD, pad)]);
  }

  /** @param {Uint8Array} bytes */
  #echoed(bytes) {
    const kinds = bytes[0] === frames.PONG ? kindsOf(bytes) : [];
    if (!kinds.includes(frames.PAD)) {
      this.close(Code.PROTOCOL);
      return this.owner.linkClosed(this, 'no echo');
    }
    this.#echoes += 1;
    if (this.#echoes < ECHO_BYTES.length) this.#send(this.#echo());
    else this.owner.linkProved(this);
  }

  #forget() {
    this.isOpen = false;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
  }
}

/** @param {Uint8Array} bytes */
function kindsOf(bytes) {
  try {
    return new frames.Decoder(frames.MAX_SERVER_DATA_BYTES).feed(bytes).map(({ kind }) => kind);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    return [];
  }
}
