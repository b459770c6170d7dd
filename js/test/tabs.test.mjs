// Do the three oldest tabs hold their requests, and the others know it?

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Tabs } from '../src/tabs.js';
import { fakeBroadcastChannel } from './fakes.mjs';

/** All tabs of one browser. */
function browser() {
  const BroadcastChannel = fakeBroadcastChannel();
  let age = 0;
  return (url = 'https://gw.example/sp/_/') => {
    const tab = { crowded: 0 };
    const env = { BroadcastChannel, epoch: () => (age += 1), random: () => 0 };
    tab.tabs = new Tabs(url, env, () => (tab.crowded += 1));
    return tab;
  };
}

test('of eight tabs the three oldest hold', () => {
  const open = browser();
  const tabs = Array.from({ length: 8 }, () => open());
  assert.deepEqual(tabs.map(({ tabs }) => tabs.mayHold), [true, true, true, false, false, false, false, false]);
  assert.deepEqual(tabs.map(({ crowded }) => crowded), [0, 0, 0, 1, 1, 1, 1, 1]);
});

test('a tab that leaves makes room, seen after two questions', () => {
  const open = browser();
  const tabs = Array.from({ length: 4 }, () => open().tabs);
  tabs[1].close();
  tabs[3].ask();
  assert.equal(tabs[3].mayHold, false);
  tabs[3].ask();
  assert.equal(tabs[3].mayHold, true);
});

test('tabs of another server do not count', () => {
  const open = browser();
  for (let i = 0; i < 3; i += 1) open();
  assert.equal(open('https://other.example/sp/_/').tabs.mayHold, true);
});

test('where tabs cannot hear each other each one holds', () => {
  const env = { BroadcastChannel: undefined, epoch: () => 1, random: () => 0 };
  const tabs = new Tabs('https://gw.example/', env, () => assert.fail('nobody is there'));
  tabs.ask();
  assert.equal(tabs.mayHold, true);
  tabs.close();
});
