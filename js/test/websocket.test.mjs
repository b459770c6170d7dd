// Does the link say what a session needs to hear, once, and nothing after its end?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as Code from '../src/codes.js';
import { WebSocketLink } from '../src/links/websocket.js';
import { fakeWebSocket } from './fakes.mjs';

function make() {
  const told = [];
  const server = {
    connects: (socket) => void (server.socket = socket),
    receives: (_socket, bytes) => told.push(['sent', ...bytes]),
    closes: (_socket, code) => told.push(['close', code]),
  };
  const owner = {
    linkOpened: () => told.push(['opened']),
    linkMessage: (_link, bytes) => told.push(['message', ...bytes]),
    linkClosed: (_link, cause) => told.push(['closed', cause]),
  };
  const link = new WebSocketLink('wss://gw.example/sp/_/ws', fakeWebSocket(server), owner);
  return { link, told, socket: server.socket };
}

test('it offers our subprotocol and wants bytes', () => {
  const { socket } = make();
  assert.equal(socket.protocol, 'sockproxy.v1');
  assert.equal(socket.binaryType, 'arraybuffer');
});

test('it tells open, message and end', () => {
  const { socket, told } = make();
  socket.open();
  socket.onmessage({ data: Uint8Array.of(1, 2).buffer });
  socket.fail(1001, 'going away');
  assert.deepEqual(told, [
    ['opened'],
    ['message', 1, 2],
    ['closed', 'WebSocket closed 1001 going away'],
  ]);
});

test('there is room while it is open and its backlog below 64 KiB', () => {
  const { socket, link } = make();
  assert.equal(link.room, false);
  socket.open();
  assert.equal(link.room, true);
  socket.bufferedAmount = 64 * 1024;
  assert.equal(link.room, false);
});

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
