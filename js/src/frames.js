// How do frames look on the wire? The twin of core/frames.py (docs/protocol.md section 2).
//
// `LAYOUT` is the whole wire format: one row per frame, one letter per field in wire order.
// A frame is its type and the list of its values. DATA is the exception, because it is
// nearly every byte that we carry.

import * as Code from './codes.js';
import { CutError, PeerError } from './errors.js';
import * as varint from './varint.js';

export const PAD = 0x00;
export const ACK = 0x01;
export const PING = 0x02;
export const PONG = 0x03;
export const AT = 0x04;
export const HELLO = 0x05;
export const WELCOME = 0x06;
export const REFUSE = 0x07;
export const END = 0x08;
export const AUTH = 0x09;
export const AUTH_RESULT = 0x0a;
export const BYE = 0x0b;
export const OPEN = 0x10;
export const OPENED = 0x11;
export const EOF = 0x12;
export const RESET = 0x13;
export const STOP = 0x14;
export const WINDOW = 0x15;
export const CLOSED = 0x16;
export const GOAWAY = 0x17;
export const DATA = 0x80;

// How a link, a later DOWN and the answer to an UP begin; all else comes from somebody else.
export const OPENS_LINK = [PAD, WELCOME, REFUSE, END];
export const OPENS_DOWN = [AT, REFUSE, END];
export const OPENS_REPLY = [ACK, REFUSE];

export const FIRST_NUMBERED = 0x10;
export const FIRST_SKIPPABLE = 0x40;

export const MAX_BODY_BYTES = 16 * 1024;
export const MAX_CLIENT_DATA_BYTES = 16 * 1024;
export const MAX_SERVER_DATA_BYTES = 65_535;
export const MAX_TEXT_BYTES = 200;

export const SID_BYTES = 16;
export const SECRET_BYTES = 32;

export const FLAG_CREATE = 1;
export const FLAG_PROBE = 2;
export const FLAG_RESUMED = 1;

const LONG_STREAM = 0x7f;

// i integer, t text, s session id, k secret, v type-length-value fields, r the rest.
/** @type {Record<number, string>} */
export const LAYOUT = {
  [PAD]: 'r',
  [ACK]: 'i',
  [PING]: 'i',
  [PONG]: 'ii',
  [AT]: 'i',
  [HELLO]: 'iiiiiskv',
  [WELCOME]: 'iiikv',
  [REFUSE]: 'iit',
  [END]: 'it',
  [AUTH]: 't',
  [AUTH_RESULT]: 'ii',
  [BYE]: 'it',
  [OPEN]: 'iiitv',
  [OPENED]: 'iititi',
  [EOF]: 'ii',
  [RESET]: 'iit',
  [STOP]: 'i',
  [WINDOW]: 'ii',
  [CLOSED]: 'iiiit',
  [GOAWAY]: 'ii',
};

/** @type {Record<string, number>} */
const LENGTHS = { s: SID_BYTES, k: SECRET_BYTES };

/** @typedef {Map<number, Uint8Array>} Tlvs */

/**
 * One frame as it was cut out of the bytes; `kind` is DATA or the type byte.
 *
 * @typedef {{kind: number, stream: number, body: Uint8Array, size: number}} Raw
 */

const encoder = new TextEncoder();

/**
 * Return the whole frame as bytes.
 *
 * @param {number} kind
 * @param {any[]} values one for each letter of the layout
 */
export function encode(kind, ...values) {
  const body = values.flatMap((value, index) => encodeField(LAYOUT[kind][index], value));
  return Uint8Array.from([kind, ...varint.encode(body.length), ...body]);
}

/**
 * @param {string} letter
 * @param {any} value
 * @returns {number[]}
 */
function encodeField(letter, value) {
  if (letter === 'i') return varint.encode(value);
  if (letter === 'r') return [...value];
  if (letter === 't') return prefixed(encoder.encode(value));
  if (letter !== 'v') return prefixed(value);
  return [.../** @type {Tlvs} */ (value)].flatMap(([number, content]) => [
    ...varint.encode(number),
    ...prefixed(content),
  ]);
}

/** @param {Uint8Array} content */
const prefixed = (content) => [...varint.encode(content.length), ...content];

/**
 * Return a DATA frame.
 *
 * @param {number} stream
 * @param {Uint8Array[]} parts
 * @param {number} length of all parts
 */
export function encodeData(stream, parts, length) {
  const id = stream < LONG_STREAM ? [DATA + stream] : [DATA + LONG_STREAM, ...varint.encode(stream)];
  return join([Uint8Array.from([...id, ...varint.encode(length)]), ...parts]);
}

/** @param {Uint8Array[]} parts */
export function join(parts) {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Return `text` cut to what a reason may take, never inside a character.
 *
 * @param {string} text
 */
export function clip(text) {
  const bytes = encoder.encode(text).subarray(0, MAX_TEXT_BYTES);
  // A cut character decodes to one mark at the end, streamed decoding leaves it out.
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true });
}

/**
 * Return the values of a known frame. Throws `PeerError` for a body that does not fit its layout.
 *
 * @param {Raw} raw
 * @returns {any[]}
 */
export function parse({ kind, body }) {
  const reader = new varint.Reader(body);
  try {
    const values = [...LAYOUT[kind]].map((letter) => parseField(letter, reader));
    if (!reader.left) return values;
  } catch (error) {
    if (!(error instanceof CutError)) throw error;
  }
  throw new PeerError(Code.PROTOCOL, `frame ${kind}: ${body.length} bytes do not fit its fields`);
}

/**
 * @param {string} letter
 * @param {varint.Reader} reader
 */
function parseField(letter, reader) {
  if (letter === 'i') return reader.int();
  if (letter === 'r') return reader.take(reader.left);
  if (letter === 'v') return parseTlvs(reader);
  const content = reader.prefixed();
  if (letter === 't') return parseText(content);
  if (content.length && content.length !== LENGTHS[letter]) {
    throw new PeerError(Code.PROTOCOL, `id of ${content.length} bytes, not ${LENGTHS[letter]}`);
  }
  return content.slice();
}

/** @param {Uint8Array} content */
function parseText(content) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new PeerError(Code.PROTOCOL, `text of ${content.length} bytes is not UTF-8`);
  }
}

/** @param {varint.Reader} reader */
function parseTlvs(reader) {
  /** @type {Tlvs} */
  const tlvs = new Map();
  while (reader.left) tlvs.set(reader.int(), reader.prefixed());
  return tlvs;
}

/**
 * Return the integer in TLV `number`, or `fallback` where it is absent.
 *
 * @param {Tlvs} tlvs
 * @param {number} number
 * @param {number} fallback
 */
export function tlvInt(tlvs, number, fallback) {
  const content = tlvs.get(number);
  if (!content) return fallback;
  const reader = new varint.Reader(content);
  try {
    const value = reader.int();
    if (!reader.left) return value;
  } catch (error) {
    if (!(error instanceof CutError)) throw error;
  }
  throw new PeerError(Code.PROTOCOL, `field ${number}: ${content.length} bytes are no integer`);
}

/** Cuts a byte stream into frames, however it arrives; holds at most one incomplete frame. */
export class Decoder {
  #rest = new Uint8Array(0);

  /** @param {number} maxDataBytes */
  constructor(maxDataBytes) {
    this.maxDataBytes = maxDataBytes;
  }

  /** Bytes of a frame that is not complete yet. */
  get pendingBytes() {
    return this.#rest.length;
  }

  /**
   * Return the frames that `data` completes. Throws `PeerError` at the first header that is
   * wrong or over its limit.
   *
   * @param {Uint8Array} data
   */
  feed(data) {
    const reader = new varint.Reader(this.#rest.length ? join([this.#rest, data]) : data);
    /** @type {Raw[]} */
    const found = [];
    let start = 0;
    try {
      for (; reader.left; start = reader.at) found.push(this.#cut(reader));
    } catch (error) {
      if (!(error instanceof CutError)) throw error;
    }
    this.#rest = reader.bytes.slice(start);
    return found;
  }

  /** @param {varint.Reader} reader */
  #cut(reader) {
    const start = reader.at;
    const [first] = reader.take(1);
    const kind = Math.min(first, DATA);
    let stream = first % DATA;
    if (first === DATA + LONG_STREAM) stream = reader.int();
    const length = reader.int();
    const limit = kind === DATA ? this.maxDataBytes : MAX_BODY_BYTES;
    if (length > limit) {
      throw new PeerError(Code.TOO_BIG, `frame ${first}: ${length} bytes above ${limit}`);
    }
    if (kind === DATA && !length) {
      throw new PeerError(Code.PROTOCOL, `stream ${stream}: DATA without a byte`);
    }
    const body = reader.take(length);
    return { kind, stream, body, size: reader.at - start };
  }
}
