// What does a received frame do? The client's twin of core/inward.py.
//
// Two tables name every frame that may arrive; what is in neither is skipped or, among the
// numbered ones, a protocol error. A numbered frame counts first and acts then, so that a fault
// in one stream leaves both ends with the same offset.

import * as Code from './codes.js';
import { LinkError, PeerError, StreamError } from './errors.js';
import * as frames from './frames.js';
import { TOKEN_MODULUS } from './session.js';

/** @import { Inbound } from './pipe.js' */
/** @import { Session } from './session.js' */
/** @import { Stream } from './stream.js' */

const RTT_WEIGHT = 0.125;

/**
 * Take bytes; what they mean is added to `session.events`.
 *
 * @param {Session} session
 * @param {Inbound} pipe
 * @param {Uint8Array} bytes
 */
export function receive(session, pipe, bytes) {
  pipe.begin(bytes);
  for (const raw of pipe.decoder.feed(bytes)) {
    if (pipe.welcomeDue && !frames.OPENS_LINK.includes(raw.kind)) {
      throw new LinkError(`frame ${raw.kind} before WELCOME`);
    }
    if (raw.kind < frames.FIRST_NUMBERED) {
      if (frames.LAYOUT[raw.kind]) LOCAL[raw.kind]?.(session, frames.parse(raw), pipe);
    } else if (pipe.place(raw.size, session.rx)) {
      session.noteReceived(raw.size);
      numbered(session, raw);
    }
  }
}

/** @type {Record<number, (session: Session, values: any[], pipe: Inbound) => void>} */
const LOCAL = {
  [frames.ACK]: (session, [rx]) => session.log.acknowledge(rx),
  [frames.PING]: (session, [token], pipe) => {
    pipe.pings += 1;
    session.say(frames.PONG, token, session.rx);
  },
  [frames.PONG]: pong,
  [frames.AT]: (_session, [offset], pipe) => pipe.at(offset),
  [frames.WELCOME]: welcome,
  [frames.REFUSE]: ({ events }, [code, retryMs, text]) => {
    events.push({ type: 'refused', code, retryMs, text });
  },
  [frames.END]: ({ events }, [code, text]) => {
    events.push({ type: 'linkEnded', code, text });
  },
  [frames.AUTH_RESULT]: ({ events }, [code, expiresS]) => {
    events.push({ type: 'authResult', code, expiresS });
  },
  [frames.BYE]: ({ events }, [code, text]) => {
    events.push({ type: 'sessionEnded', code, text });
  },
};

/**
 * Take a round trip into the smoothed average (RFC 6298 section 2).
 *
 * @param {Session} session
 * @param {number[]} values
 */
function pong(session, [token, rx]) {
  session.log.acknowledge(rx);
  const difference = (session.token() - token) % TOKEN_MODULUS;
  const sampleS = ((difference + TOKEN_MODULUS) % TOKEN_MODULUS) / 1000;
  session.rttS ??= sampleS;
  session.rttS += RTT_WEIGHT * (sampleS - session.rttS);
}

/**
 * @param {Session} session
 * @param {any[]} values
 * @param {Inbound} pipe
 */
function welcome(session, values, pipe) {
  const [link, , flags] = values;
  if (!pipe.welcomeDue || !session.onWelcome) {
    throw new LinkError(`WELCOME to link ${link} where none was due`);
  }
  session.onWelcome(values);
  pipe.welcomeDue = false;
  session.events.push({ type: 'welcomed', link, resumed: flags % 2 === frames.FLAG_RESUMED });
}

/**
 * @param {Session} session
 * @param {frames.Raw} raw
 */
function numbered(session, raw) {
  try {
    if (raw.kind === frames.DATA) return data(session, find(session, raw.stream), raw.body);
    const act = NUMBERED[raw.kind];
    if (act) return act(session, frames.parse(raw));
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    throw new PeerError(error.code, error.message);
  }
  if (raw.kind < frames.FIRST_SKIPPABLE) {
    throw new PeerError(Code.PROTOCOL, `frame ${raw.kind} is not for this end`);
  }
}

/**
 * Return a live stream. Throws for one that is not: nothing crosses the CLOSED of its id.
 *
 * @param {Session} session
 * @param {number} id
 */
function find(session, id) {
  const stream = session.streams.get(id);
  if (!stream?.openNumbered) throw new PeerError(Code.PROTOCOL, `stream ${id} was never opened`);
  return stream;
}

/**
 * Do what a frame asks of one stream; where it breaks the stream's rules, end that stream.
 *
 * @param {Session} session
 * @param {Stream} stream
 * @param {() => void} act
 * @returns {boolean} whether the page is to hear of it
 */
function tryOn(session, stream, act) {
  try {
    act();
    return !stream.discarding;
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    session.reset(stream.id, error.code, error.message);
    return false;
  }
}

/**
 * @param {Session} session
 * @param {Stream} stream
 * @param {Uint8Array} bytes
 */
function data(session, stream, bytes) {
  const heard = tryOn(session, stream, () => {
    stream.move('down', 'DATA');
    stream.window.receive(bytes.length);
  });
  if (heard) session.events.push({ type: 'data', stream: stream.id, bytes });
}

/** @type {Record<number, (session: Session, values: any[]) => void>} */
const NUMBERED = {
  [frames.OPENED]: opened,
  [frames.EOF]: (session, [id, total]) => {
    const stream = find(session, id);
    const heard = tryOn(session, stream, () => {
      stream.move('down', 'EOF');
      stream.checkTotal(total);
    });
    if (heard) session.events.push({ type: 'eof', stream: id });
  },
  [frames.WINDOW]: (session, [id, max]) => {
    const stream = find(session, id);
    stream.credit.grant(max);
    session.wake(stream);
  },
  [frames.CLOSED]: closed,
  [frames.GOAWAY]: ({ events }, [code, deadlineMs]) => {
    events.push({ type: 'goingAway', code, deadlineMs });
  },
};

/**
 * @param {Session} session
 * @param {any[]} values
 */
function opened(session, [id, window, remoteHost, remotePort, localHost, localPort]) {
  const stream = find(session, id);
  stream.moveBoth('OPENED');
  stream.credit.grant(window);
  session.wake(stream);
  if (stream.discarding) return;
  session.events.push({
    type: 'opened',
    stream: id,
    remote: [remoteHost, remotePort],
    local: [localHost, localPort],
  });
}

/**
 * @param {Session} session
 * @param {any[]} values
 */
function closed(session, [id, code, inTotal, outTotal, text]) {
  const stream = find(session, id);
  const { received } = stream.window;
  const { sent } = stream.credit;
  if (outTotal !== received) {
    throw new PeerError(
      Code.PROTOCOL,
      `stream ${id}: CLOSED at ${outTotal} after ${received} bytes`,
    );
  }
  if (code === Code.CLEAN && inTotal !== sent) {
    throw new PeerError(Code.PROTOCOL, `stream ${id}: clean end at ${inTotal} of ${sent} bytes`);
  }
  stream.moveBoth('CLOSED');
  session.forget(stream);
  session.events.push({ type: 'closed', stream: id, code, text, acked: inTotal });
}
