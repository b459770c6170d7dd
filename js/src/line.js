// Which link carries the session now, and when is another one tried?
//
// Keeps one link up for as long as its owner wants one. A link that dies is replaced at once,
// then with full jitter. A link that is silent though it owes an answer is asked, and if it
// stays silent another one is tried beside it: whichever speaks first carries on. One timer
// serves all deadlines; it only ever moves to an earlier moment, so that the way of a byte
// sets no timer.

import * as Code from './codes.js';
import { delayMs } from './backoff.js';
import { LinkError, PeerError } from './errors.js';
import { BYE, encode } from './frames.js';
import { WebSocketLink } from './links/websocket.js';
import { Silence } from './silence.js';

/** @import { ClientAttach } from './attach.js' */
/** @import { Environment } from './environment.js' */
/** @import { Event } from './events.js' */
/** @import { Inbound, Outbound } from './pipe.js' */
/** @import { Session } from './session.js' */

const WELCOME_WITHIN_MS = 10_000;
const HUNG_MS = 1500;
const LATE_MS = 2000;
const CREATE_WITHIN_MS = 30_000;
const GRACE_MS = 60_000;
const RESTART_JITTER_MS = 500;
const STABLE_MS = 5000;
const MEASURE_MS = 1000;

/** Refusals after which another try may still succeed. @type {number[]} */
const PASSING = [Code.STALE_LINK, Code.BUSY, Code.RESTART];

/**
 * @typedef {object} LineOwner
 * @property {(event: Event) => void} lineEvent
 * @property {(up: boolean, cause: string) => void} lineState
 * @property {(code: number, text: string) => void} lineLost the session is gone for good
 * @property {() => void} lineSent frames were numbered
 * @property {() => boolean} isWanted whether someone waits for this session
 * @property {() => boolean} isWaiting whether a write waits for credit
 */

export class Line {
  /** @type {WebSocketLink | undefined} */
  #link;
  /** @type {{inbound: Inbound, outbound: Outbound} | undefined} */
  #pipes;
  /** Tries that have not become the link, and until when. @type {Map<WebSocketLink, number>} */
  #tries = new Map();
  #tryCount = 0;
  #over = false;
  #offline = false;
  #welcomed = false;
  #silence = new Silence();
  // How far both logs had come when the link was welcomed.
  #progress = 0;

  // Moments in ms; Infinity is never.
  #retryAt = Infinity;
  #giveUpAt = Infinity;
  #lingersUntil = Infinity;
  #upSince = Infinity;
  #measuredAt = 0;
  #timerAt = Infinity;
  /** @type {any} */
  #timer;
  #flushing = false;
  // In this turn of the event loop.
  #hasSent = false;

  /**
   * @param {string} url
   * @param {Session} session
   * @param {ClientAttach} attach
   * @param {Environment} env
   * @param {LineOwner} owner
   * @param {number} [lingerMs] how long the page keeps trying; otherwise the server says
   */
  constructor(url, session, attach, env, owner, lingerMs) {
    this.url = url;
    this.session = session;
    this.attach = attach;
    this.env = env;
    this.owner = owner;
    this.lingerMs = lingerMs;
  }

  /** Try now, or ask the link whether it is still there. */
  wake() {
    this.#offline = false;
    if (this.#link && !this.#silence.isSuspect) this.#probe();
    else if (!this.#tries.size) this.#try();
    this.#arm();
  }

  /** There is a network again, maybe another one: let old link and new try race. */
  online() {
    this.wake();
    if (this.#link && !this.#silence.isSuspect) {
      this.#silence.isSuspect = true;
      this.#try();
      this.#arm();
    }
  }

  /** There is no network: stop trying until `wake` or `online`. */
  offline() {
    this.#offline = true;
    this.#retryAt = Infinity;
  }

  /** Send what there is to send: the first of a turn right behind it, the rest together. */
  flushSoon() {
    if (this.#flushing) return;
    this.#flushing = true;
    if (!this.#hasSent) Promise.resolve().then(() => this.#flush());
  }

  /**
   * End the session.
   *
   * @param {number} code
   * @param {string} text
   */
  close(code, text) {
    if (this.#over) return;
    this.#over = true;
    if (this.#link?.room) this.#link.send(encode(BYE, code, text));
    this.#link?.close(code);
    for (const link of this.#tries.keys()) link.close();
    this.#tries.clear();
    this.env.clearTimeout(this.#timer);
  }

  // What links tell.

  /** @param {WebSocketLink} link */
  linkOpened(link) {
    if (this.#link && !this.#silence.isSuspect) {
      this.#tries.delete(link);
      link.close();
      return;
    }
    this.#tries.delete(link);
    this.#link?.close(Code.SUPERSEDED);
    this.#link = link;
    this.#pipes = this.attach.hello();
    this.#welcomed = false;
    if (this.#giveUpAt === Infinity) this.#giveUpAt = this.env.now() + CREATE_WITHIN_MS;
    this.#silence.heard(this.env.now());
    this.#flush();
  }

  /**
   * @param {WebSocketLink} link
   * @param {Uint8Array} bytes
   */
  linkMessage(link, bytes) {
    if (link !== this.#link || !this.#pipes) return;
    this.#heard();
    try {
      this.#take(this.session.receiveMessage(this.#pipes.inbound, bytes));
    } catch (error) {
      this.#take(this.session.takeEvents());
      this.#fault(error);
    }
    if (!this.#over) this.#flush();
  }

  /**
   * @param {WebSocketLink} link
   * @param {string} cause
   */
  linkClosed(link, cause) {
    if (link === this.#link) {
      this.#drop(cause);
    } else if (this.#tries.delete(link) && !this.#link && !this.#tries.size) {
      this.#retryAt = Math.min(this.#retryAt, this.env.now() + this.#delay());
    }
    this.#arm();
  }

  /** @param {Event[]} events */
  #take(events) {
    for (const event of events) {
      if (this.#over) return;
      if (event.type === 'welcomed') this.#up();
      this.owner.lineEvent(event);
      if (event.type === 'refused') this.#refused(event.code, event.retryMs, event.text);
      if (event.type === 'linkEnded') this.#ended(event.code, event.text);
      if (event.type === 'sessionEnded') this.#lose(event.code, event.text);
    }
  }

  /** @param {unknown} error */
  #fault(error) {
    if (error instanceof LinkError) return this.#drop(error.message);
    const { code, message } = /** @type {PeerError} */ (error);
    this.close(code ?? Code.INTERNAL, message);
    this.owner.lineLost(code ?? Code.INTERNAL, message);
    // Our own mistake is for the developer's eyes.
    if (!(error instanceof PeerError)) throw error;
  }

  #up() {
    this.#welcomed = true;
    this.#retryAt = this.#giveUpAt = this.#lingersUntil = Infinity;
    this.#upSince = this.env.now();
    this.#progress = this.#moved();
    this.#dropTries();
    this.owner.lineState(true, '');
  }

  /**
   * @param {number} code
   * @param {number} retryMs
   * @param {string} text
   */
  #refused(code, retryMs, text) {
    if (!PASSING.includes(code)) return this.#lose(code, text);
    this.#drop(text);
    this.#retryAt = this.env.now() + Math.max(retryMs, this.#delay());
  }

  /**
   * @param {number} code
   * @param {string} text
   */
  #ended(code, text) {
    this.#drop(text);
    if (code === Code.RESTART) {
      this.#retryAt = this.env.now() + this.env.random() * RESTART_JITTER_MS;
    }
  }

  /**
   * @param {number} code
   * @param {string} text
   */
  #lose(code, text) {
    this.close(code, text);
    this.owner.lineLost(code, text);
  }

  // Links come and go.

  #try() {
    const { env } = this;
    this.#retryAt = Infinity;
    if (this.#over || this.#offline) return;
    this.#tryCount += 1;
    this.#retryAt = env.now() + (this.#isUrgent() ? HUNG_MS : WELCOME_WITHIN_MS);
    try {
      const link = new WebSocketLink(this.url, env.WebSocket, this);
      this.#tries.set(link, env.now() + WELCOME_WITHIN_MS);
    } catch (error) {
      // A URL that no WebSocket takes, or a page that may not open one.
      this.#lose(Code.INTERNAL, `${error}`);
    }
  }

  /** @param {string} cause */
  #drop(cause) {
    this.#link?.close();
    this.#link = this.#pipes = undefined;
    const now = this.env.now();
    const worked = now - this.#upSince >= STABLE_MS || this.#moved() > this.#progress;
    if (this.#welcomed && worked) this.#tryCount = 0;
    this.#leaveUp(cause);
    if (!this.#tries.size && !this.#offline) this.#retryAt = now + this.#delay();
  }

  /**
   * The link is gone or suspect: count the time until the session is.
   *
   * @param {string} cause
   */
  #leaveUp(cause) {
    if (!this.#welcomed) return;
    this.#welcomed = false;
    this.#upSince = Infinity;
    const { lingerMs = this.attach.lingerS * 1000 } = this;
    this.#lingersUntil = this.env.now() + lingerMs;
    this.#giveUpAt = this.#lingersUntil + (this.lingerMs === undefined ? GRACE_MS : 0);
    this.owner.lineState(false, cause);
  }

  #dropTries() {
    for (const link of this.#tries.keys()) link.close();
    this.#tries.clear();
  }

  #delay() {
    return delayMs(this.#tryCount, this.#isUrgent(), this.env.random());
  }

  #isUrgent() {
    const lingers = this.env.now() < this.#lingersUntil;
    return lingers && this.owner.isWanted() && this.env.isVisible();
  }

  /** How far both logs have come. */
  #moved() {
    return this.session.rx + this.session.log.base;
  }

  // Is the link still there?

  #heard() {
    const wasSuspect = this.#silence.isSuspect;
    this.#silence.heard(this.env.now());
    if (!wasSuspect) return;
    this.#dropTries();
    if (this.#pipes && !this.#pipes.inbound.welcomeDue) this.#up();
  }

  #probe() {
    this.#ping();
    this.#silence.probed(this.env.now());
    this.#flush();
  }

  #ping() {
    this.session.ping();
    this.#measuredAt = this.env.now();
  }

  #owesAnswer() {
    return this.#silence.isProbing || !this.#welcomed || this.session.log.unackedBytes > 0;
  }

  #silentAt() {
    if (!this.#link) return Infinity;
    const rttMs = (this.session.rttS ?? 0) * 1000;
    return this.#silence.endsAtMs(rttMs, this.attach.pingMs, this.owner.isWaiting());
  }

  /** @param {boolean} late the page slept: the answer may be waiting behind this timer */
  #silent(late) {
    if (late || !this.#silence.isOwed) return this.#probe();
    this.#silence.isSuspect = true;
    this.#leaveUp('no answer');
    this.#try();
  }

  // Time.

  #flush() {
    this.#flushing = false;
    const { session } = this;
    const busy = this.#welcomed && (session.ready.length || session.log.unackedBytes);
    if (busy && this.env.now() >= this.#measuredAt + MEASURE_MS) this.#ping();
    while (this.#link?.room && this.#pipes) {
      const message = session.nextMessage(this.#pipes.outbound);
      if (!message.length) break;
      this.#link.send(message);
      this.#noteSent();
    }
    if (this.#link && this.#owesAnswer()) this.#silence.owed(this.env.now());
    this.owner.lineSent();
    this.#arm();
  }

  #noteSent() {
    if (this.#hasSent) return;
    this.#hasSent = true;
    this.env.nextTurn(() => {
      this.#hasSent = false;
      if (this.#flushing) this.#flush();
    });
  }

  #arm() {
    if (this.#over) return;
    const dueS = this.#link ? this.session.ackDueS() : undefined;
    const ackAt = dueS === undefined ? Infinity : this.env.now() + dueS * 1000;
    const at = Math.min(
      ...[ackAt, this.#retryAt, this.#giveUpAt, this.#silentAt(), ...this.#tries.values()],
    );
    if (at >= this.#timerAt) return;
    this.env.clearTimeout(this.#timer);
    this.#timerAt = at;
    const delay = Math.max(0, Math.ceil(at - this.env.now()));
    this.#timer = this.env.setTimeout(() => this.#tick(), delay);
  }

  #tick() {
    const now = this.env.now();
    const late = now - this.#timerAt > LATE_MS;
    this.#timerAt = Infinity;
    for (const [link, until] of this.#tries) {
      if (until > now) continue;
      this.#tries.delete(link);
      link.close(Code.TIMEOUT);
    }
    // A page that slept past its deadline has not tried yet.
    if (late) this.#giveUpAt = Math.max(this.#giveUpAt, now + WELCOME_WITHIN_MS);
    if (now >= this.#giveUpAt) return this.#lose(Code.TIMEOUT, 'the server cannot be reached');
    if (now >= this.#retryAt) this.#try();
    if (now >= this.#silentAt()) this.#silent(late);
    this.#flush();
  }
}
