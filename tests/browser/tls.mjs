// Does a page reach a server that speaks TLS, by a WebSocket, a stream and polls?

import assert from 'node:assert/strict';

import { open, run } from './harness.mjs';

await run(async ({ context, url }) => {
  const page = await open(context, url);
  await page.evaluate(async () => {
    const { readable, writable } = await sockproxy.open('echo').opened;
    const [reader, writer] = [readable.getReader(), writable.getWriter()];
    window.echo = async (word) => {
      await writer.write(window.bytes(word));
      return window.text((await reader.read()).value);
    };
  });
  const echoed = {};
  for (const kind of ['websocket', 'stream', 'poll']) {
    await page.evaluate((one) => sockproxy.useLinks([one]), kind);
    await page.waitForFunction((one) => sockproxy.stats.link === one, kind);
    echoed[kind] = await page.evaluate((word) => window.echo(word), kind);
  }
  assert.deepEqual(echoed, { websocket: 'websocket', stream: 'stream', poll: 'poll' });
  const security = await page.evaluate(
    (at) => fetch(`${at}/sockproxy.mjs`).then(({ status, url: from }) => [status, new URL(from).protocol]),
    await page.evaluate(() => document.querySelector('script').src.replace('/sockproxy.js', '')),
  );
  assert.deepEqual(security, [200, 'https:']);
});
