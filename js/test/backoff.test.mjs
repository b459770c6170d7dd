// Does a client come back soon, and not all at once?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { delayMs } from '../src/backoff.js';

const ALMOST_ONE = 1 - Number.EPSILON;

test('the first try is at once', () => {
  assert.equal(delayMs(0, true, ALMOST_ONE), 0);
  assert.equal(delayMs(0, false, ALMOST_ONE), 0);
});

test('the jitter is full: from nothing to twice the last', () => {
  assert.equal(delayMs(3, false, 0), 0);
  assert.deepEqual(
    [1, 2, 3, 4].map((tries) => Math.round(delayMs(tries, false, ALMOST_ONE))),
    [250, 500, 1000, 2000],
  );
});

test('while someone waits tries are at most 1.5 s apart, else 20 s', () => {
  for (const tries of [4, 10, 100, 5000]) {
    assert.ok(delayMs(tries, true, ALMOST_ONE) <= 1500);
    assert.ok(delayMs(tries, false, ALMOST_ONE) <= 20_000);
  }
  assert.ok(delayMs(50, false, 0.9) > 15_000);
});
