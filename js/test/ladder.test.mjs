// Is each kind of link tried when it is worth a try, and no lesson kept for ever?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Ladder } from '../src/ladder.js';

const MINUTES_MS = 60_000;

test('a WebSocket first, HTTP beside it after 2.5 s, at once in a hidden page', () => {
  const ladder = new Ladder();
  assert.equal(ladder.takesWebSocket(0), true);
  assert.equal(ladder.raceMs(0, true), 2500);
  assert.equal(ladder.raceMs(0, false), 0);
});

test('what may not be used is not tried', () => {
  const webSockets = new Ladder(['websocket']);
  assert.equal(webSockets.raceMs(0, true), Infinity);
  const polls = new Ladder(['poll']);
  assert.equal(polls.takesWebSocket(0), false);
  assert.equal(polls.mode(0), 'poll');
  assert.equal(polls.raceMs(0, true), 0);
  assert.equal(polls.probeMs(0), Infinity);
  const streams = new Ladder(['stream']);
  streams.advisePoll(0);
  assert.equal(streams.mode(0), 'stream');
});

test('two deaths within 10 s mean HTTP for 10 minutes', () => {
  const ladder = new Ladder();
  ladder.died(0);
  ladder.died(20_000);
  assert.equal(ladder.takesWebSocket(20_000), true);
  ladder.died(29_999);
  assert.equal(ladder.takesWebSocket(30_000), false);
  assert.equal(ladder.probeMs(30_000), 10 * MINUTES_MS - 1);
  assert.equal(ladder.raceMs(30_000, true), 0);
  assert.equal(ladder.takesWebSocket(29_999 + 10 * MINUTES_MS), true);
});

test('where there is nothing but WebSockets their deaths change nothing', () => {
  const ladder = new Ladder(['websocket']);
  ladder.died(0);
  ladder.died(1);
  assert.equal(ladder.takesWebSocket(2), true);
});

test('a WebSocket is probed after 30 s, 2, 10, 30 minutes', () => {
  const ladder = new Ladder();
  const waits = [1, 2, 3, 4, 5].map(() => ladder.probeMs(0) / MINUTES_MS);
  assert.deepEqual(waits, [0.5, 2, 10, 30, 30]);
  ladder.forget();
  assert.equal(ladder.probeMs(0), 30_000);
});

test('a WebSocket that was open, or that has worked, is probed after a second, once', () => {
  const ladder = new Ladder();
  assert.equal(ladder.probeMs(0, true), 1000);
  ladder.worked('websocket', 0);
  assert.equal(ladder.probeMs(0), 1000);
  assert.equal(ladder.probeMs(0), 30_000);
});

test('a page that allows nothing but WebSockets has one tried every second', () => {
  const ladder = new Ladder(['websocket']);
  assert.deepEqual([ladder.probeMs(0), ladder.probeMs(0)], [1000, 1000]);
});

test('a silent stream is doubted, and judged when polls work', () => {
  const ladder = new Ladder();
  ladder.doubtStream();
  assert.equal(ladder.mode(0), 'poll');
  ladder.worked('poll', 0);
  assert.equal(ladder.mode(10 * MINUTES_MS - 1), 'poll');
  assert.equal(ladder.mode(10 * MINUTES_MS), 'stream');
});

test('where polls do not work either it was the network', () => {
  const ladder = new Ladder();
  ladder.doubtStream();
  ladder.failed();
  assert.equal(ladder.mode(0), 'stream');
});

test('another network knows nothing of the last one', () => {
  const ladder = new Ladder();
  ladder.died(0);
  ladder.died(1);
  ladder.advisePoll(1);
  ladder.shrinkPosts();
  ladder.forget();
  assert.equal(ladder.takesWebSocket(2), true);
  assert.equal(ladder.mode(2), 'stream');
  assert.equal(ladder.postBytes, 64 * 1024);
});

test('bodies shrink to 4 KiB, and grow to what the server takes', () => {
  const ladder = new Ladder();
  for (let i = 0; i < 9; i += 1) ladder.shrinkPosts();
  assert.equal(ladder.postBytes, 4096);
  for (let i = 0; i < 9; i += 1) ladder.growPosts(200_000);
  assert.equal(ladder.postBytes, 200_000);
  ladder.growPosts(100_000);
  assert.equal(ladder.postBytes, 200_000);
});
