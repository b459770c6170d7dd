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
  known = false;
  lingerS = 0;
  pingMs = 0;
  /** @type {Outbound | undefined} */
  #out;
  #secret;

  /**
   * @param {Session} session
   * @param {(count: number) => Uint8Array} random
   */
  constructor(session, random) {
    this.session = session;
    this.sid = random(frames.SID_BYTES);
    this.#secret = random(frames.SECRET_BYTES);
    session.onWelcome = (values) => this.#welcomed(values);
  }

  /** Start the next link. Until its WELCOME only a new session may send frames. */
  hello() {
    const { session, known } = this;
    this.link += 1;
    const out = session.attach();
    this.#out = out;
    session.mayNumber = !known;
    const flags = known ? 0 : frames.FLAG_CREATE;
    const tlvs = new Map();
    session.say(
      frames.HELLO,
      ...[VERSION, flags, this.link, 0, session.rx, this.sid, this.#secret, tlvs],
    );
    return { inbound: new Inbound(), outbound: out };
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
    this.pingMs = frames.tlvInt(tlvs, Code.WELCOME_PING_MS, this.pingMs);
    const { log } = session;
    log.limit(frames.tlvInt(tlvs, Code.WELCOME_SESSION_WINDOW_UP, log.windowMax));
    session.start(frames.tlvInt(tlvs, Code.WELCOME_STREAM_WINDOW, session.initialCredit));
  }
}
