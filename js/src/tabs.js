// How many tabs of a browser may hold a request open?
//
// A browser has six connections to a host over HTTP/1.1, for all its tabs together. If each of
// six tabs held one, no tab could say anything any more. So the three oldest hold theirs, and
// the others ask briefly. Tabs hear of each other only when one of them asks, so that nothing
// need be remembered or forgotten.

/** @import { Environment } from './environment.js' */

const HOLDERS = 3;

export class Tabs {
  #channel;
  #age;
  // Those that are older: who answered this question, and who the one before.
  /** @type {Set<number>} */
  #older = new Set();
  /** @type {Set<number>} */
  #before = new Set();

  /**
   * @param {string} url the server
   * @param {Environment} env
   * @param {() => void} crowded called when older tabs turn out to be enough
   */
  constructor(url, env, crowded) {
    this.crowded = crowded;
    this.#age = env.epoch() + env.random();
    const { BroadcastChannel } = env;
    this.#channel = BroadcastChannel && new BroadcastChannel(`sockproxy ${new URL(url).origin}`);
    if (!this.#channel) return;
    this.#channel.onmessage = ({ data }) => this.#heard(data);
    this.ask();
  }

  /** Whether this tab is among the oldest. */
  get mayHold() {
    return this.#older.size < HOLDERS && this.#before.size < HOLDERS;
  }

  /** Ask who else is there. */
  ask() {
    this.#before = this.#older;
    this.#older = new Set();
    this.#channel?.postMessage({ age: this.#age, asks: true });
  }

  close() {
    this.#channel?.close();
  }

  /** @param {{age: number, asks: boolean}} told */
  #heard({ age, asks }) {
    if (age < this.#age) {
      const couldHold = this.mayHold;
      this.#older.add(age);
      if (couldHold && !this.mayHold) this.crowded();
    } else if (asks) {
      this.#channel?.postMessage({ age: this.#age, asks: false });
    }
  }
}
