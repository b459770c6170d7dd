// How do HTTP requests carry a session?
//
// A run of POSTs is one link. A DOWN waits for what the server says, streamed or polled: the
// first one attaches, the next one goes on where the last one ended. An UP says what the page has
// to say, one at a time; one that fails is repeated with the same bytes under another number.
// The answer to a request that has a successor is not listened to.

import * as Code from '../codes.js';
import { delayMs } from '../backoff.js';
import { LinkError } from '../errors.js';
import { OPENS_DOWN, OPENS_REPLY, join } from '../frames.js';
import { Inbound } from '../pipe.js';
import { Tabs } from '../tabs.js';
import * as varint from '../varint.js';
import { Post } from './post.js';

/** @import { ClientAttach } from '../attach.js' */
/** @import { Environment } from '../environment.js' */
/** @import { Event } from '../events.js' */
/** @import { Ladder } from '../ladder.js' */
/** @import { Session } from '../session.js' */
/** @import { LinkOwner } from './websocket.js' */

// A stream begins with two PINGs, 50 ms apart, and must show both in time.
const PINGS = 2;
const PINGS_WITHIN_MS = 2000;
const PINGS_ROUND_TRIPS = 3;
const HELD_BACK_MS = 400;
// The server speaks after 25 s at the latest.
const SILENCE_MS = 40_000;
const POLL_MS = 35_000;
const BRIEF_PAUSE_MS = 2000;
const BUSY_PAUSE_MS = 250;
const BUSY_MS = 5000;
const QUICK_MS = 1000;
const UP_MS = 10_000;
const UP_ROUND_TRIPS = 5;
const SLOW_BYTES_PER_MS = 16;
const FAILURES = 3;
const TOO_LARGE = 413;
// Longer than that, and the link is taken for dead.
const RETRY_AFTER_MAX_S = 2;
// What a body may hold besides its share of the log, and the frame that overshoots it.
const SLACK_BYTES = 20 * 1024;

export class HttpLink {
  isOpen = true;
  isWelcomed = false;
  /** How many bytes of a request are under way, that only its answer will confirm. */
  underwayBytes = 0;
  #isOver = false;
  #downs = 0;
  #ups = 0;
  /** @type {Post | undefined} */
  #down;
  /** @type {Post | undefined} */
  #up;
  /** What an UP says again, unchanged, until it is answered. @type {Uint8Array | undefined} */
  #unanswered;
  #isBrief = false;
  #downFailures = 0;
  #upFailures = 0;
  #retryAfterMs = 0;
  #quickEnds = 0;
  #movedMs = -Infinity;
  /** @type {any} */
  #downTimer;
  /** @type {any} */
  #upTimer;
  /** @type {Tabs | undefined} */
  #tabs;

  /**
   * @param {string} url below which `up` and `down` are
   * @param {Environment} env
   * @param {Session} session
   * @param {ClientAttach} attach
   * @param {LinkOwner} owner
   * @param {Ladder} ladder what is known of the path
   */
  constructor(url, env, session, attach, owner, ladder) {
    this.url = url;
    this.env = env;
    this.session = session;
    this.attach = attach;
    this.owner = owner;
    this.ladder = ladder;
    this.kind = ladder.mode(env.now());
  }

  /** Become the link that carries the session. */
  begin() {
    this.#tabs = new Tabs(this.url, this.env, () => this.#makeRoom());
    this.#downs = 1;
    const mode = this.#mode();
    const { inbound, outbound } = this.attach.hello(1, tlvs(mode));
    this.#ask(this.session.nextMessage(outbound, this.ladder.postBytes), inbound, mode);
  }

  /** Whether an UP may go now. */
  get isFree() {
    return this.isWelcomed && !this.#isOver && !this.#up && !this.#upTimer;
  }

  /** Send what there is to send, if no UP is under way; return whether there was anything. */
  flush() {
    if (!this.isFree) return false;
    const from = { position: undefined, cursor: this.session.log.first };
    this.#unanswered ??= this.session.nextMessage(from, this.ladder.postBytes);
    if (this.#unanswered.length) this.#say(this.#unanswered);
    else this.#unanswered = undefined;
    return Boolean(this.#up);
  }

  /** What ends the session goes by a beacon: an UP may wait, and a page that leaves does not. */
  sayLast() {
    return false;
  }

  close() {
    this.#isOver = true;
    this.#down?.end();
    this.#up?.end();
    this.#tabs?.close();
    this.env.clearTimeout(this.#downTimer);
    this.env.clearTimeout(this.#upTimer);
  }

  /** @param {string} cause */
  #lost(cause) {
    this.close();
    this.owner.linkClosed(this, cause);
  }

  // Down.

  #mode() {
    if (!this.#tabs?.mayHold) return Code.BRIEF;
    return this.kind === 'stream' ? Code.STREAM : Code.POLL;
  }

  /** Older tabs need the connection that is held here. */
  #makeRoom() {
    const isHolding = this.isWelcomed && !this.#isOver && !this.#isBrief;
    if (isHolding && !this.#tabs?.mayHold) this.#nextDown();
  }

  /** Ask on, from where the session has heard to. */
  #nextDown() {
    this.env.clearTimeout(this.#downTimer);
    this.#downs += 1;
    const mode = this.#mode();
    if (mode === Code.BRIEF) this.#tabs?.ask();
    const body = this.attach.short(this.#downs, tlvs(mode));
    this.session.acked();
    this.#ask(body, new Inbound(OPENS_DOWN), mode);
  }

  /**
   * @param {Uint8Array} body
   * @param {Inbound} inbound
   * @param {number} mode
   */
  async #ask(body, inbound, mode) {
    this.#down?.end();
    const down = new Post(this.env, (cause) => this.#downFailed(cause));
    this.#down = down;
    const isStream = mode === Code.STREAM;
    this.#isBrief = mode === Code.BRIEF;
    const startedMs = this.env.now();
    const startedAt = this.session.rx;
    const isFirst = inbound.welcomeDue;
    if (isStream) down.within(this.#pingsWithinMs(), () => this.#heldBack(inbound));
    else down.within(POLL_MS, () => down.fail('no answer'));
    const answer = await down.send(`${this.url}down`, body, isStream);
    if (!answer) return;
    if (isStream && !answer.body) this.#toPolls();
    const events =
      isStream && answer.body
        ? await this.#stream(down, answer.body, inbound)
        : await this.#whole(down, answer, inbound);
    if (down.isOver) return;
    // A refusal is an answer, but there is nothing to ask on.
    if (inbound.welcomeDue && events.length) return this.#hear(events);
    if (inbound.isBlank || inbound.welcomeDue) return down.fail('the answer ended too soon');
    if (this.session.rx !== startedAt) this.#movedMs = this.env.now();
    const isIdle = !isFirst && this.session.rx === startedAt;
    this.#again(isIdle && this.env.now() - startedMs < QUICK_MS, mode === Code.BRIEF);
    this.#hear(events);
  }

  /**
   * Take an answer as it comes; return what was not told yet.
   *
   * @param {Post} down
   * @param {ReadableStream<Uint8Array>} body
   * @param {Inbound} inbound
   * @returns {Promise<Event[]>}
   */
  async #stream(down, body, inbound) {
    const sinceMs = this.env.now();
    let hasBegun = false;
    for await (const bytes of down.chunks(body)) {
      const { pings } = inbound;
      const events = this.#take(down, inbound, bytes);
      if (down.isOver) return [];
      const wasHeld = inbound.pings >= pings + PINGS && this.env.now() - sinceMs > HELD_BACK_MS;
      if (wasHeld) this.#toPolls();
      if (hasBegun) down.heard();
      else if (inbound.pings >= PINGS) {
        hasBegun = true;
        down.within(SILENCE_MS, () => down.fail('silence'));
      }
      this.#hear(events);
      if (down.isOver) return [];
      if (wasHeld) this.#nextDown();
      else this.#makeRoom();
    }
    return [];
  }

  /**
   * Take an answer that comes whole: the next DOWN goes out before its events are told.
   *
   * @param {Post} down
   * @param {Response} answer
   * @param {Inbound} inbound
   */
  async #whole(down, answer, inbound) {
    const bytes = await down.whole(answer);
    if (!bytes) return [];
    const events = this.#take(down, inbound, bytes);
    if (this.kind === 'poll' && !inbound.isBlank) this.ladder.worked('poll', this.env.now());
    return events;
  }

  /**
   * Parse what came on a request; where it is not the server's, or has a hole, the request
   * fails.
   *
   * @param {Post} post
   * @param {Inbound} inbound
   * @param {Uint8Array} bytes
   * @returns {Event[]}
   */
  #take(post, inbound, bytes) {
    /** @type {Event[]} */
    let events;
    try {
      events = this.session.receive(inbound, bytes);
    } catch (error) {
      // What is not the server's is no sign of life.
      const before = this.session.takeEvents();
      if (before.length) this.owner.linkHeard(this, before);
      if (error instanceof LinkError) post.fail(error.message);
      else this.owner.linkFault(this, error);
      return [];
    }
    this.isWelcomed ||= !inbound.isBlank && !inbound.welcomeDue;
    return events;
  }

  /** @param {Event[]} events */
  #hear(events) {
    this.#downFailures = 0;
    const advised = events.some((event) => isEnd(event, Code.POLL_ADVISED));
    if (advised) this.#toPolls();
    this.owner.linkHeard(
      this,
      events.filter((event) => !isEnd(event, Code.POLL_ADVISED, Code.SUPERSEDED)),
    );
  }

  /**
   * A DOWN has ended as it should: ask on, but not in a flurry.
   *
   * @param {boolean} isQuick
   * @param {boolean} isBrief
   */
  #again(isQuick, isBrief) {
    this.#quickEnds = isQuick ? this.#quickEnds + 1 : 0;
    let pauseMs = isQuick ? delayMs(this.#quickEnds, true, this.env.random()) : 0;
    if (isQuick && isBrief) pauseMs = this.#isBusy ? BUSY_PAUSE_MS : BRIEF_PAUSE_MS;
    if (!pauseMs) return this.#nextDown();
    this.#down?.end();
    this.#downTimer = this.env.setTimeout(() => this.#nextDown(), pauseMs);
  }

  /** Whether bytes went either way a moment ago. */
  get #isBusy() {
    return this.env.now() - this.#movedMs < BUSY_MS;
  }

  /** @param {string} cause */
  #downFailed(cause) {
    this.#downFailures += 1;
    if (!this.isWelcomed || this.#downFailures >= FAILURES) return this.#lost(cause);
    const pauseMs = delayMs(this.#downFailures, true, this.env.random());
    this.#downTimer = this.env.setTimeout(() => this.#nextDown(), pauseMs);
  }

  /** @param {Inbound} inbound of a stream that should have begun by now */
  #heldBack(inbound) {
    if (inbound.pings >= PINGS) return;
    if (!this.isWelcomed) this.#lost('the stream does not begin');
    // Behind the loss of the link, which takes back any doubt.
    this.ladder.doubtStream();
    this.kind = this.ladder.mode(this.env.now());
    if (!this.#isOver) this.#nextDown();
  }

  #toPolls() {
    this.ladder.advisePoll(this.env.now());
    this.kind = this.ladder.mode(this.env.now());
  }

  #pingsWithinMs() {
    return Math.max(PINGS_WITHIN_MS, PINGS_ROUND_TRIPS * this.#rttMs);
  }

  get #rttMs() {
    return (this.session.rttS ?? 0) * 1000;
  }

  // Up.

  /** @param {Uint8Array} bytes */
  async #say(bytes) {
    const { log, ready } = this.session;
    const up = new Post(this.env, (cause) => this.#upFailed(cause));
    this.#up = up;
    this.#ups += 1;
    const body = join([this.attach.short(this.#ups), bytes]);
    this.underwayBytes = body.length;
    const { base, next } = log;
    if (next > base) this.#movedMs = this.env.now();
    const patienceMs = Math.max(UP_MS, UP_ROUND_TRIPS * this.#rttMs);
    up.within(patienceMs + body.length / SLOW_BYTES_PER_MS, () => up.fail('no answer'));
    const answer = await up.send(`${this.url}up`, body);
    const reply = answer && (await up.whole(answer));
    if (!reply) return;
    const inbound = new Inbound(OPENS_REPLY);
    if (!answer.ok) this.#burdened(answer);
    const events = this.#take(up, inbound, reply);
    if (up.isOver) return;
    const isHeard = next === base || log.base > base;
    if (inbound.isBlank || !isHeard) return up.fail('the server has not taken it');
    this.#answered(up);
    if (bytes.length >= this.ladder.postBytes && ready.length) {
      this.ladder.growPosts(this.attach.maxPost - SLACK_BYTES);
    }
    this.owner.linkHeard(this, events);
  }

  /** @param {Post} up */
  #answered(up) {
    up.end();
    this.#up = this.#unanswered = undefined;
    this.underwayBytes = this.#upFailures = 0;
  }

  /**
   * Something on the way does not take an UP: too much of it, or not now.
   *
   * @param {Response} answer
   */
  #burdened({ status, headers }) {
    if (status === TOO_LARGE) {
      this.ladder.shrinkPosts();
      this.#unanswered = undefined;
    }
    const waitS = Math.min(Number(headers.get('Retry-After')) || 0, RETRY_AFTER_MAX_S);
    this.#retryAfterMs = waitS * 1000;
  }

  /** @param {string} cause */
  #upFailed(cause) {
    this.#up = undefined;
    this.underwayBytes = 0;
    this.#upFailures += 1;
    if (this.#upFailures >= FAILURES) {
      // Maybe it is their length that is not liked.
      this.ladder.shrinkPosts();
      return this.#lost(cause);
    }
    const delay = Math.max(this.#retryAfterMs, delayMs(this.#upFailures, true, this.env.random()));
    this.#retryAfterMs = 0;
    this.#upTimer = this.env.setTimeout(() => {
      this.#upTimer = undefined;
      this.flush();
    }, delay);
  }
}

/** @param {number} mode */
function tlvs(mode) {
  return new Map([[Code.HELLO_MODE, Uint8Array.from(varint.encode(mode))]]);
}

/**
 * Whether this ends one answer, not the link.
 *
 * @param {Event} event
 * @param {number[]} codes
 */
function isEnd(event, ...codes) {
  return event.type === 'linkEnded' && codes.includes(event.code);
}
