// What stands in for the world in the tests: a stream, a WebSocket, and a clock with timers.

import { ByteQueue } from '../src/bytequeue.js';

/** The owner's side of one stream: records the verbs, offers the events. */
export class FakeStream {
  written = new ByteQueue();
  consumed = 0;
  calls = [];
  #waiting = [];

  constructor() {
    this.dial = (host, port, options, events) => {
      Object.assign(this, { host, port, options, events });
      return {
        write: (bytes, done) => {
          this.written.push(bytes);
          this.#waiting.push(done);
        },
        end: () => this.calls.push('end'),
        consume: (count) => void (this.consumed += count),
        reset: (code) => this.calls.push(`reset ${code}`),
        stop: () => this.calls.push('stop'),
      };
    };
  }

  /** Number all that was written. */
  settle() {
    for (const done of this.#waiting.splice(0)) done();
  }

  open() {
    this.events.onOpened({
      remoteAddress: '192.0.2.1',
      remotePort: 7,
      localAddress: '192.0.2.2',
      localPort: 40000,
    });
  }
}

/** Timers and a clock that stand still until `advance`. */
export class FakeTime {
  nowMs = 1_000_000;
  #timers = new Map();
  #next = 1;

  now = () => this.nowMs;
  setTimeout = (act, delayMs = 0) => {
    this.#timers.set(this.#next, { at: this.nowMs + delayMs, act });
    return this.#next++;
  };
  clearTimeout = (id) => void this.#timers.delete(id);

  get pending() {
    return this.#timers.size;
  }

  /** Let time pass; timers fire in order, each at its own moment. */
  advance(ms) {
    const end = this.nowMs + ms;
    for (;;) {
      const [id, timer] = [...this.#timers].sort((a, b) => a[1].at - b[1].at)[0] ?? [];
      if (!timer || timer.at > end) break;
      this.#timers.delete(id);
      this.nowMs = Math.max(this.nowMs, timer.at);
      timer.act();
    }
    this.nowMs = end;
  }

  /** Sleep as a frozen page does: the clock goes on, timers fire late. */
  freeze(ms) {
    this.nowMs += ms;
  }
}

/** Let promise reactions run. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));
