// Does TCPSocket keep the rules of Direct Sockets in a real browser?

import assert from 'node:assert/strict';

import { open, options, run } from './harness.mjs';

const DEADLINE_MS = 10_000;

const RULES = {
  'the constructor refuses what makes no sense': async () => {
    const name = (make) => {
      try {
        make();
      } catch (error) {
        return error.name;
      }
      return 'no error';
    };
    const bad = [{ keepAliveDelay: 999 }, { sendBufferSize: 0 }, { receiveBufferSize: 2 ** 32 }, { dnsQueryType: 'ipv5' }, 5];
    return [
      name(() => TCPSocket('127.0.0.1', 7)),
      name(() => new TCPSocket('127.0.0.1')),
      ...bad.map((options) => name(() => new TCPSocket('127.0.0.1', 7, options))),
    ].every((found) => found === 'TypeError');
  },
  'opened is one promise and tells addresses and streams': async (echo) => {
    const socket = new TCPSocket('127.0.0.1', echo);
    const info = await socket.opened;
    const same = socket.opened === socket.opened;
    const fields = ['readable', 'writable', 'remoteAddress', 'remotePort', 'localAddress', 'localPort'].every((key) => key in info);
    await socket.close();
    return same && fields && info.remotePort === echo;
  },
  'the readable is a byte stream': async (echo) => {
    const { readable, writable } = await new TCPSocket('127.0.0.1', echo).opened;
    const writer = writable.getWriter();
    await writer.write(new Uint8Array([1, 2, 3, 4, 5]));
    const reader = readable.getReader({ mode: 'byob' });
    const { value } = await reader.read(new Uint8Array(3));
    const { value: rest } = await reader.read(new Uint16Array(8), { min: 1 }).catch(() => reader.read(new Uint8Array(8)));
    await writer.close();
    return value.length === 3 && value[2] === 3 && rest.byteLength >= 2;
  },
  'any buffer source may be written': async (echo) => {
    const { readable, writable } = await new TCPSocket('127.0.0.1', echo).opened;
    const writer = writable.getWriter();
    const shared = new Uint8Array([9, 9, 1, 2]);
    await writer.write(shared.buffer);
    await writer.write(new DataView(shared.buffer, 2, 2));
    await writer.close();
    let got = [];
    for await (const chunk of readable) got = [...got, ...chunk];
    return got.join() === '9,9,1,2,1,2';
  },
  'something else errors the stream': async (echo) => {
    const socket = new TCPSocket('127.0.0.1', echo);
    const { readable, writable } = await socket.opened;
    const writer = writable.getWriter();
    const failed = await writer.write('text').catch((error) => error.name);
    await readable.cancel();
    const closed = await socket.closed.catch((error) => error.name);
    return failed === 'TypeError' && closed === 'TypeError';
  },
  'closing the writer is a FIN, and reading goes on': async (echo) => {
    const socket = new TCPSocket('127.0.0.1', echo);
    const { readable, writable } = await socket.opened;
    const writer = writable.getWriter();
    await writer.write(window.bytes('all of it'));
    await writer.close();
    let got = '';
    for await (const chunk of readable) got += window.text(chunk);
    return got === 'all of it' && (await socket.closed) === undefined;
  },
  'closed waits for both halves': async (echo) => {
    const socket = new TCPSocket('127.0.0.1', echo);
    const { readable, writable } = await socket.opened;
    let settled = false;
    socket.closed.then(() => (settled = true));
    await readable.cancel();
    const writer = writable.getWriter();
    await writer.ready;
    const early = settled;
    await writer.close();
    await socket.closed;
    return !early && settled;
  },
  'close is refused before open and while a stream is locked': async (echo) => {
    const socket = new TCPSocket('127.0.0.1', echo);
    const early = await socket.close().catch((error) => error.name);
    const { readable } = await socket.opened;
    const reader = readable.getReader();
    const locked = await socket.close().catch((error) => error.name);
    reader.releaseLock();
    await socket.close();
    return early === 'InvalidStateError' && locked === 'InvalidStateError';
  },
  'close ends both directions, once': async (echo) => {
    const socket = new TCPSocket('127.0.0.1', echo);
    const { writable } = await socket.opened;
    await socket.close();
    await socket.close();
    const late = await writable
      .getWriter()
      .write(new Uint8Array(1))
      .then(() => 'written', (error) => error.name);
    return (await socket.closed) === undefined && late !== 'written';
  },
  'a refused connection is a NetworkError on both promises': async (_, refused) => {
    const socket = new TCPSocket('127.0.0.1', refused);
    const names = await Promise.all([socket.opened, socket.closed].map((promise) => promise.catch((error) => error.name)));
    return names.join() === 'NetworkError,NetworkError';
  },
  'a target that nothing allows is a NotAllowedError': async () => {
    const socket = new TCPSocket('192.0.2.1', 7);
    const names = await Promise.all([socket.opened, socket.closed].map((promise) => promise.catch((error) => error.name)));
    return names.join() === 'NotAllowedError,NotAllowedError';
  },
  'a reset by the backend is a NetworkError to reader and closed': async (_, __, resetting) => {
    const socket = new TCPSocket('127.0.0.1', resetting);
    const { readable, writable } = await socket.opened;
    await writable.getWriter().write(new Uint8Array(1));
    const read = await readable.getReader().read().then(() => 'read', (error) => error.name);
    const closed = await socket.closed.catch((error) => error.name);
    return read === 'NetworkError' && closed === 'NetworkError';
  },
};

await run(async ({ context, url }) => {
  const page = await open(context, url);
  const kept = {};
  for (const [rule, act] of Object.entries(RULES)) {
    const { echo, refused, resetting } = options;
    const late = `new Promise((done) => setTimeout(done, ${DEADLINE_MS}, 'late'))`;
    kept[rule] = await page.evaluate(`Promise.race([(${act})(${echo}, ${refused}, ${resetting}), ${late}])`);
  }
  const broken = Object.keys(kept).filter((rule) => kept[rule] !== true);
  assert.deepEqual(Object.fromEntries(broken.map((rule) => [rule, kept[rule]])), {}, 'rules that are not kept');
  return { rules: Object.keys(kept).length };
});
