// Does TCPSocket keep the rules of the Direct Sockets specification?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as Code from '../src/codes.js';
import { TCPSocket } from '../src/socket.js';
import { FakeStream, turn } from './fakes.mjs';

const bytes = (...values) => Uint8Array.from(values);

function make(options) {
  const stream = new FakeStream();
  return { stream, socket: new TCPSocket('host.example', 7, options, stream.dial) };
}

async function opened(options) {
  const made = make(options);
  made.stream.open();
  const { readable, writable } = await made.socket.opened;
  return { ...made, readable, writable, settled: watch(made.socket.closed) };
}

/** Report how a promise has settled so far. */
function watch(promise) {
  const state = { how: 'pending' };
  promise.then(
    () => (state.how = 'resolved'),
    (error) => (state.how = error),
  );
  return state;
}

const rejectsAs = (promise, name) => assert.rejects(promise, { name });

test('the constructor cannot be called without new', () => {
  assert.throws(() => TCPSocket('host.example', 7), TypeError);
});

test('the constructor wants two arguments', () => {
  assert.equal(TCPSocket.length, 2);
  assert.throws(() => new TCPSocket(), TypeError);
  assert.throws(() => new TCPSocket('host.example'), TypeError);
});

for (const [given, taken] of [
  [65535, 65535],
  [65536, 0],
  [65543, 7],
  [-1, 65535],
  ['7', 7],
  [7.9, 7],
  [NaN, 0],
]) {
  test(`port ${JSON.stringify(given)} is taken as ${taken}`, () => {
    const stream = new FakeStream();
    new TCPSocket('host.example', given, {}, stream.dial);
    assert.equal(stream.port, taken);
  });
}

test('a symbol is neither an address nor a port', () => {
  const { dial } = new FakeStream();
  assert.throws(() => new TCPSocket(Symbol('x'), 7, {}, dial), TypeError);
  assert.throws(() => new TCPSocket('host.example', Symbol('x'), {}, dial), TypeError);
});

for (const options of [
  'text',
  7,
  true,
  { keepAliveDelay: 999 },
  { keepAliveDelay: -1 },
  { keepAliveDelay: NaN },
  { keepAliveDelay: 2 ** 32 },
  { sendBufferSize: 0 },
  { sendBufferSize: 2 ** 32 },
  { receiveBufferSize: 0 },
  { receiveBufferSize: 2 ** 32 },
  { receiveBufferSize: 10n },
  { dnsQueryType: 'ipv5' },
  { dnsQueryType: null },
]) {
  const [[name, value]] = typeof options === 'object' ? Object.entries(options) : [['', options]];
  test(`options are refused: ${name} ${String(value)}`, () => {
    assert.throws(() => make(options), TypeError);
  });
}

for (const options of [
  undefined,
  null,
  {},
  () => {},
  { keepAliveDelay: 1000.9, sendBufferSize: 1, receiveBufferSize: 2 ** 32 - 1 },
  { dnsQueryType: 'ipv6', noDelay: true },
]) {
  test(`options are taken: ${typeof options} ${Object.keys(options ?? {})}`, () => {
    make(options);
  });
}

test('options reach the session as WebIDL converts them', () => {
  const { stream } = make({ noDelay: 1, keepAliveDelay: '1500.5' });
  assert.deepEqual(stream.options, { noDelay: true, keepAliveDelay: 1500 });
});

test('opened and closed are the same promises at each read', () => {
  const { socket } = make();
  assert.equal(socket.opened, socket.opened);
  assert.equal(socket.closed, socket.closed);
});

test('opened tells both streams and four addresses', async () => {
  const { stream, socket } = make();
  stream.open();
  const info = await socket.opened;
  assert.ok(info.readable instanceof ReadableStream);
  assert.ok(info.writable instanceof WritableStream);
  delete info.readable;
  delete info.writable;
  assert.deepEqual(info, {
    remoteAddress: '192.0.2.1',
    remotePort: 7,
    localAddress: '192.0.2.2',
    localPort: 40000,
  });
});

for (const [code, name] of [
  [Code.ABORTED, 'AbortError'],
  [Code.DENIED, 'NotAllowedError'],
  [Code.BAD_TARGET, 'TypeError'],
  [Code.NAME_NOT_FOUND, 'NetworkError'],
  [Code.REFUSED, 'NetworkError'],
  [Code.CONNECT_TIMEOUT, 'NetworkError'],
  [Code.BACKEND_RESET, 'NetworkError'],
  [Code.QUOTA, 'NetworkError'],
  [Code.BUSY, 'NetworkError'],
]) {
  test(`code ${code} before the open rejects both promises with ${name}`, async () => {
    const { stream, socket } = make();
    stream.events.onClosed(code, 'why', 0);
    await assert.rejects(socket.opened, { name, message: 'why' });
    await assert.rejects(socket.closed, { name, message: 'why' });
  });
}

test('a failed open that nobody watches is no unhandled rejection', async () => {
  const seen = [];
  const listen = (error) => seen.push(error);
  process.on('unhandledRejection', listen);
  make().stream.events.onClosed(Code.REFUSED, 'refused', 0);
  await turn();
  process.off('unhandledRejection', listen);
  assert.deepEqual(seen, []);
});

test('nothing is consumed before the page reads', async () => {
  const { stream, readable } = await opened();
  stream.events.onData(bytes(1, 2, 3));
  await turn();
  assert.equal(stream.consumed, 0);

  const { value } = await readable.getReader().read();

  assert.deepEqual(value, bytes(1, 2, 3));
  assert.equal(stream.consumed, 3);
});

test('a waiting read takes what arrives', async () => {
  const { stream, readable } = await opened();
  const reader = readable.getReader();
  const reads = [reader.read(), reader.read()];
  stream.events.onData(bytes(1));
  stream.events.onData(bytes(2));
  assert.deepEqual((await reads[0]).value, bytes(1));
  assert.deepEqual((await reads[1]).value, bytes(2));
});

test('small pieces that wait are read together', async () => {
  const { stream, readable } = await opened();
  for (const value of [1, 2, 3]) stream.events.onData(bytes(value));
  const { value } = await readable.getReader().read();
  assert.deepEqual(value, bytes(1, 2, 3));
});

test('received bytes are copied out of the message they came in', async () => {
  const { stream, readable } = await opened();
  const message = bytes(1, 2, 3);
  stream.events.onData(message);
  message.fill(9);
  assert.deepEqual((await readable.getReader().read()).value, bytes(1, 2, 3));
});

test('a BYOB reader gets its own buffer filled, and the rest later', async () => {
  const { stream, readable } = await opened();
  const reader = readable.getReader({ mode: 'byob' });
  stream.events.onData(bytes(1, 2, 3));
  const first = await reader.read(new Uint8Array(2));
  assert.deepEqual(first.value, bytes(1, 2));
  assert.equal(stream.consumed, 2);

  const second = reader.read(new Uint8Array(8));
  assert.deepEqual((await second).value, bytes(3));
});

test('a BYOB reader of wide elements waits for a whole element', async () => {
  const { stream, readable } = await opened();
  const read = readable.getReader({ mode: 'byob' }).read(new Uint16Array(1));
  stream.events.onData(bytes(1));
  await turn();
  stream.events.onData(bytes(2));
  assert.equal((await read).value.length, 1);
});

test('an end inside a wide element breaks the readable and not the session', async () => {
  const { stream, readable } = await opened();
  const read = readable.getReader({ mode: 'byob' }).read(new Uint16Array(1));
  stream.events.onData(bytes(1));
  stream.events.onEof();
  await assert.rejects(read, TypeError);
});

for (const mode of [undefined, 'byob']) {
  test(`FIN of the peer ends a waiting ${mode ?? 'default'} reader`, async () => {
    const { stream, readable } = await opened();
    const read = readable.getReader({ mode }).read(new Uint8Array(4));
    stream.events.onEof();
    assert.equal((await read).done, true);
  });
}

test('what arrived before FIN is read before the end', async () => {
  const { stream, readable } = await opened();
  stream.events.onData(bytes(1));
  stream.events.onEof();
  const reader = readable.getReader();
  assert.deepEqual((await reader.read()).value, bytes(1));
  assert.equal((await reader.read()).done, true);
});

test('what arrived before a reset is read before the error', async () => {
  const { stream, readable } = await opened();
  stream.events.onData(bytes(1));
  stream.events.onClosed(Code.BACKEND_RESET, 'reset', 0);
  const reader = readable.getReader();
  assert.deepEqual((await reader.read()).value, bytes(1));
  await rejectsAs(reader.read(), 'NetworkError');
});

for (const [what, chunk] of [
  ['a Uint8Array', bytes(1, 2)],
  ['an ArrayBuffer', bytes(1, 2).buffer],
  ['a DataView on a part', new DataView(bytes(0, 1, 2, 0).buffer, 1, 2)],
  ['a wider view', new Uint16Array([0x0201])],
]) {
  test(`${what} may be written`, async () => {
    const { stream, writable } = await opened();
    const write = writable.getWriter().write(chunk);
    await turn();
    stream.settle();
    await write;
    assert.deepEqual(stream.written.take(), bytes(1, 2));
  });
}

test('a written buffer is copied', async () => {
  const { stream, writable } = await opened();
  const chunk = bytes(1, 2);
  writable.getWriter().write(chunk);
  await turn();
  chunk.fill(9);
  assert.deepEqual(stream.written.take(), bytes(1, 2));
});

test('an empty chunk is written without a frame', async () => {
  const { stream, writable } = await opened();
  await writable.getWriter().write(bytes());
  assert.equal(stream.written.length, 0);
});

for (const chunk of ['text', 7, null, undefined, {}, [1, 2]]) {
  test(`writing ${JSON.stringify(chunk)} is a TypeError and breaks the writable`, async () => {
    const { writable, readable, stream } = await opened();
    const writer = writable.getWriter();
    await assert.rejects(writer.write(chunk), TypeError);
    await assert.rejects(writer.closed, TypeError);

    stream.events.onData(bytes(5));
    assert.deepEqual((await readable.getReader().read()).value, bytes(5));
  });
}

test('an upload that the page broke never looks complete', async () => {
  const { writable, readable, stream, socket } = await opened();
  await assert.rejects(writable.getWriter().write('text'), TypeError);
  assert.deepEqual(stream.calls, []);
  await readable.cancel();
  assert.deepEqual(stream.calls, ['stop', `reset ${Code.ABORTED}`]);

  stream.events.onClosed(Code.ABORTED, 'aborted', 0);

  await assert.rejects(socket.closed, TypeError);
});

test('a write settles when its bytes are numbered, and the next waits behind it', async () => {
  const { stream, writable } = await opened();
  const writer = writable.getWriter();
  const first = watch(writer.write(bytes(1)));
  const second = watch(writer.write(bytes(2)));
  await turn();
  assert.equal(first.how, 'pending');
  assert.equal(stream.written.length, 1);

  stream.settle();
  await turn();

  assert.equal(first.how, 'resolved');
  assert.equal(second.how, 'pending');
  assert.equal(stream.written.length, 2);
});

test('closing the writer sends FIN after the last byte and leaves the readable open', async () => {
  const { stream, writable, readable } = await opened();
  const writer = writable.getWriter();
  writer.write(bytes(1));
  const close = watch(writer.close());
  await turn();
  assert.deepEqual(stream.calls, []);

  stream.settle();
  await turn();
  assert.equal(close.how, 'resolved');
  assert.deepEqual(stream.calls, ['end']);

  stream.events.onData(bytes(2));
  assert.deepEqual((await readable.getReader().read()).value, bytes(2));
});

test('aborting the writable drops what waits and sends FIN', async () => {
  const { stream, writable } = await opened();
  const writer = writable.getWriter();
  const inHand = watch(writer.write(bytes(1)));
  const waiting = watch(writer.write(bytes(2)));
  await turn();

  await writer.abort(new Error('enough'));

  assert.equal(inHand.how, 'resolved');
  assert.equal(waiting.how.message, 'enough');
  assert.equal(stream.written.length, 1);
  assert.deepEqual(stream.calls, ['end']);
});

test('cancelling the readable stops the peer and drops what arrived', async () => {
  const { stream, readable } = await opened();
  stream.events.onData(bytes(1));
  await readable.cancel();
  stream.events.onData(bytes(2));
  assert.deepEqual(stream.calls, ['stop']);
  assert.equal(stream.consumed, 0);
});

test('closed waits for the peer, for the writer and for the server', async () => {
  const { stream, writable, settled } = await opened();
  stream.events.onEof();
  await turn();
  assert.equal(settled.how, 'pending');
  await writable.close();
  await turn();
  assert.equal(settled.how, 'pending');

  stream.events.onClosed(Code.CLEAN, '', 0);
  await turn();

  assert.equal(settled.how, 'resolved');
});

test('closed waits until the page has read the last byte', async () => {
  const { stream, writable, readable, settled } = await opened();
  await writable.close();
  stream.events.onData(bytes(1));
  stream.events.onEof();
  stream.events.onClosed(Code.CLEAN, '', 0);
  await turn();
  assert.equal(settled.how, 'pending');

  await readable.getReader().read();
  await turn();

  assert.equal(settled.how, 'resolved');
});

test('cancel alone and abort alone leave closed pending; both and the server settle it', async () => {
  const { stream, writable, readable, settled } = await opened();
  await readable.cancel();
  await turn();
  assert.equal(settled.how, 'pending');
  await writable.abort();
  stream.events.onClosed(Code.CLEAN, '', 0);
  await turn();
  assert.equal(settled.how, 'resolved');
});

test('a reset breaks both streams and closed with NetworkError', async () => {
  const { stream, writable, readable, socket } = await opened();
  const writer = writable.getWriter();
  const write = writer.write(bytes(1));
  await turn();
  stream.events.onClosed(Code.BACKEND_RESET, 'connection reset', 0);
  await rejectsAs(write, 'NetworkError');
  await rejectsAs(writer.closed, 'NetworkError');
  await rejectsAs(readable.getReader().read(), 'NetworkError');
  await rejectsAs(socket.closed, 'NetworkError');
});

test('a failure is told by closed before the page has read what arrived', async () => {
  const { stream, socket, readable } = await opened();
  stream.events.onData(bytes(1));
  stream.events.onClosed(Code.LOST, 'session lost', 0);
  await rejectsAs(socket.closed, 'NetworkError');
  assert.deepEqual((await readable.getReader().read()).value, bytes(1));
});

test('a reset after a finished upload is still told', async () => {
  const { stream, writable, socket } = await opened();
  await writable.close();
  stream.events.onEof();
  stream.events.onClosed(Code.BACKEND_RESET, 'connection reset', 0);
  await rejectsAs(socket.closed, 'NetworkError');
});

test('a lost session tells how many bytes surely arrived', async () => {
  const { stream, socket } = await opened();
  stream.events.onClosed(Code.LOST, 'session lost', 4711);
  await assert.rejects(socket.closed, { name: 'NetworkError', lost: true, acked: 4711 });
});

test('close before the open is an InvalidStateError', async () => {
  const { socket } = make();
  await rejectsAs(socket.close(), 'InvalidStateError');
});

test('close after a failed open is an InvalidStateError', async () => {
  const { stream, socket } = make();
  stream.events.onClosed(Code.REFUSED, 'refused', 0);
  await rejectsAs(socket.close(), 'InvalidStateError');
});

for (const lock of ['readable', 'writable']) {
  test(`close with a locked ${lock} is an InvalidStateError and changes nothing`, async () => {
    const made = await opened();
    if (lock === 'readable') made.readable.getReader();
    else made.writable.getWriter();
    await rejectsAs(made.socket.close(), 'InvalidStateError');
    assert.deepEqual(made.stream.calls, []);
  });
}

test('close stops, sends FIN, and answers with closed; again it is the same', async () => {
  const { stream, socket, writable } = await opened();
  const closing = socket.close();
  assert.equal(closing, socket.closed);
  await turn();
  assert.deepEqual(stream.calls, ['stop', 'end']);
  stream.events.onClosed(Code.CLEAN, '', 0);
  await closing;
  assert.equal(socket.close(), closing);
  await rejectsAs(writable.getWriter().write(bytes(1)), 'AbortError');
});

test('what was written right before close still goes', async () => {
  const { stream, socket, writable } = await opened();
  const writer = writable.getWriter();
  writer.write(bytes(1));
  writer.releaseLock();
  socket.close();
  await turn();
  assert.equal(stream.written.length, 1);
  assert.deepEqual(stream.calls, ['stop', 'end']);
});
