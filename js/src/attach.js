// How does a link join a session? The client's twin of core/attach.py.
//
// Creating, resuming after a loss and moving to another carrier are one operation: "here is
// link number n; I hold your log up to rx". The client draws the id and the first secret, so
// that a lost answer or a race of two links can never make two sessions. Nothing of a link older
// than the newest HELLO is listened to: its owner drops the pipe.

import * as Code from './codes.js';
import { LinkError } from './errors.js';
import * as frames from './frames.js';
import { Inbound } from './pipe.js';

/** @import { Outbound } from './pipe.js' */
/** @import { Session } from './session.js' */

const VERSION = 1;

export class ClientAttach {
  link = 0;
  /** What the next HELLO shows; later requests of a link show none. */
  ticket = '';
  known = false;
  lingerS = 0;
  pingMs = 0;
  maxPost = 0;
  /** @type {Outbound | undefined} */
  #out;
  #secret;
  // What attached the newest link.
  #attaching;

  /**
   * @param {Session} session
   * @param {(count: number) => Uint8Array} random
   */
  constructor(session, random) {
    this.session = session;
    this.sid = random(frames.SID_BYTES);
    this.#secret = this.#attaching = random(frames.SECRET_BYTES);
    session.onWelcome = (values) => this.#welcomed(values);
  }

  /**
   * Start the next link. Until its WELCOME only a new session may send frames. Over HTTP the
   * first DOWN attaches: its `request` is 1.
   *
   * @param {number} [request]
   * @param {frames.Tlvs} [tlvs]
   */
  hello(request = 0, tlvs = new Map()) {
    const { session, known } = this;
    this.link += 1;
    const out = session.attach();
    this.#out = out;
    this.#attaching = this.#secret;
    session.mayNumber = !known;
    if (this.ticket) tlvs.set(Code.HELLO_TICKET, new TextEncoder().encode(this.ticket));
    session.say(frames.HELLO, ...this.#hello(known ? 0 : frames.FLAG_CREATE, request, tlvs));
    return { inbound: new Inbound(), outbound: out };
  }

  /**
   * Return what begins a request that goes on with the newest link.
   *
   * @param {number} request
   * @param {frames.Tlvs} [tlvs]
   */
  short(request, tlvs = new Map()) {
    return frames.encode(frames.HELLO, ...this.#hello(0, request, tlvs));
  }

  /**
   * Return what ends the session from outside of any link, as a page does that leaves.
   *
   * @param {number} code
   * @param {string} text
   */
  farewell(code, text) {
    const values = [VERSION, 0, this.link + 1, 1, 0, this.sid, this.#secret, new Map()];
    return frames.join([
      frames.encode(frames.HELLO, ...values),
      frames.encode(frames.BYE, code, frames.clip(text)),
    ]);
  }

  /**
   * @param {number} flags
   * @param {number} request
   * @param {frames.Tlvs} tlvs
   */
  #hello(flags, request, tlvs) {
    return [VERSION, flags, this.link, request, this.session.rx, this.sid, this.#attaching, tlvs];
  }

  /** @param {any[]} values of a WELCOME */
  #welcomed([link, rx, , nextSecret, tlvs]) {
    if (link !== this.link) throw new LinkError(`WELCOME to link ${link} on link ${this.link}`);
    const { session } = this;
    session.log.acknowledge(rx);
    if (this.#out) this.#out.position ??= rx;
    this.#secret = nextSecret;
    this.known = true;
    this.lingerS = frames.tlvInt(tlvs, Code.WELCOME_LINGER_S, this.lingerS);
    this.maxPost = frames.tlvInt(tlvs, Code.WELCOME_MAX_POST, this.maxPost);
    this.pingMs = frames.tlvInt(tlvs, Code.WELCOME_PING_MS, this.pingMs);
    const { log } = session;
    log.limit(frames.tlvInt(tlvs, Code.WELCOME_SESSION_WINDOW_UP, log.windowMax));
    session.start(frames.tlvInt(tlvs, Code.WELCOME_STREAM_WINDOW, session.initialCredit));
  }
}
