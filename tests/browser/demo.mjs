// Does the demo do what the README says: echo, cut the cable, verify, break the network, chat?

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

import { options, OUTPUT, run } from './harness.mjs';

mkdirSync(OUTPUT, { recursive: true });
const shot = (page, name) => page.screenshot({ path: `${OUTPUT}${name}.png` });

async function playground(page) {
  await page.goto(`${options.server}/`);
  await page.getByRole('button', { name: 'echo' }).click();
  await page.getByText('echo 1', { exact: true }).waitFor();
  await page.getByPlaceholder('Type and press Enter').fill('hello over there');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByText('hello over there').first().waitFor();
  await page.locator('#cut').click();
  await page.getByText('Reconnecting').first().waitFor();
  await page.getByRole('button', { name: 'Send 1 MiB and verify' }).click();
  await shot(page, 'playground-reconnecting');
  await page.getByText('every byte equal').first().waitFor();
  await page.getByText('Connected').first().waitFor();
  await shot(page, 'playground-back');
  assert.equal(await page.evaluate(() => sockproxy.stats.resumes), 1);
}

/** The same page through the fault proxy: from WebSocket to stream to poll, and back. */
async function network(context) {
  const page = await context.newPage();
  await page.goto(`${options.server}/`);
  await page.locator('#to-faults a').click();
  await page.getByRole('button', { name: 'echo' }).click();
  const verified = async () => {
    const before = await page.getByText('1 MiB verified').count();
    await page.getByRole('button', { name: 'Send 1 MiB and verify' }).click();
    await page.waitForFunction((before) => document.querySelector('#timeline').innerText.split('1 MiB verified').length > before + 1, before);
  };
  const carries = (kind) => page.waitForFunction((kind) => document.querySelector('#link').textContent === kind, kind);
  await carries('WebSocket');
  await page.locator('#fault').selectOption({ label: 'A WebSocket opens, then silence' });
  await carries('Stream');
  await verified();
  await page.locator('#fault').selectOption({ label: 'No WebSockets, answers held to their end' });
  await carries('Poll');
  await verified();
  await page.reload();
  const rule = 'strip header=Upgrade link=ws; buffer until=end where=/down';
  await page.waitForFunction((rule) => document.querySelector('#rule').value === rule, rule);
  await page.getByRole('button', { name: 'echo' }).click();
  await page.getByRole('button', { name: 'Poll', exact: true }).click();
  await carries('Poll');
  await verified();
  await page.locator('#rule').fill('burn everything');
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.locator('#rule-error').waitFor();
  await page.locator('#fault').selectOption({ label: 'Nothing' });
  await page.getByRole('button', { name: 'WebSocket', exact: true }).click();
  await carries('WebSocket');
  await verified();
  await shot(page, 'playground-faults');
  await page.close();
}

async function chat(context) {
  const pages = [];
  for (const nick of ['ada', 'bob']) {
    const page = await context.newPage();
    await page.goto(`${options.server}/irc.html`);
    await page.locator('#nick').fill(nick);
    await page.getByRole('button', { name: 'Join' }).click();
    await page.getByText('#sockproxy').first().waitFor();
    pages.push(page);
  }
  const [ada, bob] = pages;
  const say = async (page, words) => {
    await page.locator('#words').fill(words);
    await page.locator('#words').press('Enter');
  };
  await bob.locator('#words').waitFor({ state: 'visible' });
  await say(bob, 'can you hear me?');
  await ada.getByText('can you hear me?').waitFor();
  await ada.locator('#cut').click();
  await ada.getByText('Reconnecting').first().waitFor();
  await say(bob, 'said while you were away');
  await ada.getByText('said while you were away').waitFor();
  await say(ada, 'nothing lost');
  await bob.getByText('nothing lost').waitFor();
  await shot(ada, 'irc');
}

await run(async ({ context, noise }) => {
  const page = await context.newPage();
  await playground(page);
  await network(context);
  await chat(context);
  // The browser itself notes what the cut refuses and the fault proxy breaks.
  const ours = (words) => !/^(WebSocket connection to|Failed to load resource)/.test(words);
  noise.splice(0, noise.length, ...noise.filter(ours));
});
