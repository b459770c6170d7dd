// Which ticket does a session show, and when is the page asked for a fresh one?
//
// A ticket may be bound to the session that showed it first: so the same one is shown again
// when a link is replaced, and the next session asks anew. A page that gives a function is asked
// before the first HELLO, at 80 % of a ticket's life, and when the server wants another one; all
// who wait share one ask. What the server has accepted holds until its end: neither a function
// that fails nor a fresh ticket that is refused costs anything before. No ticket is in any text.

import * as Code from './codes.js';
import { delayMs } from './backoff.js';

/** @import { Environment } from './environment.js' */
/** @import { TicketSource } from './proxy.js' */

const MAX_BYTES = 4096;
const ASK_WITHIN_MS = 10_000;
const JUDGE_WITHIN_MS = 10_000;
const RENEW_AT = 0.8;
const RENEW_MIN_MS = 1000;
// A timer that is set to more goes off at once.
const TIMER_MAX_MS = 2 ** 31 - 1;
// Where a fresh ticket is refused the keys may just have changed; a second one means no.
const CREATE_TRIES = 2;

/**
 * @typedef {object} TicketsOwner
 * @property {() => void} ticketCame there is one to show
 * @property {(cause: string, isFatal: boolean) => void} ticketTrouble why there is no fresh one, or
 *   '' where there is one again; fatal where none can follow, and one is needed
 */

export class Tickets {
  #source;
  #env;
  #owner;
  /** What is shown next, was shown last, and was accepted last; none is ''. */
  #held = '';
  #shown = '';
  #accepted = '';
  // When the accepted one ends.
  #endsAtMs = Infinity;
  // Whether no HELLO may go before the page has answered.
  #isDue;
  #failures = 0;
  #refusals = 0;
  /** The ask whose answer counts. @type {object | undefined} */
  #asking;
  /** When to ask, or while asking until when. @type {any} */
  #timer;

  /**
   * @param {TicketSource} source
   * @param {Environment} env
   * @param {TicketsOwner} owner
   */
  constructor(source, env, owner) {
    this.#source = source;
    this.#env = env;
    this.#owner = owner;
    this.#isDue = Boolean(source);
  }

  /** The page gives another one, or another function. @param {TicketSource} source */
  give(source) {
    this.#source = source;
    this.#failures = this.#refusals = 0;
    this.#asking = undefined;
    this.#ask();
  }

  /** Return whether a HELLO may go; where it lacks its ticket the page is asked now. */
  ready() {
    const isOver = this.#held === this.#accepted && this.#env.now() >= this.#endsAtMs;
    if (isOver && this.#canAsk) this.#isDue = true;
    if (this.#isDue) this.#ask();
    return !this.#isDue;
  }

  /** Whether there is one that the server has not seen. */
  get isNew() {
    return this.#held !== this.#shown;
  }

  /** Return the ticket that goes to the server now. */
  show() {
    this.#shown = this.#held;
    return this.#held;
  }

  /** The same, for a session that runs on: over HTTP the answer may be lost. */
  renew() {
    if (this.#canAsk && !this.#asking) {
      this.#after(JUDGE_WITHIN_MS, () => this.#failed('no answer to the new ticket'));
    }
    return this.show();
  }

  /**
   * The server has judged what was shown, on a link that goes on.
   *
   * @param {number} code
   * @param {number} expiresS 0 where no end is known
   */
  judged(code, expiresS) {
    if (code === Code.BUSY) return this.#failed('the server cannot judge the new ticket now', true);
    if (code !== Code.CLEAN) {
      if (!this.isNew) this.#held = this.#accepted;
      this.#shown = this.#accepted;
      return this.#failed('the server refuses the new ticket');
    }
    // The application may know the page by something else, whose end is not ours to move.
    if (!this.#shown) return;
    const hadTrouble = this.#failures > 0;
    this.#failures = this.#refusals = 0;
    this.#accepted = this.#shown;
    const lifeMs = expiresS * 1000 || Infinity;
    this.#endsAtMs = this.#env.now() + lifeMs;
    if (this.#canAsk && !this.#asking) {
      this.#env.clearTimeout(this.#timer);
      if (expiresS) this.#askIn(Math.max(RENEW_MIN_MS, lifeMs * RENEW_AT));
    }
    if (hadTrouble) this.#owner.ticketTrouble('', false);
  }

  /**
   * The server has refused a HELLO for what it showed. Return how long to wait before the next
   * one, undefined where that would show nothing better.
   *
   * @param {boolean} isKnown whether the session has ever been welcomed
   */
  refused(isKnown) {
    this.#refusals += 1;
    const hasFormer = isKnown && this.#accepted !== this.#shown && this.#env.now() < this.#endsAtMs;
    const mayAsk = this.#canAsk && (isKnown || this.#refusals < CREATE_TRIES);
    if (!this.isNew) {
      if (hasFormer) this.#held = this.#accepted;
      else if (mayAsk) this.#isDue = true;
      else return undefined;
    }
    return delayMs(this.#refusals, false, this.#env.random());
  }

  /** Nothing is asked any more, and no answer waited for. */
  close() {
    this.#asking = undefined;
    this.#env.clearTimeout(this.#timer);
  }

  get #canAsk() {
    return typeof this.#source === 'function';
  }

  /** Ask the page, which may take its time, throw, or never answer. */
  #ask() {
    if (this.#asking) return;
    const asking = (this.#asking = {});
    /** @type {(act: (answer?: any) => void) => (answer?: any) => void} */
    const once = (act) => (answer) => {
      if (asking !== this.#asking) return;
      this.close();
      act(answer);
    };
    this.#after(ASK_WITHIN_MS, once(() => this.#failed(`no ticket in ${ASK_WITHIN_MS} ms`)));
    const source = this.#source;
    // In a turn of its own: what the page does there finds us at rest.
    Promise.resolve()
      .then(() => (typeof source === 'function' ? source() : source))
      .then(
        once((ticket) => this.#got(ticket ?? '')),
        once((reason) => this.#failed(`no ticket: ${wordsOf(reason)}`)),
      );
  }

  /** @param {unknown} ticket */
  #got(ticket) {
    const fault = faultOf(ticket);
    if (fault && this.#isDue) return this.#owner.ticketTrouble(fault, true);
    if (fault) return this.#failed(fault);
    if (!ticket && this.#canAsk && !this.#isDue) return this.#failed('no ticket: none was given');
    this.#held = /** @type {string} */ (ticket);
    this.#isDue = false;
    this.#owner.ticketCame();
  }

  /**
   * @param {string} cause
   * @param {boolean} [isPassing] the same ticket may be shown again
   */
  #failed(cause, isPassing = false) {
    this.#failures += 1;
    const leftMs = this.#endsAtMs - this.#env.now();
    const isNeeded = this.#isDue || (leftMs > 0 && leftMs < Infinity);
    if (((isNeeded && this.#canAsk) || isPassing) && !this.#asking) {
      this.#askIn(delayMs(this.#failures, false, this.#env.random()));
    }
    this.#owner.ticketTrouble(cause, false);
  }

  /** @param {number} ms */
  #askIn(ms) {
    this.#after(Math.min(ms, TIMER_MAX_MS), () => this.#ask());
  }

  /**
   * @param {number} ms
   * @param {() => void} act
   */
  #after(ms, act) {
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(act, ms);
  }
}

/** @param {unknown} ticket */
function faultOf(ticket) {
  if (typeof ticket !== 'string') return `ticket of type ${typeof ticket}, not a string`;
  const size = new TextEncoder().encode(ticket).length;
  return size > MAX_BYTES ? `ticket of ${size} bytes, above ${MAX_BYTES}` : '';
}

/** What was thrown may be anything. @param {unknown} reason */
function wordsOf(reason) {
  const words = reason instanceof Error ? reason.message : reason;
  return typeof words === 'string' ? words : 'the function failed';
}
