// Does a page that subscribes hear what redis-cli publishes?

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

import { open, options, run } from './harness.mjs';

await run(async ({ context, url }) => {
  const page = await open(context, url);
  await page.evaluate(async (port) => {
    const { readable, writable } = await new TCPSocket('127.0.0.1', port).opened;
    window.next = window.lines(readable);
    await writable.getWriter().write(window.bytes('SUBSCRIBE news\r\n'));
    await window.next((line) => line === ':1');
  }, options.redis);
  const publish = (words) => execFileSync('redis-cli', ['-p', String(options.redis), 'PUBLISH', 'news', words]).toString();
  assert.equal(publish('first').trim(), '1');
  publish('second');
  const heard = await page.evaluate(async () => {
    const words = [];
    for (let i = 0; i < 2; i += 1) {
      await window.next((line) => line === 'message');
      await window.next((line) => line === 'news');
      await window.next((line) => line.startsWith('$'));
      words.push(await window.next(() => true));
    }
    return words;
  });
  assert.deepEqual(heard, ['first', 'second']);
  return { heard };
});
