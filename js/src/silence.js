// When does silence mean that a link is dead?
//
// Only an answer that is owed can be missing. A link that owes one and has said nothing for
// three seconds, or four round trips, is suspect: it may still speak, but another one is tried.
// A link that owes nothing is asked first, after as long as its server stays silent by itself.

const PATIENCE_MS = 3000;
const PATIENCE_ROUND_TRIPS = 4;
const SLOW_BYTES_PER_MS = 16;
const PING_MS = 25_000;
const PING_TIMEOUT_MS = 15_000;

export class Silence {
  isSuspect = false;
  /** Whether we asked for nothing but a sign of life. */
  isProbing = false;
  #heardAtMs = 0;
  /** @type {number | undefined} since when an answer is owed */
  #owedSinceMs;

  /** @param {number} nowMs something was heard, or a new link begins */
  heard(nowMs) {
    this.isSuspect = this.isProbing = false;
    this.#heardAtMs = nowMs;
    this.#owedSinceMs = undefined;
  }

  /** @param {number} nowMs an answer is owed from here on, unless one was before */
  owed(nowMs) {
    this.#owedSinceMs ??= nowMs;
  }

  /** @param {number} nowMs we asked just now, whatever was owed before */
  probed(nowMs) {
    this.isProbing = true;
    this.#owedSinceMs = nowMs;
  }

  get isOwed() {
    return this.#owedSinceMs !== undefined;
  }

  /**
   * Return the moment until which silence is nothing to act on.
   *
   * @param {number} rttMs
   * @param {number} pingMs how often the server speaks by itself, 0 if it did not say
   * @param {boolean} isWaiting somebody waits for what the server may say
   * @param {number} [underwayBytes] what must have arrived before there can be an answer
   */
  endsAtMs(rttMs, pingMs, isWaiting, underwayBytes = 0) {
    if (this.isSuspect) return Infinity;
    const roundTrips = Math.max(PATIENCE_MS, PATIENCE_ROUND_TRIPS * rttMs);
    const patience = roundTrips + underwayBytes / SLOW_BYTES_PER_MS;
    if (this.#owedSinceMs !== undefined) return this.#owedSinceMs + patience;
    if (isWaiting) return this.#heardAtMs + patience;
    return this.#heardAtMs + (pingMs || PING_MS) + PING_TIMEOUT_MS;
  }
}
