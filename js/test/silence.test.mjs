// Is a link called dead only when it owed an answer?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Silence } from '../src/silence.js';

function make() {
  const silence = new Silence();
  silence.heard(1000);
  return silence;
}

test('a link that owes nothing has the time of its server', () => {
  assert.equal(make().endsAtMs(0, 0, false), 1000 + 40_000);
  assert.equal(make().endsAtMs(0, 20_000, false), 1000 + 35_000);
});

test('a write that waits for credit is reason to ask after 3 s', () => {
  const silence = make();
  assert.equal(silence.endsAtMs(0, 0, true), 4000);
  assert.equal(silence.isOwed, false);
});

test('an answer is owed from when it was first asked for', () => {
  const silence = make();
  silence.owed(5000);
  silence.owed(6000);
  assert.equal(silence.endsAtMs(0, 0, false), 8000);
  silence.probed(7000);
  assert.equal(silence.endsAtMs(0, 0, false), 10_000);
});

test('a slow path gets four round trips', () => {
  const silence = make();
  silence.owed(1000);
  assert.equal(silence.endsAtMs(2000, 0, false), 9000);
});

test('anything heard settles what was owed', () => {
  const silence = make();
  silence.probed(2000);
  silence.isSuspect = true;
  assert.equal(silence.endsAtMs(0, 0, false), Infinity);
  silence.heard(3000);
  assert.deepEqual([silence.isSuspect, silence.isProbing, silence.isOwed], [false, false, false]);
});
