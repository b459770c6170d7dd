// Does the link say what a session needs to hear, once, and nothing after its end?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ClientAttach } from '../src/attach.js';
import * as Code from '../src/codes.js';
import * as frames from '../src/frames.js';
import { WebSocketLink } from '../src/links/websocket.js';
import { Session } from '../src/session.js';
import { fakeWebSocket } from './fakes.mjs';

function make() {
  const told = [];
  const server = {
    connects: (socket) => void (server.socket = socket),
    receives: (_socket, bytes) => told.push(['sent', bytes]),
    closes: (_socket, code) => told.push(['close', code]),
  };
  const owner = {
    linkOpened: () => told.push(['opened']),
    linkProved: () => told.push(['proved']),
    linkHeard: (_link, events) => told.push(['heard', ...events.map(({ type }) => type)]),
    linkFault: (_link, error) => told.push(['fault', error.message]),
    linkClosed: (_link, cause) => told.push(['closed', cause]),
  };
  const session = new Session(() => 1);
  const attach = new ClientAttach(session, (count) => new Uint8Array(count));
  const url = 'wss://gw.example/sp/_/ws';
  const link = new WebSocketLink(url, fakeWebSocket(server), session, attach, owner);
  const { socket } = server;
  const said = () => told.filter(([what]) => what === 'sent').map(([, bytes]) => bytes);
  return { link, told, socket, session, said };
}

const welcome = frames.encode(frames.WELCOME, 1, 0, 0, new Uint8Array(32), new Map());

test('it offers our subprotocol and wants bytes', () => {
  const { socket } = make();
  assert.equal(socket.protocol, 'sockproxy.v1');
  assert.equal(socket.binaryType, 'arraybuffer');
});

test('it tells open, what came, and its end', () => {
  const { socket, told, link } = make();
  socket.open();
  link.begin();
  assert.equal(link.isWelcomed, false);
  socket.onmessage({ data: welcome.slice().buffer });
  assert.equal(link.isWelcomed, true);
  socket.fail(1001, 'going away');
  assert.deepEqual(told, [['opened'], ['heard', 'welcomed'], ['closed', 'WebSocket closed 1001 going away']]);
});

test('what cannot be used is a fault, not an end', () => {
  const { socket, told, link } = make();
  socket.open();
  link.begin();
  socket.onmessage({ data: Uint8Array.of(60, 33).buffer });
  assert.deepEqual(told[1], ['fault', "an answer that begins with byte 60 is not the server's"]);
});

test('it takes bytes while little of them waits', () => {
  const { socket, link, said } = make();
  assert.equal(link.isFree, false);
  assert.equal(link.flush(), false);
  socket.open();
  link.begin();
  assert.equal(link.flush(), true);
  assert.equal(said()[0][0], frames.HELLO);
  socket.bufferedAmount = 64 * 1024;
  assert.equal(link.isFree, false);
  assert.equal(link.sayLast(Uint8Array.of(1)), false);
});

test('it proves that it carries by two echoes, the second one a packet long', () => {
  const { socket, link, told, said } = make();
  socket.open();
  link.probe();
  const [hello, ping, pad] = new frames.Decoder(frames.MAX_CLIENT_DATA_BYTES).feed(said()[0]);
  assert.deepEqual([hello.kind, ping.kind, pad.kind], [frames.HELLO, frames.PING, frames.PAD]);
  assert.deepEqual(frames.parse(hello).slice(0, 5), [1, frames.FLAG_PROBE, 0, 0, 0]);
  const echo = (size) => frames.join([frames.encode(frames.PONG, 0, 0), frames.encode(frames.PAD, new Uint8Array(size))]);
  socket.onmessage({ data: echo(16).buffer });
  assert.equal(said()[1].length > 4000, true);
  assert.equal(told.some(([what]) => what === 'proved'), false);
  socket.onmessage({ data: echo(4000).buffer });
  assert.deepEqual(told.at(-1), ['proved']);
});

for (const [name, bytes] of Object.entries({
  'padding alone': frames.encode(frames.PAD, [1]),
  'half a frame': Uint8Array.of(frames.PONG, 9),
  'no frame at all': Uint8Array.of(60, 33, 68),
  'a length above all limits': Uint8Array.of(frames.PONG, 0xbf, 0xff, 0xff, 0xff),
})) {
  test(`${name} is no echo`, () => {
    const { socket, link, told } = make();
    socket.open();
    link.probe();
    socket.onmessage({ data: bytes.slice().buffer });
    assert.deepEqual(told.slice(-2), [['close', 4045], ['closed', 'no echo']]);
  });
}

test('after close nothing is told', () => {
  const { socket, link, told } = make();
  socket.open();
  link.close(Code.SUPERSEDED);
  assert.equal(socket.onmessage, null);
  assert.equal(socket.onclose, null);
  assert.deepEqual(told, [['opened'], ['close', 4038]]);
});

test('text is no message of ours and ends the link', () => {
  const { socket, told } = make();
  socket.open();
  socket.onmessage({ data: 'hello' });
  assert.deepEqual(told.map(([what]) => what), ['opened', 'close', 'closed']);
});
