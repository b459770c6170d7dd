// Which kind of link is tried, and what has been learned about each?
//
// A WebSocket first; HTTP where none works, streamed or, where the path holds bytes back, in
// polls. What was learned holds for ten minutes or until there is another network. Decisions
// only: time is an argument, and no link is touched here.

/** @import { LinkKind } from './environment.js' */

const LESSON_MS = 600_000;
const DEATHS_WITHIN_MS = 10_000;
const RACE_MS = 2500;
const PROBES_MS = [30_000, 120_000, 600_000, 1_800_000];
const SOON_MS = 1000;
const POST_BYTES = 64 * 1024;
const POST_MIN_BYTES = 4 * 1024;

/** @type {LinkKind[]} */
const KINDS = ['websocket', 'stream', 'poll'];

/**
 * Return the kinds that a page names. Throws a `TypeError` where they are none of ours.
 *
 * @param {LinkKind[]} kinds
 */
export function checked(kinds) {
  if (!Array.isArray(kinds) || !kinds.length || kinds.some((kind) => !KINDS.includes(kind))) {
    throw new TypeError(`links [${kinds}], not some of ${KINDS}`);
  }
  return kinds;
}

export class Ladder {
  /** How many bytes of the log the body of an UP may have. */
  postBytes = POST_BYTES;
  /** @type {Set<LinkKind>} */
  #kinds;
  #httpUntilMs = 0;
  #pollUntilMs = 0;
  // A stream stayed silent: it may be the path, it may be the network.
  #isDoubted = false;
  #diedAtMs = -Infinity;
  #probes = 0;
  #hasWebSocketWorked = false;

  /** @param {LinkKind[]} [kinds] which kinds may be used at all */
  constructor(kinds = KINDS) {
    this.#kinds = new Set(kinds);
  }

  /** @param {LinkKind[]} kinds */
  allow(kinds) {
    this.#kinds = new Set(kinds);
  }

  /** @param {LinkKind} kind */
  allows(kind) {
    return this.#kinds.has(kind);
  }

  get allowsHttp() {
    return this.allows('stream') || this.allows('poll');
  }

  /** @param {number} nowMs */
  takesWebSocket(nowMs) {
    return this.allows('websocket') && (nowMs >= this.#httpUntilMs || !this.allowsHttp);
  }

  /**
   * How the next DOWN is to be answered.
   *
   * @param {number} nowMs
   * @returns {'stream' | 'poll'}
   */
  mode(nowMs) {
    const polls = this.#isDoubted || nowMs < this.#pollUntilMs || !this.allows('stream');
    return polls && this.allows('poll') ? 'poll' : 'stream';
  }

  /**
   * How long a WebSocket is given before HTTP is tried beside it.
   *
   * @param {number} nowMs
   * @param {boolean} isVisible the timers of a hidden page are not to be waited for
   */
  raceMs(nowMs, isVisible) {
    if (!this.allowsHttp) return Infinity;
    return isVisible && this.takesWebSocket(nowMs) ? RACE_MS : 0;
  }

  /**
   * How long to wait before a WebSocket is tried beside HTTP.
   *
   * @param {number} nowMs
   * @param {boolean} wasOpen one was, a moment ago
   */
  probeMs(nowMs, wasOpen = false) {
    if (!this.allows('websocket')) return Infinity;
    // What carries now is only kept until there is what the page asked for.
    if (!this.allowsHttp) return SOON_MS;
    if (nowMs < this.#httpUntilMs) return this.#httpUntilMs - nowMs;
    if (wasOpen || this.#hasWebSocketWorked) {
      this.#hasWebSocketWorked = false;
      return SOON_MS;
    }
    const wait = PROBES_MS[Math.min(this.#probes, PROBES_MS.length - 1)];
    this.#probes += 1;
    return wait;
  }

  /**
   * A link of this kind was welcomed.
   *
   * @param {LinkKind} kind
   * @param {number} nowMs
   */
  worked(kind, nowMs) {
    if (kind === 'websocket') {
      this.#probes = 0;
      this.#hasWebSocketWorked = true;
    }
    if (kind === 'poll' && this.#isDoubted) this.advisePoll(nowMs);
    this.#isDoubted = false;
  }

  /**
   * A WebSocket that had carried the session was cut.
   *
   * @param {number} nowMs
   */
  died(nowMs) {
    if (nowMs - this.#diedAtMs < DEATHS_WITHIN_MS) this.#httpUntilMs = nowMs + LESSON_MS;
    this.#diedAtMs = nowMs;
  }

  /** A stream did not begin in time; when polls work, it is the path that holds bytes back. */
  doubtStream() {
    this.#isDoubted = true;
  }

  /** HTTP did not work at all: that says nothing about streams. */
  failed() {
    this.#isDoubted = false;
  }

  /** @param {number} nowMs */
  advisePoll(nowMs) {
    this.#pollUntilMs = nowMs + LESSON_MS;
  }

  /** A body was too much for the path. */
  shrinkPosts() {
    this.postBytes = Math.max(POST_MIN_BYTES, this.postBytes / 2);
  }

  /** @param {number} mostBytes a body was full, and another one waits */
  growPosts(mostBytes) {
    this.postBytes = Math.max(this.postBytes, Math.min(2 * this.postBytes, mostBytes));
  }

  /** There is another network, about which nothing is known. */
  forget() {
    this.#httpUntilMs = this.#pollUntilMs = this.#probes = 0;
    this.#isDoubted = false;
    this.#diedAtMs = -Infinity;
    this.postBytes = POST_BYTES;
  }
}
