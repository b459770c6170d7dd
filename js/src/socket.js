// What does a page hold? A TCPSocket in the exact shape of the Direct Sockets specification.
//
// `closed` resolves once three ends have come: the readable's, the writable's, and the word
// of the server that the stream is over. Waiting for the third is what makes a resolved
// `closed` mean that every written byte reached the backend's side.

import * as Code from './codes.js';
import { domError, streamError } from './domerrors.js';
import { ReadHalf, WriteHalf } from './halves.js';
import { ignore, settler } from './settler.js';

/** @import { Settler } from './settler.js' */

/**
 * @typedef {object} TCPSocketOptions
 * @property {boolean} [noDelay] have the server send small writes at once
 * @property {number} [keepAliveDelay] milliseconds, at least 1000
 * @property {number} [sendBufferSize] checked, and left to the session's windows
 * @property {number} [receiveBufferSize] checked, and left to the session's windows
 * @property {'ipv4' | 'ipv6'} [dnsQueryType] checked, and left to the server, which resolves
 */

/**
 * @typedef {object} Addresses
 * @property {string} remoteAddress
 * @property {number} remotePort
 * @property {string} localAddress
 * @property {number} localPort
 */

/** @typedef {Addresses & {readable: ReadableStream<Uint8Array>, writable: WritableStream<BufferSource>}} TCPSocketOpenInfo */

/**
 * What the owner of the session tells a stream, in this order: opened at most once, data,
 * eof, and closed exactly once as the last.
 *
 * @typedef {object} StreamEvents
 * @property {(addresses: Addresses) => void} onOpened
 * @property {(bytes: Uint8Array) => void} onData
 * @property {() => void} onEof
 * @property {(code: number, text: string, acked: number) => void} onClosed
 */

/**
 * The verbs of a stream, as the owner of the session offers them.
 *
 * @typedef {object} StreamVerbs
 * @property {(bytes: Uint8Array, done: () => void) => void} write `done` when more may come
 * @property {() => void} end no byte follows those written
 * @property {(count: number) => void} consume the page has read `count` bytes
 * @property {(code: number) => void} reset abort both directions
 * @property {() => void} stop the page reads no more
 */

/** @typedef {(host: string, port: number, options: TCPSocketOptions, events: StreamEvents) => StreamVerbs} Dial */

const ENDS = 3;
const MAX_UINT32 = 2 ** 32 - 1;
const MIN_KEEP_ALIVE_MS = 1000;

/** @type {Dial | undefined} */
let defaultDial;

/**
 * Say which session serves `new TCPSocket(host, port)`.
 *
 * @internal
 * @param {Dial} dial
 */
export function setDefaultDial(dial) {
  defaultDial = dial;
}

export class TCPSocket {
  /** @type {Settler<TCPSocketOpenInfo>} */
  #opened = settler();
  /** @type {Settler<void>} */
  #closed = settler();
  #endsMissing = ENDS;
  #confirmed = false;
  /** @type {unknown} the first thing that went wrong */
  #error;
  /** @type {ReadHalf | undefined} */
  #reading;
  /** @type {WriteHalf | undefined} */
  #writing;

  /**
   * @param {string} remoteAddress host name or address literal; with port 0 a backend's name
   * @param {number} remotePort wraps at 65536
   * @param {TCPSocketOptions} [options]
   * @param {Dial} [dial] the way to a session; pages leave it out
   */
  constructor(remoteAddress, remotePort, options = {}, dial = defaultDial) {
    if (arguments.length < 2) {
      throw new TypeError(`TCPSocket: 2 arguments required, ${arguments.length} present`);
    }
    if (!dial) throw new TypeError('TCPSocket: no server known');
    const verbs = dial(`${remoteAddress}`, remotePort & 0xffff, checked(options), {
      onOpened: (addresses) => this.#open(verbs, addresses),
      onData: (bytes) => this.#reading?.data(bytes),
      onEof: () => this.#reading?.end(),
      onClosed: (code, text, acked) => this.#over(code, text, acked),
    });
  }

  /** Settles when the connection is there, or with why it cannot be. */
  get opened() {
    return this.#opened.promise;
  }

  /** Settles when both streams are finished and the server has confirmed the end. */
  get closed() {
    return this.#closed.promise;
  }

  /**
   * Cancel the readable and abort the writable, neither of which may be locked.
   *
   * @returns {Promise<void>} the same as `closed`
   */
  close() {
    const readable = this.#reading?.readable;
    const writable = this.#writing?.writable;
    if (!readable || !writable) return refusal('close: the socket is not open');
    if (readable.locked || writable.locked) return refusal('close: a stream is locked');
    const reason = domError('AbortError', 'the socket was closed');
    readable.cancel(reason).catch(ignore);
    writable.abort(reason).catch(ignore);
    return this.closed;
  }

  /**
   * @param {StreamVerbs} verbs
   * @param {Addresses} addresses
   */
  #open(verbs, addresses) {
    /** @param {unknown} [error] */
    const finished = (error) => this.#finished(error, verbs);
    this.#reading = new ReadHalf(verbs, finished);
    this.#writing = new WriteHalf(verbs, finished);
    const { readable } = this.#reading;
    const { writable } = this.#writing;
    this.#opened.resolve({ readable, writable, ...addresses });
  }

  /**
   * @param {number} code
   * @param {string} text
   * @param {number} acked
   */
  #over(code, text, acked) {
    this.#confirmed = true;
    const error = streamError(code, text, acked);
    const failed = code !== Code.CLEAN || !this.#reading;
    this.#opened.reject(error);
    // A failure is told at once; the readable breaks when what had arrived is read.
    if (failed) this.#closed.reject((this.#error ??= error));
    this.#reading?.end(failed ? error : undefined);
    this.#writing?.fail(error);
    this.#finished(undefined);
  }

  /**
   * One of the three ends has come.
   *
   * @param {unknown} error
   * @param {StreamVerbs} [verbs]
   */
  #finished(error, verbs) {
    this.#error ??= error;
    this.#endsMissing -= 1;
    if (this.#endsMissing === 0) {
      if (this.#error) this.#closed.reject(this.#error);
      else this.#closed.resolve();
    } else if (this.#endsMissing === 1 && this.#error && !this.#confirmed) {
      // Broken by the page itself: an upload that was cut short must not look complete.
      verbs?.reset(Code.ABORTED);
    }
  }
}

/**
 * Return the options as WebIDL converts them. Throws `TypeError` where a browser would.
 *
 * @param {unknown} options
 * @returns {TCPSocketOptions}
 */
function checked(options) {
  if (options === null) return {};
  if (typeof options !== 'object' && typeof options !== 'function') {
    throw new TypeError(`options: an object is required, got ${typeof options}`);
  }
  const { dnsQueryType, keepAliveDelay, noDelay, receiveBufferSize, sendBufferSize } =
    /** @type {TCPSocketOptions} */ (options);
  if (dnsQueryType !== undefined && !/^ipv[46]$/.test(`${dnsQueryType}`)) {
    throw new TypeError(`dnsQueryType: ${dnsQueryType} is neither ipv4 nor ipv6`);
  }
  checkSize('receiveBufferSize', receiveBufferSize, 1);
  checkSize('sendBufferSize', sendBufferSize, 1);
  return {
    noDelay: !!noDelay,
    keepAliveDelay: checkSize('keepAliveDelay', keepAliveDelay, MIN_KEEP_ALIVE_MS),
  };
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {number} min
 * @returns {number | undefined}
 */
function checkSize(name, value, min) {
  if (value === undefined) return undefined;
  // Unary plus and not Number(): a BigInt is a TypeError here.
  const number = Math.trunc(+(/** @type {number} */ (value)));
  if (number >= min && number <= MAX_UINT32) return number;
  throw new TypeError(`${name}: ${value} is outside ${min}..${MAX_UINT32}`);
}

/** @param {string} text */
const refusal = (text) => Promise.reject(domError('InvalidStateError', text));
