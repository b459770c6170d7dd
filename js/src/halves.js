// How do the two directions of a stream become a ReadableStream and a WritableStream?
//
// Reading consumes: nothing is handed over before the page asks, so unread bytes hold back
// credit and with it the backend. Writing settles when the session has room for more; it keeps
// what it took until the server has it. Each half reports its end exactly once.

import { ByteQueue } from './bytequeue.js';

/** @import { StreamVerbs } from './socket.js' */
/** @typedef {(error?: unknown) => void} Finished called once: the half is over, with an error if it broke */

/** Backend to page. */
export class ReadHalf {
  #queue = new ByteQueue();
  #wanted = false;
  #over = false;
  /** @type {{error?: Error} | undefined} */
  #ending;
  // Both controllers are set by `start`, before the constructor returns.
  #controller = /** @type {ReadableByteStreamController} */ ({});

  /**
   * @param {StreamVerbs} stream
   * @param {Finished} finished
   */
  constructor(stream, finished) {
    this.consume = stream.consume;
    this.finished = finished;
    this.readable = new ReadableStream(
      {
        type: 'bytes',
        start: (controller) => void (this.#controller = controller),
        pull: () => {
          this.#wanted = true;
          this.#serve();
        },
        cancel: () => {
          this.#queue.clear();
          this.#over = true;
          stream.stop();
          finished();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** @param {Uint8Array} bytes */
  data(bytes) {
    if (this.#over) return;
    this.#queue.push(bytes);
    this.#serve();
  }

  /**
   * End after what has arrived; the first ending counts.
   *
   * @param {Error} [error]
   */
  end(error) {
    this.#ending ??= { error };
    this.#serve();
  }

  #serve() {
    while (this.#wanted && this.#queue.length) this.#give();
    if (this.#ending && !this.#queue.length && !this.#over) this.#finish(this.#ending.error);
  }

  #give() {
    // Both ways of giving may pull again before they return.
    this.#wanted = false;
    const request = this.#controller.byobRequest;
    const view = request?.view;
    const bytes = this.#queue.take(view?.byteLength);
    this.consume(bytes.length);
    if (request && view) {
      new Uint8Array(view.buffer, view.byteOffset).set(bytes);
      request.respond(bytes.length);
    } else {
      this.#controller.enqueue(bytes);
    }
  }

  /** @param {Error} [error] */
  #finish(error) {
    this.#over = true;
    try {
      if (error) this.#controller.error(error);
      else this.#controller.close();
      // A waiting BYOB read is told of the end only by an answer.
      this.#controller.byobRequest?.respond(0);
      this.finished(error);
    } catch (broken) {
      // The stream ended inside an element of a wider view; the controller has told the reader.
      this.finished(broken);
    }
  }
}

/** Page to backend. */
export class WriteHalf {
  #over = false;
  /** The write in hand. @type {{done: (value?: any) => void, fail: (error: Error) => void} | undefined} */
  #inHand;
  #controller = /** @type {WritableStreamDefaultController} */ ({});

  /**
   * @param {StreamVerbs} stream
   * @param {Finished} finished
   */
  constructor(stream, finished) {
    this.finished = finished;
    const end = () => {
      stream.end();
      this.#finish();
    };
    this.writable = new WritableStream({
      start: (controller) => {
        this.#controller = controller;
        // An abort must not wait for credit that may never come.
        controller.signal?.addEventListener('abort', () => this.#inHand?.done());
      },
      write: (chunk) => this.#write(stream, chunk),
      close: end,
      // What is in hand still goes, as from a kernel buffer; what waits behind it is dropped.
      abort: end,
    });
  }

  /** @param {Error} error */
  fail(error) {
    this.#controller.error(error);
    this.#inHand?.fail(error);
    this.#finish(error);
  }

  /**
   * @param {StreamVerbs} stream
   * @param {unknown} chunk
   */
  #write(stream, chunk) {
    /** @type {Uint8Array} */
    let bytes;
    try {
      bytes = copyOf(chunk);
    } catch (error) {
      this.#finish(error);
      throw error;
    }
    if (!bytes.length) return;
    return new Promise((done, fail) => {
      this.#inHand = { done, fail };
      stream.write(bytes, () => done(undefined));
    });
  }

  /** @param {unknown} [error] */
  #finish(error) {
    if (this.#over) return;
    this.#over = true;
    this.finished(error);
  }
}

/**
 * @param {unknown} chunk
 * @returns {Uint8Array}
 */
function copyOf(chunk) {
  if (ArrayBuffer.isView(chunk)) {
    return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength).slice();
  }
  // By tag and not by instanceof: the buffer may come from another frame.
  if (Object.prototype.toString.call(chunk) === '[object ArrayBuffer]') {
    return new Uint8Array(/** @type {ArrayBuffer} */ (chunk)).slice();
  }
  throw new TypeError(`write: a BufferSource is required, got ${typeof chunk}`);
}
