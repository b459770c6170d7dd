// How do many streams survive any number of broken links? The client's twin of core/session.py.
//
// Guarantees: what is delivered of a stream is always a prefix of what was written, and all of
// it once some link stays up; each stream ends once, with one code; what is held is bounded by
// the windows. Nothing here does IO, sets a timer or reads a clock of its own.
//
// Assumes that the owner gives `receive` the bytes of a link in order, and calls `nextMessage`
// only while the link can take bytes: a frame is numbered at the last moment (late binding), so
// that a RESET drops what waits and control overtakes data.
//
// State and verbs are here; what a received frame does is in `inward`, which goes next in
// `outward`. One protocol, two languages: for the same input both emit the same bytes.

import * as Code from './codes.js';
import { LocalError, PeerError } from './errors.js';
import { BEFORE_WELCOME_BYTES, ReceiveWindow, SendCredit } from './flow.js';
import * as frames from './frames.js';
import * as inward from './inward.js';
import { FRAME_CHARGE_BYTES, Log } from './log.js';
import * as outward from './outward.js';
import { Stream } from './stream.js';

/** @import { Event, StreamClosed } from './events.js' */
/** @import { Inbound, Outbound } from './pipe.js' */

export const MESSAGE_BYTES = 64 * 1024;
const ACK_DELAY_S = 0.1;
const ACK_CHARGE_BYTES = 32 * 1024;
const EARLY_STREAMS = 8;
export const TOKEN_MODULUS = 2 ** 30;

/** What this end takes and how much it keeps; all in bytes. */
const WINDOWS = {
  stream: 64 * 1024,
  streamMax: 1024 * 1024,
  streamsTotal: 8 * 1024 * 1024,
  session: 4 * 1024 * 1024,
};

/** The client's end of a session: its streams, its log, and how far it heard the peer. */
export class Session {
  rx = 0;
  /** @type {Map<number, Stream>} */
  streams = new Map();
  // Credit that a stream starts with, before its window is known.
  initialCredit = BEFORE_WELCOME_BYTES;
  windowTotal = 0;
  /** @type {Event[]} */
  events = [];
  /** @type {number | undefined} */
  rttS;
  // This link: what it owes the peer, by the type of its frame.
  /** @type {Map<number, Uint8Array>} */
  local = new Map();
  ackOwed = false;
  /** @type {number | undefined} */
  ackSinceS;
  ackCharge = 0;
  mayNumber = false;
  /** @type {((values: any[]) => void) | undefined} */
  onWelcome;
  // What waits to be numbered: control by stream, and streams with DATA.
  /** @type {Map<number, Stream>} */
  attention = new Map();
  /** @type {Stream[]} */
  ready = [];
  /** @type {Set<number>} */
  progressed = new Set();
  // Ids to use again, and OPENs that may go before WELCOME.
  /** @type {number[]} */
  freeIds = [];
  nextId = 2;
  /** @type {number | undefined} */
  earlyOpens = EARLY_STREAMS;
  /** @type {Stream[]} */
  waitingOpens = [];

  /**
   * @param {() => number} clock seconds
   * @param {typeof WINDOWS} [windows]
   */
  constructor(clock, windows = WINDOWS) {
    this.clock = clock;
    this.windows = windows;
    this.log = new Log(windows.session);
  }

  // Links.

  /**
   * Start a link; return its outbound pipe, sending from the first unacked frame.
   *
   * @returns {Outbound}
   */
  attach() {
    this.local.clear();
    this.acked();
    return { position: undefined, cursor: this.log.first };
  }

  /**
   * The peer welcomed this link: number frames, with at least this much credit.
   *
   * @param {number} streamWindow
   */
  start(streamWindow) {
    this.mayNumber = true;
    this.ackOwed = true;
    this.ping();
    this.earlyOpens = undefined;
    this.initialCredit = Math.max(this.initialCredit, streamWindow);
    for (const stream of this.streams.values()) {
      stream.credit.grant(this.initialCredit);
      this.wake(stream);
    }
    for (const stream of this.waitingOpens.splice(0)) {
      if (this.streams.get(stream.id) === stream) this.attention.set(stream.id, stream);
    }
  }

  /**
   * Take bytes from the link and return what they mean.
   *
   * Throws `PeerError` (end the session) or `LinkError` (attach again): what came before the
   * fault has been taken, and its events come with the next `takeEvents`.
   *
   * @param {Inbound} pipe
   * @param {Uint8Array} bytes
   */
  receive(pipe, bytes) {
    inward.receive(this, pipe, bytes);
    return this.takeEvents();
  }

  /** Return the events that no call has returned yet. */
  takeEvents() {
    return this.events.splice(0);
  }

  /**
   * `receive` for a WebSocket, whose messages hold whole frames.
   *
   * @param {Inbound} pipe
   * @param {Uint8Array} bytes
   */
  receiveMessage(pipe, bytes) {
    inward.receive(this, pipe, bytes);
    const cut = pipe.decoder.pendingBytes;
    if (cut) {
      throw new PeerError(Code.PROTOCOL, `message ends inside a frame, after ${cut} bytes of it`);
    }
    return this.takeEvents();
  }

  /**
   * Return what to send now, about `room` bytes, or nothing.
   *
   * @param {Outbound} pipe
   * @param {number} [room]
   */
  nextMessage(pipe, room = MESSAGE_BYTES) {
    return outward.nextMessage(this, pipe, room);
  }

  /** What was received has been acknowledged: on the link, or in the HELLO of a DOWN. */
  acked() {
    this.ackOwed = false;
    this.ackSinceS = undefined;
    this.ackCharge = 0;
  }

  /** Seconds until `nextMessage` has an ACK to send, undefined when it owes none. */
  ackDueS() {
    if (this.ackOwed) return 0;
    if (this.ackSinceS === undefined) return undefined;
    return Math.max(0, this.ackSinceS + ACK_DELAY_S - this.clock());
  }

  /** Ask the peer for a sign of life on this link. */
  ping() {
    this.say(frames.PING, this.token());
  }

  token() {
    return Math.trunc(this.clock() * 1000) % TOKEN_MODULUS;
  }

  // Streams.

  /**
   * Start a stream and return its id. Port 0: `host` is the name of a backend.
   *
   * @param {string} host
   * @param {number} port
   * @param {frames.Tlvs} [tlvs]
   */
  open(host, port, tlvs = new Map()) {
    let id = this.freeIds.shift();
    if (id === undefined) {
      id = this.nextId;
      this.nextId += 2;
    }
    const window = new ReceiveWindow(this.windows.stream, this.clock());
    const stream = new Stream(id, new SendCredit(this.initialCredit), window);
    stream.moveBoth('OPEN');
    stream.opening = [id, window.max, port, host, tlvs];
    this.streams.set(id, stream);
    this.windowTotal += window.size;
    this.attention.set(id, stream);
    return id;
  }

  /**
   * Abort both directions. Returns the end at once where the peer never heard of the stream.
   *
   * @param {number} id
   * @param {number} code
   * @param {string} [text]
   * @returns {StreamClosed | undefined}
   */
  reset(id, code, text = '') {
    const stream = this.#stream(id);
    stream.dropUnsent();
    stream.discarding = true;
    if (!stream.openNumbered) {
      this.forget(stream);
      return { type: 'closed', stream: id, code, text, acked: 0 };
    }
    stream.reset = [id, code, frames.clip(text)];
    this.attention.set(id, stream);
  }

  /**
   * Nobody reads this stream any more.
   *
   * @param {number} id
   */
  stop(id) {
    const stream = this.#stream(id);
    if (!stream.discarding && stream.receives) {
      stream.stop = true;
      this.attention.set(id, stream);
    }
    stream.discarding = true;
  }

  /**
   * Queue bytes to send; the caller stops while `queued` says so.
   *
   * @param {number} id
   * @param {Uint8Array} bytes not to be changed any more
   */
  write(id, bytes) {
    const stream = this.#stream(id);
    if (!bytes.length) return;
    if (stream.eof || !stream.sends) {
      throw new LocalError(`stream ${id}: write in state ${stream.up}`);
    }
    stream.queue.put(bytes);
    this.wake(stream);
  }

  /**
   * End our direction after the queued bytes.
   *
   * @param {number} id
   */
  writeEof(id) {
    const stream = this.#stream(id);
    stream.eof = true;
    this.attention.set(id, stream);
  }

  /**
   * Bytes written and not in a frame yet; 0 for a stream that has ended.
   *
   * @param {number} id
   */
  queued(id) {
    return this.streams.get(id)?.queue.size ?? 0;
  }

  /**
   * `count` received bytes were used: let the peer send as many more.
   *
   * @param {number} id
   * @param {number} count
   */
  consume(id, count) {
    const stream = this.streams.get(id);
    if (!stream) return;
    stream.window.consume(count);
    if (stream.window.due && stream.receives) this.attention.set(id, stream);
  }

  /** Streams of which bytes were numbered since the last call. */
  takeProgress() {
    const { progressed } = this;
    this.progressed = new Set();
    return progressed;
  }

  /**
   * The other end's state is gone: end every stream that it may have heard of.
   *
   * @returns {StreamClosed[]}
   */
  lose() {
    const lost = [...this.streams.values()].filter((stream) => stream.openNumbered);
    for (const stream of lost) this.forget(stream);
    return lost.map(({ id, acked }) => ({
      type: 'closed',
      stream: id,
      code: Code.LOST,
      text: 'session lost',
      acked,
    }));
  }

  // For the files beside this one.

  /**
   * Say a link-local frame; the newest of its type wins.
   *
   * @param {number} kind
   * @param {any[]} values
   */
  say(kind, ...values) {
    this.local.set(kind, frames.encode(kind, ...values));
  }

  /** @param {Stream} stream */
  forget(stream) {
    this.streams.delete(stream.id);
    this.attention.delete(stream.id);
    this.windowTotal -= stream.window.size;
    stream.queue.clear();
    this.freeIds.push(stream.id);
    this.freeIds.sort((a, b) => a - b);
  }

  /**
   * Put a stream where `outward` finds its DATA; a little goes first.
   *
   * @param {Stream} stream
   */
  wake(stream) {
    if (stream.ready || !stream.sendable) return;
    stream.ready = true;
    if (stream.queue.size < outward.SMALL_BYTES) this.ready.unshift(stream);
    else this.ready.push(stream);
  }

  /**
   * A numbered frame was taken: an ack is owed, soon or now.
   *
   * @param {number} size
   */
  noteReceived(size) {
    this.rx += size;
    this.ackCharge += size + FRAME_CHARGE_BYTES;
    this.ackSinceS ??= this.clock();
    if (this.ackCharge >= ACK_CHARGE_BYTES) this.ackOwed = true;
  }

  /** @param {number} id */
  #stream(id) {
    const stream = this.streams.get(id);
    if (!stream) throw new LocalError(`stream ${id} is not open`);
    return stream;
  }
}
