// How does a page reach a server, and how does it learn that the way there broke?
//
// A SockProxy is one server. All its sockets share one session, which begins with the first
// of them; when it is lost the next socket begins a new one.

import * as Code from './codes.js';
import { Client } from './client.js';
import { environment } from './environment.js';
import { checked } from './ladder.js';
import { Request } from './request.js';
import { TCPSocket } from './socket.js';

/** @import { ClientOwner } from './client.js' */
/** @import { Environment, LinkKind } from './environment.js' */
/** @import { StreamEvents, StreamVerbs, TCPSocketOptions } from './socket.js' */

/** @typedef {'idle' | 'connecting' | 'up' | 'reconnecting' | 'lost' | 'closed'} SockProxyState */

/**
 * A ticket, or what gives a fresh one each time it is asked; nothing, where the server asks for
 * none.
 *
 * @typedef {string | (() => TicketAnswer | PromiseLike<TicketAnswer>) | null | undefined} TicketSource
 */

/** @typedef {string | null | undefined} TicketAnswer */

/**
 * @typedef {object} SockProxyExtras
 * @property {TicketSource} [ticket] what shows the server who this page is; `ticket` of the
 *   proxy sets it later
 * @property {number} [linger] seconds to go on trying when the server is away; by default as
 *   long as the server keeps the session, and a minute
 * @property {LinkKind[]} [links] which kinds of link may be used; by default a WebSocket, where
 *   that is blocked an HTTP stream, and where that is held back HTTP polls
 * @property {boolean} [debug] tell the console what happens
 */

/** @typedef {SockProxyExtras & Partial<Environment>} SockProxyOptions */

const CLOSED_TEXT = 'the page closed the session';
const NATIVE_PATH = 'sp/_/';
const SHOWN_ID_BYTES = 4;
// What is longer is no host name, and would not fit into the frame.
const MAX_HOST_LENGTH = 255;
const PAGE_EVENTS = ['online', 'offline', 'pageshow', 'pagehide', 'resume', 'visibilitychange'];

export class SockProxy extends EventTarget {
  /** @type {SockProxyState} */
  #state = 'idle';
  /** @type {Client | undefined} */
  #client;
  /** The current session, and those that only drain. @type {Set<Client>} */
  #clients = new Set();
  // What sessions that are gone have counted.
  #past = { bytesIn: 0, bytesOut: 0, resumes: 0, switches: 0 };
  /** @type {LinkKind[] | undefined} */
  #links;
  /** @type {LinkKind | undefined} */
  #link;
  #cause = '';
  /** @type {TicketSource} */
  #ticket;
  #env;
  #options;
  #url;

  /**
   * @param {string | URL} url the server: its address, or that of its script
   * @param {SockProxyOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#url = new URL(NATIVE_PATH, url);
    this.#url.protocol = this.#url.protocol.replace('ws', 'http');
    this.#options = options;
    this.#links = options.links && checked(options.links);
    this.#ticket = options.ticket;
    this.#env = environment(options);
  }

  /** What `state` events tell: connecting, up, reconnecting, lost, closed; idle before all. */
  get state() {
    return this.#state;
  }

  /** The first 8 hex digits of the session's id, as the server's log names it. */
  get id() {
    const sid = this.#client?.attach.sid.subarray(0, SHOWN_ID_BYTES) ?? [];
    return [...sid].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  /**
   * Show the server this ticket from now on, on a session that runs too. It can be set only: a
   * ticket is never told.
   *
   * @param {TicketSource} source
   */
  set ticket(source) {
    this.#ticket = source;
    for (const { line } of this.#clients) line.giveTicket(source);
  }

  /** Figures of this moment; bytes and resumes count from the beginning. */
  get stats() {
    const sum = { ...this.#past };
    for (const client of this.#clients) add(sum, client);
    const session = this.#client?.session;
    return {
      ...sum,
      link: this.#client?.line.kind,
      rttMs: (session?.rttS ?? 0) * 1000,
      unackedBytes: session?.log.unackedBytes ?? 0,
      streams: [...this.#clients].flatMap((client) => client.streams),
    };
  }

  /**
   * Use only these kinds of link from now on; the session moves to one of them as it runs.
   *
   * @param {LinkKind[]} kinds
   */
  useLinks(kinds) {
    this.#links = checked(kinds);
    for (const { line } of this.#clients) line.allow(kinds);
  }

  /**
   * Open a socket to a backend by the name that the server's file gives it.
   *
   * @param {string} name
   * @param {TCPSocketOptions} [options]
   */
  open(name, options) {
    return new TCPSocket(name, 0, options, this.dial);
  }

  /** End the session and all its sockets. */
  close() {
    this.#setState('closed', '');
    for (const client of this.#clients) {
      this.#forget(client);
      client.close(Code.ABORTED, CLOSED_TEXT);
    }
    for (const name of PAGE_EVENTS) this.#env.page?.removeEventListener(name, this.#onPage, true);
  }

  /**
   * Begin a stream; the way in of `TCPSocket`.
   *
   * @internal
   * @param {string} host
   * @param {number} port
   * @param {TCPSocketOptions} options
   * @param {StreamEvents} events
   * @returns {StreamVerbs}
   */
  dial = (host, port, options, events) => {
    const request = new Request(host, port, options, events);
    // Nothing is told before the caller has what we return.
    queueMicrotask(() => this.#serve(request));
    return request.verbs;
  };

  /** @param {Request} request */
  #serve(request) {
    const { host, events } = request;
    if (this.#state === 'closed') return events.onClosed(Code.ABORTED, CLOSED_TEXT, 0);
    if (host.length > MAX_HOST_LENGTH) {
      const text = `host of ${host.length} characters, above ${MAX_HOST_LENGTH}`;
      return events.onClosed(Code.BAD_TARGET, text, 0);
    }
    if (this.#client) return this.#client.open(request);
    const client = this.#begin();
    client.open(request);
    client.line.wake();
  }

  #begin() {
    const { linger } = this.#options;
    const lingerMs = linger === undefined ? undefined : linger * 1000;
    const options = { lingerMs, links: this.#links, ticket: this.#ticket };
    const client = new Client(this.#url.href, this.#env, this.#owner, options);
    this.#clients.add(client);
    // In the capture phase, where even what is told to the document alone comes by.
    for (const name of PAGE_EVENTS) this.#env.page?.addEventListener(name, this.#onPage, true);
    this.#client = client;
    this.#setState('connecting', '');
    return client;
  }

  /**
   * What the browser tells about page and network.
   *
   * @param {Event & {persisted?: boolean}} event
   */
  #onPage = ({ type, persisted }) => {
    if (type === 'pagehide') {
      if (!persisted) this.close();
      return;
    }
    for (const { line } of this.#clients) {
      if (type === 'online') line.online();
      else if (type === 'offline') line.offline();
      else if (this.#env.isVisible()) line.wake();
    }
  };

  /** What clients tell. @type {ClientOwner} */
  #owner = {
    clientState: (client, state, cause) => {
      if (client === this.#client) this.#setState(state, cause);
    },
    clientOrphans: (requests) => {
      for (const request of requests) this.#serve(request);
    },
    clientGoesAway: (client) => {
      if (client === this.#client) this.#client = undefined;
    },
    clientEnded: (client) => this.#forget(client),
  };

  /** @param {Client} client */
  #forget(client) {
    if (!this.#clients.delete(client)) return;
    add(this.#past, client);
    if (client === this.#client) this.#client = undefined;
  }

  /**
   * @param {SockProxyState} state
   * @param {string} cause
   */
  #setState(state, cause) {
    const link = this.#client?.line.kind;
    if (state === this.#state && link === this.#link && cause === this.#cause) return;
    this.#state = state;
    this.#cause = cause;
    this.#link = link;
    if (this.#options.debug) console.debug(`sockproxy ${this.id}: ${state} ${link} ${cause}`);
    this.dispatchEvent(new CustomEvent('state', { detail: { state, cause, link } }));
  }
}

/**
 * @param {{bytesIn: number, bytesOut: number, resumes: number, switches: number}} sum
 * @param {Client} client
 */
function add(sum, { bytesIn, bytesOut, resumes, switches }) {
  sum.bytesIn += bytesIn;
  sum.bytesOut += bytesOut;
  sum.resumes += resumes;
  sum.switches += switches;
}
