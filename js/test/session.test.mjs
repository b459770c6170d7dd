// Does the session keep its books, and what does it do to a peer that does not?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ClientAttach } from '../src/attach.js';
import * as Code from '../src/codes.js';
import { LinkError, LocalError, PeerError } from '../src/errors.js';
import * as frames from '../src/frames.js';
import { Log } from '../src/log.js';
import { Session } from '../src/session.js';
import { TABLE } from '../src/stream.js';

const KIB = 1024;

/** A session that was welcomed, with one open stream. */
function make() {
  const time = { now: 10 };
  const session = new Session(() => time.now);
  const attach = new ClientAttach(session, (count) => new Uint8Array(count).fill(1));
  const { inbound, outbound } = attach.hello();
  const say = (kind, ...values) => session.receiveMessage(inbound, frames.encode(kind, ...values));
  const sayData = (stream, size) =>
    session.receiveMessage(inbound, frames.encodeData(stream, [new Uint8Array(size)], size));
  const spoken = () =>
    new frames.Decoder(frames.MAX_CLIENT_DATA_BYTES)
      .feed(session.nextMessage(outbound))
      .map((raw) => (raw.kind === frames.DATA ? [raw.kind, raw.stream, raw.body.length] : [raw.kind, ...frames.parse(raw)]));
  const id = session.open('echo', 0);
  spoken();
  say(frames.WELCOME, 1, session.log.next, 0, new Uint8Array(32), new Map([[2, Uint8Array.of(0x80, 1, 0, 0)]]));
  say(frames.OPENED, id, 64 * KIB, 'echo', 7, '', 0);
  spoken();
  return { time, session, attach, say, sayData, spoken, id };
}

const kinds = (said) => said.map(([kind]) => kind);

test('what arrives is acked alone after 100 ms', () => {
  const { time, session, sayData, spoken, id } = make();
  sayData(id, 10);
  assert.deepEqual(spoken(), []);
  time.now += 0.1;
  assert.deepEqual(spoken(), [[frames.ACK, session.rx]]);
  assert.equal(session.ackDueS(), undefined);
});

test('32 KiB are acked at once, small frames charged for what they cost', () => {
  const { spoken, sayData, id } = make();
  sayData(id, 20 * KIB);
  assert.deepEqual(spoken(), []);
  sayData(id, 12 * KIB);
  assert.deepEqual(kinds(spoken()), [frames.ACK]);
  for (let count = 0; count < 500; count += 1) sayData(id, 1);
  assert.deepEqual(kinds(spoken()), [frames.ACK]);
});

test('an ack rides on what is sent anyway', () => {
  const { session, spoken, sayData, id } = make();
  sayData(id, 1);
  session.write(id, new Uint8Array(5));
  assert.deepEqual(kinds(spoken()), [frames.ACK, frames.DATA]);
});

test('round trips are smoothed', () => {
  const { time, session, say } = make();
  const trip = (seconds) => {
    const token = session.token();
    time.now += seconds;
    say(frames.PONG, token, session.log.next);
  };
  trip(0.1);
  assert.equal(session.rttS.toFixed(3), '0.100');
  trip(0.9);
  assert.equal(session.rttS.toFixed(3), '0.200');
});

test('what became of a ticket is an event', () => {
  const { say, spoken } = make();
  assert.deepEqual(say(frames.AUTH_RESULT, Code.TICKET_REFUSED, 240), [
    { type: 'authResult', code: Code.TICKET_REFUSED, expiresS: 240 },
  ]);
  assert.deepEqual(spoken(), []);
});

test('a ticket is in the HELLO of each link, and in none that goes on with one', () => {
  const { attach } = make();
  attach.ticket = 'päss';
  const tlvsOf = (bytes) => frames.parse(new frames.Decoder(0).feed(bytes)[0])[7];
  const hello = () => {
    const { outbound } = attach.hello(1, new Map([[Code.HELLO_MODE, Uint8Array.of(1)]]));
    return tlvsOf(attach.session.nextMessage(outbound));
  };
  for (let link = 0; link < 2; link += 1) {
    const tlvs = hello();
    assert.deepEqual([...tlvs.keys()].sort(), [Code.HELLO_TICKET, Code.HELLO_MODE]);
    assert.equal(new TextDecoder().decode(tlvs.get(Code.HELLO_TICKET)), 'päss');
  }
  assert.equal(tlvsOf(attach.short(2)).size, 0);
  assert.equal(tlvsOf(attach.farewell(Code.ABORTED, '')).size, 0);
});

test('a ping is answered in the next message', () => {
  const { session, say, spoken } = make();
  say(frames.PING, 77);
  assert.deepEqual(spoken()[0], [frames.PONG, 77, session.rx]);
});

test('credit comes back when half the window was consumed, and not before', () => {
  const { session, sayData, spoken, id } = make();
  sayData(id, 32 * KIB);
  spoken();
  session.consume(id, 32 * KIB - 1);
  assert.deepEqual(spoken(), []);
  session.consume(id, 1);
  assert.deepEqual(kinds(spoken()), [frames.WINDOW]);
});

test('a stream that stops reading leaves the others their turn', () => {
  const { session, spoken, id, say } = make();
  const other = session.open('irc', 0);
  spoken();
  say(frames.OPENED, other, 64 * KIB, 'irc', 7, '', 0);
  session.write(id, new Uint8Array(100 * KIB));
  const sent = spoken().concat(spoken(), spoken());
  assert.equal(sent.reduce((sum, [, , size]) => sum + (size ?? 0), 0), 64 * KIB);

  session.write(other, new Uint8Array(10));
  assert.deepEqual(spoken(), [[frames.DATA, other, 10]]);
});

test('a reset overtakes what waits, and an unheard stream ends at once', () => {
  const { session, spoken, id } = make();
  session.write(id, new Uint8Array(10));
  session.reset(id, Code.ABORTED, 'enough');
  assert.deepEqual(spoken(), [[frames.RESET, id, Code.ABORTED, 'enough']]);
  const unheard = session.open('irc', 0);
  assert.equal(session.reset(unheard, Code.ABORTED).type, 'closed');
  assert.deepEqual(spoken(), []);
});

test('lost streams tell what surely arrived; those never sent stay', () => {
  const { session, say, spoken, id } = make();
  session.write(id, new Uint8Array(10));
  spoken();
  say(frames.ACK, session.log.next);
  session.write(id, new Uint8Array(20));
  spoken();
  const waiting = session.open('irc', 0);
  assert.deepEqual(
    session.lose().map(({ stream, code, acked }) => [stream, code, acked]),
    [[id, Code.LOST, 10]],
  );
  assert.deepEqual([...session.streams.keys()], [waiting]);
});

test('the log doubles when it made somebody wait, up to its limit', () => {
  const log = new Log(2048 * KIB);
  const fill = () => {
    while (!log.isFull()) log.append(new Uint8Array(16 * KIB));
    log.acknowledge(log.next);
  };
  fill();
  assert.equal(log.window, 1024 * KIB);
  fill();
  fill();
  assert.equal(log.window, 2048 * KIB);
});

test('the log holds one frame more than its window at most', () => {
  const log = new Log(4 * KIB);
  while (!log.isFull()) log.append(new Uint8Array(1000));
  assert.ok(log.unackedBytes <= 4 * KIB + 1000);
});

for (const [what, act] of [
  ['an ack of what was never sent', ({ say, session }) => say(frames.ACK, session.log.next + 1)],
  ['AT that goes back', ({ say }) => say(frames.AT, 0)],
  ['data for a stream that is not open', ({ sayData }) => sayData(998, 1)],
  ['OPENED twice', ({ say, id }) => say(frames.OPENED, id, 1, '', 0, '', 0)],
  ['CLOSED with another total', ({ say, id }) => say(frames.CLOSED, id, 8, 0, 5, '')],
  ['a clean end that misses bytes', ({ say, session, id, spoken }) => {
    session.write(id, new Uint8Array(10));
    spoken();
    say(frames.CLOSED, id, 0, 9, 0, '');
  }],
  ['a frame that only clients send', ({ say, id }) => say(frames.STOP, id)],
]) {
  test(`${what} ends the session`, () => {
    assert.throws(() => act(make()), PeerError);
  });
}

test('an ack inside a frame ends the session', () => {
  const { session, say, spoken, id } = make();
  session.write(id, new Uint8Array(10));
  spoken();
  assert.throws(() => say(frames.ACK, session.log.next - 1), PeerError);
});

test('a hole ends the link and not the session', () => {
  const { session, say, sayData, id } = make();
  say(frames.AT, session.rx + 5);
  assert.throws(() => sayData(id, 1), LinkError);
});

test('frames that came before are skipped, one across is a lie', () => {
  const { session, attach, id, sayData } = make();
  sayData(id, 10);
  const { inbound } = attach.hello();
  const receive = (bytes) => session.receiveMessage(inbound, bytes);
  receive(frames.encode(frames.WELCOME, 2, session.log.next, 1, new Uint8Array(32), new Map()));
  const { rx } = session;
  receive(frames.encode(frames.AT, rx - 12));
  assert.deepEqual(receive(frames.encodeData(id, [new Uint8Array(10)], 10)), []);
  assert.equal(session.rx, rx);

  const again = attach.hello().inbound;
  again.welcomeDue = again.isBlank = false;
  session.receive(again, frames.encode(frames.AT, rx - 5));
  const lie = frames.encodeData(id, [new Uint8Array(10)], 10);
  assert.throws(() => session.receive(again, lie), PeerError);
});

for (const [what, act] of [
  ['more than the window', ({ sayData, id }) => {
    for (let count = 0; count < 5; count += 1) sayData(id, 16 * KIB);
  }],
  ['data after EOF', ({ say, sayData, id }) => {
    say(frames.EOF, id, 0);
    sayData(id, 1);
  }],
  ['EOF with another total', ({ say, id }) => say(frames.EOF, id, 5)],
]) {
  test(`${what} ends the stream alone`, () => {
    const made = make();
    act(made);
    assert.ok(kinds(made.spoken()).includes(frames.RESET));
    made.session.open('irc', 0);
    assert.ok(kinds(made.spoken()).includes(frames.OPEN));
  });
}

test('unknown link-local frames and unknown high ones are skipped', () => {
  const { session } = make();
  const { inbound } = new ClientAttach(session, (count) => new Uint8Array(count)).hello();
  inbound.welcomeDue = inbound.isBlank = false;
  assert.deepEqual(session.receiveMessage(inbound, Uint8Array.of(0x0f, 1, 9, 0x41, 1, 9)), []);
});

test('a message that ends inside a frame is a protocol error', () => {
  const { session, attach } = make();
  const { inbound } = attach.hello();
  assert.throws(() => session.receiveMessage(inbound, Uint8Array.of(0, 5, 1)), PeerError);
});

test('using a stream that is not there is our own mistake', () => {
  const { session, id } = make();
  assert.throws(() => session.write(998, new Uint8Array(1)), LocalError);
  session.writeEof(id);
  assert.throws(() => session.write(id, new Uint8Array(1)), LocalError);
});

test('every state that the table leads to is a state it knows', () => {
  const states = new Set(['idle', 'opening', 'open', 'eof', 'closed']);
  for (const rows of Object.values(TABLE)) {
    for (const [row, state] of Object.entries(rows)) {
      assert.ok(states.has(state) && states.has(row.split(' ')[0]), row);
    }
  }
});
