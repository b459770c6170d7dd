// What stands in for the world in the tests: a stream, a WebSocket, and a clock with timers.

import assert from 'node:assert/strict';

import { ByteQueue } from '../src/bytequeue.js';
import * as frames from '../src/frames.js';

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

/** What TLV 1 of a HELLO says. */
const ticketOf = (tlvs) => tlvs.has(1) ? new TextDecoder().decode(tlvs.get(1)) : undefined;

/** Timers and a clock that stand still until `advance`. */
export class FakeTime {
  nowMs = 1_000_000;
  /** How many timers have gone off. */
  fired = 0;
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
      this.fired += 1;
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

/** The client's end of a WebSocket in memory; `server` is who accepts it. */
export function fakeWebSocket(server) {
  return class FakeWebSocket {
    readyState = 0;
    bufferedAmount = 0;
    constructor(url, protocol) {
      Object.assign(this, { url, protocol });
      server.connects(this);
    }

    // What the client does.

    send(bytes) {
      assert.equal(this.readyState, 1, 'send on a WebSocket that is not open');
      server.receives(this, bytes.slice());
    }

    close(code) {
      if (this.readyState === 3) return;
      this.readyState = 3;
      server.closes?.(this, code);
    }

    // What the server does.

    open() {
      this.readyState = 1;
      this.onopen?.({});
    }

    /** Deliver frames one message each: nothing may hang on how they were packed. */
    deliver(bytes) {
      for (const { at, size } of cuts(bytes)) {
        if (this.readyState === 1) {
          this.onmessage?.({ data: bytes.slice(at, at + size).buffer });
        }
      }
    }

    deliverWhole(bytes) {
      if (this.readyState === 1) this.onmessage?.({ data: bytes.slice().buffer });
    }

    fail(code = 1006, reason = '') {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }
  };
}

/** Where the frames of a message begin, and how long they are. */
function cuts(bytes) {
  let at = 0;
  return new frames.Decoder(frames.MAX_SERVER_DATA_BYTES).feed(bytes).map(({ size }) => {
    at += size;
    return { at: at - size, size };
  });
}

/**
 * A server of one session, as small as resuming allows: it echoes every stream. It says
 * nothing while `mute`, refuses connections while `away`. With `judge`, which gives code and
 * seconds for a ticket, it wants tickets.
 */
export class FakeServer {
  sockets = [];
  hellos = [];
  opens = [];
  frames = [];
  received = new Map();
  rx = 0;
  said = 0;
  acked = 0;
  mute = false;
  away = false;
  byes = [];
  beacons = [];
  auths = [];
  welcomeTlvs = new Map([[7, Uint8Array.of(60)]]);
  #log = [];
  #position = 0;

  connects(socket) {
    this.sockets.push(socket);
    queueMicrotask(() => {
      if (socket.readyState) return;
      if (this.away) socket.fail();
      else if (!this.hangs) socket.open();
    });
  }

  get socket() {
    return this.sockets[this.sockets.length - 1];
  }

  receives(socket, bytes) {
    for (const raw of new frames.Decoder(frames.MAX_CLIENT_DATA_BYTES).feed(bytes)) {
      this.#take(socket, raw);
    }
  }

  #take(socket, raw) {
    if (raw.kind >= frames.FIRST_NUMBERED) {
      this.#position += raw.size;
      if (this.#position <= this.rx) return;
      this.rx = this.#position;
      this.#numbered(raw);
      return;
    }
    const values = frames.parse(raw);
    if (raw.kind === frames.HELLO) this.#hello(socket, values);
    if (raw.kind === frames.AT) [this.#position] = values;
    if (raw.kind === frames.ACK) [this.acked] = values;
    if (raw.kind === frames.BYE) this.byes.push(values);
    if (raw.kind === frames.AUTH) this.#auth(...values);
    if (raw.kind === frames.PING && socket.isUp) socket.reply.push(frames.encode(frames.PONG, values[0], this.rx));
    else if (raw.kind === frames.PING && !socket.isProbe) this.say(frames.PONG, values[0], this.rx);
    if (socket.isProbe && !this.mute) this.#echo(socket, raw, values);
  }

  /** A probe's PING and PAD come back, in one message. */
  #echo(socket, raw, values) {
    if (raw.kind === frames.PING) socket.pong = frames.encode(frames.PONG, values[0], 0);
    if (raw.kind !== frames.PAD) return;
    const { pong } = socket;
    const pad = frames.encode(frames.PAD, this.wrongEcho ? [] : values[0]);
    queueMicrotask(() => socket.deliverWhole(frames.join(this.wrongEcho ? [pad] : [pong, pad])));
  }

  #auth(ticket) {
    this.auths.push(ticket);
    if (this.judge) this.say(frames.AUTH_RESULT, ...this.judge(ticket));
  }

  #hello(socket, values) {
    const [, flags, link, request, rx, sid, secret, tlvs] = values;
    if (socket.isUp) return;
    if (flags === frames.FLAG_PROBE) return void (socket.isProbe = true);
    if (request > 1) {
      // A later DOWN: where the client says.
      this.current = socket;
      socket.deliver(frames.encode(frames.AT, rx));
      this.#resend(rx);
      return;
    }
    const ticket = ticketOf(tlvs);
    this.hellos.push({ create: flags === 1, link, rx, sid, secret, ticket });
    this.current = socket;
    this.#position = this.rx;
    if (this.mute) return;
    if (this.refusal) return this.say(frames.REFUSE, ...this.refusal);
    const [code, expiresS] = this.judge?.(ticket) ?? [];
    if (code) return this.say(frames.REFUSE, code, 0, `the server's word on ${code}`);
    const resumed = this.hellos.length > 1 ? 1 : 0;
    this.say(frames.WELCOME, link, this.rx, resumed, new Uint8Array(32).fill(link), this.welcomeTlvs);
    if (this.judge) this.say(frames.AUTH_RESULT, code, expiresS);
    this.#resend(rx);
  }

  #resend(rx) {
    let at = 0;
    for (const bytes of this.#log) {
      if (at >= rx) this.#deliver(bytes);
      at += bytes.length;
    }
  }

  #numbered({ kind, stream, body, size }) {
    this.frames.push(kind);
    if (kind === frames.DATA) {
      const sofar = this.received.get(stream) ?? 0;
      this.received.set(stream, sofar + body.length);
      if (!this.stuck) this.sayData(stream, body);
    } else if (kind === frames.OPEN) {
      const [id, , port, host] = frames.parse({ kind, body, size });
      this.opens.push({ id, host, port });
      this.received.set(id, 0);
      if (this.silent) return;
      this.say(frames.OPENED, id, 2 ** 20, host, port, '', 0);
    } else if (kind === frames.EOF) {
      const [id, total] = frames.parse({ kind, body, size });
      this.say(frames.EOF, id, this.received.get(id));
      this.say(frames.CLOSED, id, 0, total, this.received.get(id), '');
    } else if (kind === frames.RESET) {
      const [id, code] = frames.parse({ kind, body, size });
      this.say(frames.CLOSED, id, code, 0, this.received.get(id), '');
    }
  }

  say(kind, ...values) {
    this.#say(frames.encode(kind, ...values), kind);
  }

  sayData(stream, bytes) {
    this.#say(frames.encodeData(stream, [bytes], bytes.length), frames.DATA);
  }

  #say(bytes, kind) {
    if (kind >= frames.FIRST_NUMBERED) {
      this.#log.push(bytes);
      this.said += bytes.length;
    }
    if (!this.mute) this.#deliver(bytes);
  }

  /** As over a network: never inside the call that caused it. */
  #deliver(bytes) {
    const { current } = this;
    queueMicrotask(() => current.deliver(bytes));
  }

  /** Acknowledge all that came, as a server does within 100 ms. */
  ack() {
    this.say(frames.ACK, this.rx);
  }
}

/** What the tabs of one browser hear each other by. */
export function fakeBroadcastChannel() {
  const channels = new Set();
  return class FakeBroadcastChannel {
    constructor(name) {
      this.name = name;
      channels.add(this);
    }

    postMessage(data) {
      for (const other of [...channels]) {
        if (other !== this && other.name === this.name) other.onmessage({ data });
      }
    }

    close() {
      channels.delete(this);
    }

    static get open() {
      return channels.size;
    }
  };
}

/**
 * The way to a `FakeServer` by HTTP. `asked` notes each request; `fault(asked)` may answer in
 * place of the server: a Response, an error to throw, 'silence', or 'lost' where the server
 * hears an UP and its answer does not arrive. A stream is `held` back until it is released, or
 * `lags` by one piece; `down` is the newest DOWN, which may `finish` or be `cut`.
 */
export class FakeHttp {
  asked = [];
  inFlight = 0;
  mostInFlight = 0;
  fault = () => undefined;

  constructor(server) {
    this.server = server;
  }

  get ups() {
    return this.asked.filter(({ way }) => way === 'up');
  }

  get downs() {
    return this.asked.filter(({ way }) => way === 'down');
  }

  fetch = async (url, { body, signal, ...options }) => {
    const [hello, ...rest] = new frames.Decoder(frames.MAX_CLIENT_DATA_BYTES).feed(body);
    const [, flags, link, request, rx, , , tlvs] = frames.parse(hello);
    const way = url.slice(url.lastIndexOf('/') + 1);
    const mode = tlvs.get(5)?.[0];
    const said = body.slice(hello.size);
    const ticket = ticketOf(tlvs);
    const asked = { url, way, ...options, flags, link, request, rx, mode, ticket, rest, body, said };
    this.asked.push(asked);
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    const left = () => (this.inFlight -= 1);
    await undefined;
    const fault = this.fault(asked);
    if (fault instanceof Error) {
      left();
      throw fault;
    }
    if (fault === 'lost') this.server.receives({ isUp: true, reply: [] }, body.slice());
    if (fault === 'silence' || fault === 'lost') return this.#silence(signal, left);
    if (fault) {
      left();
      return fault;
    }
    if (way === 'up') return this.#up(body, left);
    return asked.mode === 1 ? this.#stream(body, signal, left) : this.#poll(asked, body, signal, left);
  };

  #silence(signal, left) {
    return new Promise((_, fail) => onAbort(signal, () => (left(), fail(aborted()))));
  }

  #up(body, left) {
    const up = { isUp: true, reply: [] };
    this.server.receives(up, body.slice());
    left();
    return new Response(frames.join([frames.encode(frames.ACK, this.server.rx), ...up.reply]));
  }

  /** What is said comes at once; `held` holds it back, `finish` ends the answer. */
  #stream(body, signal, left) {
    let controller;
    const readable = new ReadableStream({ start: (made) => void (controller = made) });
    const held = [];
    const down = {
      deliver: (bytes) => {
        if (down.isOver) return;
        if (this.held || this.lags) held.push(bytes);
        else controller.enqueue(bytes);
        if (this.lags && held.length > 1) controller.enqueue(held.shift());
      },
      cut: () => {
        down.isOver = true;
        left();
        controller.error(new TypeError('cut'));
      },
      release: () => controller.enqueue(frames.join(held.splice(0))),
      finish: () => {
        if (down.isOver) return;
        down.isOver = true;
        left();
        controller.close();
      },
    };
    onAbort(signal, () => {
      if (!down.isOver) left();
      if (!down.isOver) controller.error(aborted());
      down.isOver = true;
    });
    this.down = down;
    this.server.receives(down, body.slice());
    const pings = [1, 2].map(() => frames.encode(frames.PING, 0));
    queueMicrotask(() => queueMicrotask(() => down.deliver(frames.join(pings))));
    const answer = new Response(readable);
    return this.bodyless ? { ok: true, status: 200, headers: answer.headers, arrayBuffer: () => answer.arrayBuffer() } : answer;
  }

  /** Answered a moment after the first word; a brief one at once. */
  #poll(asked, body, signal, left) {
    return new Promise((done, fail) => {
      const parts = [];
      const down = {
        deliver: (bytes) => {
          parts.push(bytes);
          if (parts.length === 1 && (asked.request === 1 || !isAt(bytes))) setImmediate(down.finish);
          if (parts.length === 2) setImmediate(down.finish);
        },
        finish: () => {
          if (down.isOver) return;
          down.isOver = true;
          left();
          done(new Response(frames.join(parts)));
        },
      };
      onAbort(signal, () => {
        if (!down.isOver) left();
        down.isOver = true;
        fail(aborted());
      });
      this.down = down;
      this.server.receives(down, body.slice());
      if (asked.mode === 3) setImmediate(down.finish);
    });
  }
}

const isAt = (bytes) => bytes[0] === frames.AT;
const aborted = () => new DOMException('called off', 'AbortError');

function onAbort(signal, act) {
  if (signal.aborted) act();
  else signal.addEventListener('abort', act);
}
