// Are 32 MiB each way the same at both ends when every connection is killed 20 times?

import assert from 'node:assert/strict';
import net from 'node:net';

import { fill, forwarder, open, options, run, sha256 } from './harness.mjs';

const BYTES = 32 * 1024 * 1024;
const KILLS = 20;
const EVERY_BYTES = 2_800_000;

/** A backend that sends its bytes while it takes the page's, and says what it got. */
function backend() {
  const data = fill(BYTES, 7);
  const got = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (chunk) => got.push(chunk));
    socket.on('end', () => server.emit('taken', sha256(Buffer.concat(got))));
    socket.end(data);
  });
  const taken = new Promise((done) => server.once('taken', done));
  return { server, taken, sent: sha256(data) };
}

const there = backend();
await new Promise((done) => there.server.listen(options.backend, '127.0.0.1', done));
const cable = await forwarder(options.port, EVERY_BYTES, KILLS);
options.server = `http://127.0.0.1:${cable.port}`;

await run(async ({ context, noise, url }) => {
  const page = await open(context, url);
  const [sent, received, stats] = await page.evaluate(
    async ([length, source, kind]) => {
      sockproxy.useLinks([kind]);
      const fillBytes = new Function(`return ${source}`)();
      const hex = async (data) =>
        [...new Uint8Array(await crypto.subtle.digest('SHA-256', data))].map((b) => b.toString(16).padStart(2, '0')).join('');
      const socket = sockproxy.open('there');
      const { readable, writable } = await socket.opened;
      const data = fillBytes(length, 11);
      const up = async () => {
        const writer = writable.getWriter();
        for (let at = 0; at < length; at += 100_000) await writer.write(data.subarray(at, at + 100_000));
        await writer.close();
      };
      const down = async () => {
        const all = new Uint8Array(length);
        let at = 0;
        for (const reader = readable.getReader(); ; ) {
          const { value, done } = await reader.read();
          if (done) break;
          all.set(value, at);
          at += value.length;
        }
        return hex(all.subarray(0, at));
      };
      const [, got] = await Promise.all([up(), down()]);
      await socket.closed;
      return [await hex(data), got, sockproxy.stats];
    },
    [BYTES, fill.toString(), options.kind],
  );
  assert.equal(received, there.sent, 'what the page got');
  assert.equal(await there.taken, sent, 'what the backend got');
  assert.equal(cable.state.kills, KILLS);
  // Over HTTP it is a request that is lost each time, not the link.
  if (options.kind === 'websocket') assert.ok(stats.resumes >= KILLS / 2, `${stats.resumes} resumes`);
  // The browser itself notes each request that is lost.
  noise.splice(0, noise.length, ...noise.filter((words) => !words.startsWith('Failed to load resource')));
  return { kills: cable.state.kills, resumes: stats.resumes };
});
cable.close();
there.server.close();
