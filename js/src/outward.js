// Which frame goes next? The client's twin of core/outward.py.
//
// On a link: what is link-local, then what the peer may have missed, then control, then DATA
// in turns. Nothing is numbered while older frames wait to be repeated or the log is full. An
// ACK rides on whatever is sent and goes alone only when it is due.

import * as frames from './frames.js';

/** @import { Outbound } from './pipe.js' */
/** @import { Session } from './session.js' */
/** @import { Stream } from './stream.js' */

export const SMALL_BYTES = 1024;

/** A frame that is not encoded yet: its type and its values. @typedef {[number, any[]]} Unsent */

/**
 * Return the next message of about `room` bytes, or nothing.
 *
 * @param {Session} session
 * @param {Outbound} pipe
 * @param {number} room
 */
export function nextMessage(session, pipe, room) {
  const { log } = session;
  /** @type {Uint8Array[]} */
  const parts = [];
  let left = room;
  pipe.cursor = Math.max(pipe.cursor, log.first);
  while (left > 0 && session.mayNumber) {
    if (pipe.cursor === log.end && !number(session, left)) break;
    const { end, bytes } = log.entry(pipe.cursor);
    const start = end - bytes.length;
    if (pipe.position !== start) parts.push(frames.encode(frames.AT, start));
    parts.push(bytes);
    pipe.position = end;
    pipe.cursor += 1;
    left -= bytes.length;
  }
  return frames.join([...local(session, parts.length > 0), ...parts]);
}

/**
 * Return the link-local frames; an ACK that need not go alone goes in company.
 *
 * @param {Session} session
 * @param {boolean} company
 */
function local(session, company) {
  const found = [...session.local.values()];
  const dueS = session.ackDueS();
  if (session.mayNumber && dueS !== undefined && (company || found.length || dueS === 0)) {
    found.push(frames.encode(frames.ACK, session.rx));
    session.acked();
  }
  session.local.clear();
  return found;
}

/**
 * Number one frame if there is one and the log has room.
 *
 * @param {Session} session
 * @param {number} room
 */
function number(session, room) {
  if (!(session.attention.size || session.ready.length) || session.log.isFull()) return false;
  return numberControl(session) || numberData(session, room);
}

/** @param {Session} session */
function numberControl(session) {
  for (const stream of session.attention.values()) {
    const frame = controlOf(session, stream);
    if (frame) {
      session.log.append(frames.encode(frame[0], ...frame[1]));
      afterNumbering(session, stream, frame[0]);
      return true;
    }
    session.attention.delete(stream.id);
  }
  return false;
}

/**
 * Return the next control frame that a stream owes, in its own order.
 *
 * @param {Session} session
 * @param {Stream} stream
 * @returns {Unsent | undefined}
 */
function controlOf(session, stream) {
  const { id, reset } = stream;
  if (reset) {
    stream.reset = undefined;
    return [frames.RESET, reset];
  }
  if (stream.opening) return openingOf(session, stream);
  if (stream.window.due && !stream.discarding && stream.receives) {
    return windowOf(session, stream);
  }
  if (stream.stop) {
    stream.stop = false;
    return [frames.STOP, [id]];
  }
  if (stream.eof && !stream.queue.size && stream.sends) {
    stream.eof = false;
    return [frames.EOF, [id, stream.credit.sent]];
  }
}

/**
 * @param {Session} session
 * @param {Stream} stream
 * @returns {Unsent | undefined}
 */
function openingOf(session, stream) {
  if (session.earlyOpens === 0) {
    session.waitingOpens.push(stream);
    return undefined;
  }
  if (session.earlyOpens) session.earlyOpens -= 1;
  const values = stream.opening ?? [];
  stream.opening = undefined;
  return [frames.OPEN, values];
}

/**
 * @param {Session} session
 * @param {Stream} stream
 * @returns {Unsent}
 */
function windowOf(session, stream) {
  const { streamMax, streamsTotal } = session.windows;
  const { size } = stream.window;
  const spare = Math.min(streamMax - size, streamsTotal - session.windowTotal);
  const limit = stream.window.grant(session.clock(), session.rttS ?? 0, spare);
  session.windowTotal += stream.window.size - size;
  return [frames.WINDOW, [stream.id, limit]];
}

/**
 * @param {Session} session
 * @param {Stream} stream
 * @param {number} kind
 */
function afterNumbering(session, stream, kind) {
  if (kind === frames.OPEN) {
    stream.openNumbered = true;
    session.wake(stream);
  } else if (kind === frames.RESET) {
    stream.move('up', 'RESET');
  } else if (kind === frames.EOF) {
    stream.move('up', 'EOF');
  }
}

/**
 * Number one DATA frame of the stream whose turn it is.
 *
 * @param {Session} session
 * @param {number} room
 */
function numberData(session, room) {
  for (;;) {
    const stream = session.ready.shift();
    if (!stream) return false;
    stream.ready = false;
    const length = Math.min(stream.sendable, room, frames.MAX_CLIENT_DATA_BYTES);
    if (length <= 0) continue;
    const parts = stream.queue.take(length);
    stream.move('up', 'DATA');
    stream.credit.spend(length);
    session.log.append(frames.encodeData(stream.id, parts, length), stream, length);
    session.progressed.add(stream.id);
    if (stream.sendable) {
      stream.ready = true;
      session.ready.push(stream);
    } else if (!stream.queue.size && stream.eof) {
      session.attention.set(stream.id, stream);
    }
    return true;
  }
}
