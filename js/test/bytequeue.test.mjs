// Do waiting bytes keep their order, and cost about what they are?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ByteQueue } from '../src/bytequeue.js';

test('bytes come out as they went in, in any pieces', () => {
  const queue = new ByteQueue();
  const sizes = [1, 5000, 3, 4096, 4095, 1];
  const all = [];
  for (const [index, size] of sizes.entries()) {
    const bytes = new Uint8Array(size).fill(index + 1);
    all.push(...bytes);
    queue.push(bytes);
  }
  assert.equal(queue.length, all.length);
  const got = [];
  for (let max = 1; queue.length; max = max * 2 + 1) got.push(...queue.take(max));
  assert.deepEqual(got, all);
  assert.equal(queue.take().length, 0);
});

test('a window filled byte by byte is a few blocks', () => {
  const queue = new ByteQueue();
  for (let count = 0; count < 65536; count += 1) queue.push(Uint8Array.of(count % 256));
  let takes = 0;
  while (queue.take().length) takes += 1;
  assert.equal(takes, 16);
});

test('a cleared queue is empty', () => {
  const queue = new ByteQueue();
  queue.push(Uint8Array.of(1));
  queue.clear();
  assert.equal(queue.length, 0);
  assert.equal(queue.take().length, 0);
});
