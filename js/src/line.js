// Which link carries the session now, and when is another one tried?
//
// Keeps one link up for as long as its owner wants one. A link that dies is replaced at once,
// then with full jitter. A link that is silent though it owes an answer is asked, and if it
// stays silent another one is tried beside it: whichever speaks first carries on. Where no
// WebSocket is welcomed in time HTTP is tried beside it, and while HTTP carries, a WebSocket that
// has shown that it can takes over. Which kind is worth a try is `ladder`'s to know. One timer
// serves all deadlines; it only ever moves to an earlier moment, so that the way of a byte sets
// no timer.

import * as Code from './codes.js';
import { delayMs } from './backoff.js';
import { LinkError, PeerError } from './errors.js';
import { AUTH, BYE, encode } from './frames.js';
import { Ladder } from './ladder.js';
import { HttpLink } from './links/http.js';
import { WebSocketLink } from './links/websocket.js';
import { Silence } from './silence.js';
import { Tickets } from './tickets.js';

/** @import { ClientAttach } from './attach.js' */
/** @import { Environment, LinkKind } from './environment.js' */
/** @import { Event } from './events.js' */
/** @import { TicketSource } from './proxy.js' */
/** @import { Session } from './session.js' */

/** @typedef {WebSocketLink | HttpLink} Link */

const WELCOME_WITHIN_MS = 10_000;
const HUNG_MS = 1500;
const HUNG_ROUND_TRIPS = 4;
const LATE_MS = 2000;
const CREATE_WITHIN_MS = 30_000;
const GRACE_MS = 60_000;
const RESTART_JITTER_MS = 500;
const STABLE_MS = 5000;
const MEASURE_MS = 1000;

/** Refusals after which another try may still succeed. @type {number[]} */
const PASSING = [Code.STALE_LINK, Code.BUSY, Code.RESTART];
/** Refusals after which another try needs another ticket. @type {number[]} */
const WANTS_TICKET = [Code.TICKET_REQUIRED, Code.TICKET_REFUSED];

/**
 * @typedef {object} LineOwner
 * @property {(event: Event) => void} lineEvent
 * @property {(up: boolean, cause: string) => void} lineState
 * @property {(code: number, text: string) => void} lineLost the session is gone for good
 * @property {() => void} lineSent frames were numbered
 * @property {() => boolean} isWanted whether someone waits for this session
 * @property {() => boolean} isWaiting whether a write waits for credit
 */

/**
 * @typedef {object} LineOptions
 * @property {number} [lingerMs] how long the page keeps trying, where it is not the server that says
 * @property {LinkKind[]} [links] which kinds of link it may use
 * @property {TicketSource} [ticket]
 */

export class Line {
  /** @type {Link | undefined} */
  #link;
  /** WebSockets that do not carry the session, and until when they may. @type {Map<WebSocketLink, number>} */
  #tries = new Map();
  #tryCount = 0;
  #over = false;
  #offline = false;
  // Whether the link carries, and what the owner was last told.
  #welcomed = false;
  #told = false;
  #silence = new Silence();
  // How far both logs had come when the link was welcomed.
  #progress = 0;
  // Whether a WebSocket was open when another link took over.
  #wasOpen = false;
  /** How often the session moved from one kind of link to another. */
  switches = 0;
  /** @type {LinkKind | undefined} */
  #lastKind;
  /** What went wrong last. */
  trouble = '';

  // Moments in ms; Infinity is never.
  #retryAt = Infinity;
  #httpAt = Infinity;
  #probeAt = Infinity;
  #hungAt = Infinity;
  #giveUpAt = Infinity;
  #lingersUntil = Infinity;
  #upSince = Infinity;
  #begunAt = 0;
  #measuredAt = 0;
  #timerAt = Infinity;
  /** @type {any} */
  #timer;
  #flushing = false;
  // In this turn of the event loop.
  #hasSent = false;

  /**
   * @param {string} url the server's native way in, with a slash at its end
   * @param {Session} session
   * @param {ClientAttach} attach
   * @param {Environment} env
   * @param {LineOwner} owner
   * @param {LineOptions} options
   */
  constructor(url, session, attach, env, owner, { lingerMs, links, ticket }) {
    this.url = url;
    this.session = session;
    this.attach = attach;
    this.env = env;
    this.owner = owner;
    this.lingerMs = lingerMs;
    this.ladder = new Ladder(links);
    this.tickets = new Tickets(ticket, env, this);
    if (!env.WebSocket) this.ladder.allow(['stream', 'poll']);
  }

  /** Which kind of link carries the session now. */
  get kind() {
    return this.#welcomed ? this.#link?.kind : undefined;
  }

  /** Try now, or ask the link whether it is still there. */
  wake() {
    this.#offline = false;
    if (this.#link && !this.#silence.isSuspect) this.#ask();
    else if (!this.#tries.size) this.#start();
    this.#arm();
  }

  /** There is a network again, maybe another one: let old link and new try race. */
  online() {
    this.ladder.forget();
    this.wake();
    if (this.#link && !this.#silence.isSuspect) {
      this.#silence.isSuspect = true;
      this.#start();
      this.#arm();
    }
  }

  /** There is no network: stop trying until `wake` or `online`. */
  offline() {
    this.#offline = true;
    this.#retryAt = this.#httpAt = this.#probeAt = Infinity;
  }

  /**
   * Use only these kinds of link from now on.
   *
   * @param {LinkKind[]} kinds
   */
  allow(kinds) {
    this.ladder.allow(kinds);
    if (this.#over || !this.#link || this.ladder.allows(this.#link.kind)) return;
    if (this.ladder.allows('websocket')) this.#open();
    else this.#adopt(this.#http());
    this.#arm();
  }

  /**
   * Show this ticket from now on.
   *
   * @param {TicketSource} source
   */
  giveTicket(source) {
    if (!this.#over) this.tickets.give(source);
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
    const isSaid = this.#link?.sayLast(encode(BYE, code, text));
    if (!isSaid && this.attach.link) {
      this.env.sendBeacon(`${this.url}up`, this.attach.farewell(code, text));
    }
    this.#link?.close(code);
    this.#dropTries();
    this.tickets.close();
    this.env.clearTimeout(this.#timer);
  }

  // What tickets tell.

  ticketCame() {
    if (this.#welcomed) this.#showTicket();
    else if (this.#retryAt === Infinity && this.#httpAt === Infinity) this.#start();
    this.#arm();
  }

  /**
   * @param {string} cause
   * @param {boolean} isFatal
   */
  ticketTrouble(cause, isFatal) {
    if (isFatal) return this.#lose(Code.TICKET_REFUSED, cause);
    if (!this.#welcomed) this.trouble = cause;
    this.owner.lineState(this.#told, cause);
  }

  // What links tell.

  /** @param {WebSocketLink} link */
  linkOpened(link) {
    if (!this.#link || this.#silence.isSuspect) return this.#adopt(link);
    if (this.#link.kind !== 'websocket') return link.probe();
    this.#tries.delete(link);
    link.close();
  }

  /** @param {WebSocketLink} link */
  linkProved(link) {
    if (this.#link?.kind !== 'websocket' || this.#silence.isSuspect) return this.#adopt(link);
    this.#tries.delete(link);
    link.close();
  }

  /**
   * @param {Link} link
   * @param {Event[]} events
   */
  linkHeard(link, events) {
    if (link !== this.#link) return;
    this.#heard();
    this.#take(events);
    if (this.#over) return;
    if (this.#welcomed && this.tickets.isNew) this.#showTicket();
    this.#flush();
  }

  /**
   * @param {Link} link
   * @param {unknown} error
   */
  linkFault(link, error) {
    if (link !== this.#link) return;
    this.#take(this.session.takeEvents());
    this.#fault(error);
    if (!this.#over) this.#flush();
  }

  /**
   * @param {Link} link
   * @param {string} cause
   */
  linkClosed(link, cause) {
    const now = this.env.now();
    if (link === this.#link) {
      if (!this.#welcomed) this.ladder.failed();
      else if (link.kind === 'websocket') this.ladder.died(now);
      this.#drop(cause);
    } else if (this.#tries.delete(/** @type {WebSocketLink} */ (link))) {
      if (!this.#lastKind) this.#tell(false, cause);
      this.#tryFailed(now);
    }
    this.#arm();
  }

  /** @param {Event[]} events */
  #take(events) {
    for (const event of events) {
      if (this.#over) return;
      if (event.type === 'welcomed') this.#up();
      if (event.type === 'authResult') this.tickets.judged(event.code, event.expiresS);
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
    const now = this.env.now();
    const { kind } = /** @type {Link} */ (this.#link);
    this.#welcomed = true;
    this.#retryAt = this.#httpAt = this.#hungAt = this.#giveUpAt = this.#lingersUntil = Infinity;
    this.#upSince = now;
    this.#progress = this.#moved();
    const hasMoved = this.#lastKind && kind !== this.#lastKind;
    const isFirst = !this.#lastKind;
    let cause = hasMoved ? `moved from ${this.#lastKind} to ${kind}` : '';
    if (isFirst) cause = this.trouble;
    this.trouble = '';
    if (hasMoved) this.switches += 1;
    this.#lastKind = kind;
    this.ladder.worked(kind, now);
    if (kind === 'websocket') this.#dropTries();
    else this.#probeLater();
    this.#tell(true, cause);
  }

  /** Tell the server of another ticket, on the link that carries. */
  #showTicket() {
    const ticket = this.tickets.renew();
    if (ticket) this.session.say(AUTH, ticket);
    this.flushSoon();
  }

  /**
   * @param {boolean} up
   * @param {string} cause
   */
  #tell(up, cause) {
    if (!up) this.trouble = cause;
    if (!up && !this.#told && this.#lastKind) return;
    this.#told = up;
    this.owner.lineState(up, cause);
  }

  /**
   * @param {number} code
   * @param {number} retryMs
   * @param {string} text
   */
  #refused(code, retryMs, text) {
    /** @type {number | undefined} */
    let pauseMs;
    if (PASSING.includes(code)) pauseMs = this.#delay();
    if (WANTS_TICKET.includes(code)) {
      pauseMs = this.tickets.refused(this.attach.known);
      // One that opens now would show the same ticket again.
      this.#dropTries();
    }
    if (pauseMs === undefined) return this.#lose(code, text);
    const kind = this.#link?.kind;
    this.#drop(text);
    this.#laterThan(Math.max(retryMs, pauseMs));
    // Whoever says no is heard: no other way to the server is needed.
    if (kind === 'websocket') this.#httpAt = Infinity;
  }

  /**
   * @param {number} code
   * @param {string} text
   */
  #ended(code, text) {
    this.#drop(text);
    if (code === Code.RESTART) this.#laterThan(this.env.random() * RESTART_JITTER_MS);
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

  /** Begin to look for a link, now: a WebSocket, and HTTP beside it when that takes long. */
  #start() {
    if (!this.#mayTry()) return;
    const { env, ladder } = this;
    const now = env.now();
    if (ladder.takesWebSocket(now)) this.#try();
    const isHttp = this.#link && this.#link.kind !== 'websocket';
    const race = isHttp ? 0 : ladder.raceMs(now, env.isVisible());
    this.#httpAt = Math.min(this.#httpAt, now + race);
    if (!race) this.#tryHttp();
  }

  /** Where there is no ticket to show, all tries wait for `ticketCame`. */
  #mayTry() {
    if (this.#over || this.#offline) return false;
    if (this.tickets.ready()) return true;
    this.#retryAt = this.#httpAt = Infinity;
    if (!this.attach.known) this.#createBy();
    return false;
  }

  #try() {
    const { env } = this;
    this.#retryAt = Infinity;
    if (!this.#mayTry()) return;
    if (!this.ladder.takesWebSocket(env.now())) return this.#tryHttp();
    this.#tryCount += 1;
    this.#retryAt = env.now() + (this.#isUrgent() ? HUNG_MS : WELCOME_WITHIN_MS);
    this.#open();
  }

  #open() {
    const { env, session, attach } = this;
    try {
      const url = `${this.url.replace('http', 'ws')}ws`;
      const link = new WebSocketLink(url, env.WebSocket, session, attach, this);
      this.#tries.set(link, env.now() + WELCOME_WITHIN_MS);
    } catch (error) {
      // A URL that no WebSocket takes, or a page that may not open one.
      this.#lose(Code.INTERNAL, `${error}`);
    }
  }

  #tryHttp() {
    this.#httpAt = Infinity;
    const carries = this.#link?.isWelcomed && !this.#silence.isSuspect;
    // One that is attaching gets its time: every new one would call it off.
    const isAttaching = this.#hungAt < Infinity;
    if (carries || isAttaching || !this.ladder.allowsHttp || !this.#mayTry()) return;
    this.#tryCount += 1;
    if (this.ladder.allows('websocket') && !this.trouble) this.trouble = 'no WebSocket in time';
    this.#adopt(this.#http());
    const rttMs = (this.session.rttS ?? WELCOME_WITHIN_MS) * 1000;
    const patience = Math.max(HUNG_MS, HUNG_ROUND_TRIPS * rttMs);
    this.#hungAt = this.env.now() + Math.min(patience, WELCOME_WITHIN_MS);
  }

  #http() {
    const { url, env, session, attach, ladder } = this;
    return new HttpLink(url, env, session, attach, this, ladder);
  }

  /**
   * Let a link carry the session from here on; an older one is not listened to any more.
   *
   * @param {Link} link
   */
  #adopt(link) {
    const now = this.env.now();
    this.#tries.delete(/** @type {WebSocketLink} */ (link));
    if (this.#link?.kind === 'websocket') this.#wasOpen = this.#link.isOpen;
    this.#link?.close(Code.SUPERSEDED);
    this.#link = link;
    this.#countDown();
    this.#hungAt = Infinity;
    this.#begunAt = now;
    this.#createBy();
    this.#silence.heard(now);
    this.attach.ticket = this.tickets.show();
    link.begin();
    this.#flush();
  }

  /** Trying to create ends some time after it began. */
  #createBy() {
    if (this.#giveUpAt === Infinity) this.#giveUpAt = this.env.now() + CREATE_WITHIN_MS;
  }

  /** A promised WebSocket did not come to carry anything. @param {number} now */
  #tryFailed(now) {
    // One that began before HTTP won is no probe, and puts none off.
    if (this.#welcomed && this.#probeAt === Infinity) this.#probeLater();
    else if (!this.#link && !this.#tries.size) {
      this.#retryAt = Math.min(this.#retryAt, now + this.#delay());
    }
  }

  /** While HTTP carries, try a WebSocket again in a while. */
  #probeLater() {
    const now = this.env.now();
    const isOpen = [...this.#tries.keys()].some((link) => link.isOpen);
    this.#probeAt = now + this.ladder.probeMs(now, isOpen || this.#wasOpen);
    this.#wasOpen = false;
  }

  /** @param {string} cause */
  #drop(cause) {
    const kind = this.#link?.kind;
    this.#link?.close();
    this.#link = undefined;
    const now = this.env.now();
    const worked = now - this.#upSince >= STABLE_MS || this.#moved() > this.#progress;
    if (this.#welcomed && worked) this.#tryCount = 0;
    this.#hungAt = this.#probeAt = Infinity;
    this.#countDown();
    this.#tell(false, cause);
    if (this.#offline) return;
    const retryAt = now + this.#delay();
    const { ladder, env } = this;
    if (!this.#tries.size && ladder.takesWebSocket(now)) this.#retryAt = retryAt;
    const race = now + ladder.raceMs(now, env.isVisible());
    // HTTP that was called off has had its time.
    const httpAt = kind === 'websocket' ? race : Math.max(now, this.#begunAt + retryAt - now);
    if (ladder.allowsHttp) this.#httpAt = Math.min(this.#httpAt, Math.max(httpAt, now));
  }

  /** Try nothing before so many milliseconds have passed. @param {number} ms */
  #laterThan(ms) {
    const at = this.env.now() + ms;
    if (this.#retryAt < Infinity) this.#retryAt = at;
    if (this.#httpAt < Infinity) this.#httpAt = Math.max(this.#httpAt, at);
  }

  /** The link is gone, suspect or new: count the time until the session is lost. */
  #countDown() {
    if (!this.#welcomed) return;
    this.#welcomed = false;
    this.#upSince = Infinity;
    const { lingerMs = this.attach.lingerS * 1000 } = this;
    this.#lingersUntil = this.env.now() + lingerMs;
    this.#giveUpAt = this.#lingersUntil + (this.lingerMs === undefined ? GRACE_MS : 0);
  }

  #dropTries() {
    for (const link of this.#tries.keys()) link.close();
    this.#tries.clear();
    this.#probeAt = Infinity;
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
    if (this.#link?.isWelcomed) this.#up();
  }

  #ask() {
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
    const { underwayBytes } = this.#link;
    const isWaiting = this.owner.isWaiting();
    return this.#silence.endsAtMs(rttMs, this.attach.pingMs, isWaiting, underwayBytes);
  }

  /** @param {boolean} late the page slept: the answer may be waiting behind this timer */
  #silent(late) {
    if (late || !this.#silence.isOwed) return this.#ask();
    this.#silence.isSuspect = true;
    if (this.#link?.underwayBytes) this.ladder.shrinkPosts();
    this.#countDown();
    this.#tell(false, 'no answer');
    this.#start();
  }

  // Time.

  #flush() {
    this.#flushing = false;
    const { session } = this;
    const busy = this.#welcomed && (session.ready.length || session.log.unackedBytes);
    if (busy && this.env.now() >= this.#measuredAt + MEASURE_MS) this.#ping();
    if (this.#link?.flush()) this.#noteSent();
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
    const at = Math.min(
      ...[this.#ackAt(), this.#retryAt, this.#httpAt, this.#probeAt, this.#hungAt, this.#giveUpAt],
      ...[this.#silentAt(), ...this.#tries.values()],
    );
    if (at >= this.#timerAt) return;
    this.env.clearTimeout(this.#timer);
    this.#timerAt = at;
    const delay = Math.max(0, Math.ceil(at - this.env.now()));
    this.#timer = this.env.setTimeout(() => this.#tick(), delay);
  }

  /** When an ACK must go alone; while the link takes nothing it is not asked. */
  #ackAt() {
    const dueS = this.#link?.isFree ? this.session.ackDueS() : undefined;
    return dueS === undefined ? Infinity : this.env.now() + dueS * 1000;
  }

  #tick() {
    const now = this.env.now();
    const late = now - this.#timerAt > LATE_MS;
    this.#timerAt = Infinity;
    for (const [link, until] of this.#tries) {
      if (until > now) continue;
      this.#tries.delete(link);
      link.close(Code.TIMEOUT);
      this.#tryFailed(now);
    }
    // A page that slept past its deadline has not tried yet.
    if (late) this.#giveUpAt = Math.max(this.#giveUpAt, now + WELCOME_WITHIN_MS);
    if (now >= this.#giveUpAt) return this.#lose(Code.TIMEOUT, 'the server cannot be reached');
    if (now >= this.#hungAt) this.#hung();
    if (now >= this.#retryAt) this.#try();
    if (now >= this.#httpAt) this.#tryHttp();
    if (now >= this.#probeAt) this.#probe();
    if (now >= this.#silentAt()) this.#silent(late);
    this.#flush();
  }

  /** HTTP does not answer: it may be the path that holds a stream back, so polls are next. */
  #hung() {
    if (this.#link?.kind === 'stream') this.ladder.doubtStream();
    else this.ladder.failed();
    this.#drop('no answer');
  }

  /** HTTP carries: see whether a WebSocket would. */
  #probe() {
    this.#probeAt = Infinity;
    if (this.#offline || !this.#welcomed) return;
    if (this.env.isVisible() && this.ladder.takesWebSocket(this.env.now())) this.#open();
    else this.#probeLater();
  }
}
