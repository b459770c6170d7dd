// Does the demo do what the README says: echo, cut the cable, verify, chat?

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
  await chat(context);
  // The browser itself notes each WebSocket that the cut refuses.
  noise.splice(0, noise.length, ...noise.filter((words) => !words.includes('WebSocket connection to')));
});
