// Is a page of a foreign origin told which line is missing, and given nothing?

import assert from 'node:assert/strict';

import { open, run } from './harness.mjs';

await run(async ({ context, url }) => {
  const page = await open(context, url);
  const said = await page.evaluate(() => sockproxy.open('echo').opened.catch((error) => [error.name, error.message]));
  assert.equal(said[0], 'NotAllowedError');
  assert.match(said[1], new RegExp(`origin ${new URL(url).origin} is not listed`));
  return { said };
});
