// Where do received bytes wait until the page reads them?
//
// Bounded by its owner (the stream window). Bytes are copied in, so that a small payload
// never pins the message it came in; small pieces share a block, so that a window filled
// one byte at a time costs about a window of memory and not a million objects.

const BLOCK_BYTES = 4096;

export class ByteQueue {
  /** @type {{bytes: Uint8Array<ArrayBuffer>, start: number, end: number}[]} */
  #blocks = [];
  /** Bytes waiting. */
  length = 0;

  /** @param {Uint8Array} bytes */
  push(bytes) {
    let tail = this.#blocks[this.#blocks.length - 1];
    if (!tail || tail.end + bytes.length > tail.bytes.length) {
      tail = { bytes: new Uint8Array(Math.max(bytes.length, BLOCK_BYTES)), start: 0, end: 0 };
      this.#blocks.push(tail);
    }
    tail.bytes.set(bytes, tail.end);
    tail.end += bytes.length;
    this.length += bytes.length;
  }

  /**
   * Take from the front: at most `max` bytes, one block at a time, empty only if the queue is.
   * The answer of an unlimited take owns its buffer; a limited one must be copied at once.
   */
  take(max = Infinity) {
    const head = this.#blocks[0];
    if (!head) return new Uint8Array(0);
    const bytes = head.bytes.subarray(head.start, Math.min(head.end, head.start + max));
    head.start += bytes.length;
    if (head.start === head.end) this.#blocks.shift();
    this.length -= bytes.length;
    return bytes;
  }

  clear() {
    this.#blocks = [];
    this.length = 0;
  }
}
