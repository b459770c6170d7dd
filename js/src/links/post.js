// How is one POST made, so that it ends: answered, failed, late or called off?
//
// No header of ours, no credentials, no Content-Type: so the browser asks nobody first, and
// nothing of it stands in a log. A failure is told once, by `failed`; what awaits something of a
// POST that failed or was called off gets nothing.

/** @import { Environment } from '../environment.js' */

const STREAM_TYPE = 'text/event-stream';

export class Post {
  isOver = false;
  #abort = new AbortController();
  #env;
  #failed;
  #withinMs = 0;
  #dueMs = 0;
  /** @type {any} */
  #timer;

  /**
   * @param {Environment} env
   * @param {(cause: string) => void} failed
   */
  constructor(env, failed) {
    this.#env = env;
    this.#failed = failed;
  }

  /**
   * Ask, and return the answer.
   *
   * @param {string} url
   * @param {Uint8Array} bytes
   * @param {boolean} [isStream]
   */
  send(url, bytes, isStream = false) {
    const asked = this.#env.fetch(url, {
      method: 'POST',
      body: /** @type {Uint8Array<ArrayBuffer>} */ (bytes),
      headers: isStream ? { Accept: STREAM_TYPE } : {},
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'error',
      signal: this.#abort.signal,
    });
    return this.#awaited(asked);
  }

  /**
   * Return the body of an answer.
   *
   * @param {Response} answer
   */
  async whole(answer) {
    const body = await this.#awaited(answer.arrayBuffer());
    return body && new Uint8Array(body);
  }

  /**
   * Give the body of an answer as it comes.
   *
   * @param {ReadableStream<Uint8Array>} body
   */
  async *chunks(body) {
    const reader = body.getReader();
    for (;;) {
      const read = await this.#awaited(reader.read());
      if (!read?.value) return;
      yield read.value;
    }
  }

  /**
   * Call `late` when this much time has passed without another `within` or `heard`. Where the
   * timer itself is late, the page slept and the answer may stand behind it: then there is time
   * once more.
   *
   * @param {number} ms
   * @param {() => void} late
   */
  within(ms, late) {
    if (this.isOver) return;
    this.#withinMs = ms;
    this.heard();
    this.#watch(ms, late);
  }

  /** The time of `within` begins anew; the timer that runs learns of it when it fires. */
  heard() {
    this.#dueMs = this.#env.now() + this.#withinMs;
  }

  /**
   * @param {number} ms
   * @param {() => void} late
   */
  #watch(ms, late) {
    const { now, setTimeout, clearTimeout } = this.#env;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const leftMs = this.#dueMs - now();
      if (leftMs > 0) this.#watch(leftMs, late);
      else if (-leftMs > this.#withinMs) this.within(this.#withinMs, late);
      else late();
    }, ms);
  }

  /** @param {string} cause */
  fail(cause) {
    if (this.isOver) return;
    this.end();
    this.#failed(cause);
  }

  /** Nothing more is awaited of it; what is under way is called off. */
  end() {
    this.isOver = true;
    this.#env.clearTimeout(this.#timer);
    this.#abort.abort();
  }

  /**
   * @template T
   * @param {Promise<T>} promise
   * @returns {Promise<T | undefined>}
   */
  async #awaited(promise) {
    try {
      const value = await promise;
      if (!this.isOver) return value;
    } catch (error) {
      this.fail(`${/** @type {Error} */ (error).message}`);
    }
  }
}
