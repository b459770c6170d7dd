// Do eight tabs over HTTP share the six connections that a browser has to one host?

import assert from 'node:assert/strict';

import { fill, open, options, run } from './harness.mjs';
import { echoed } from './pieces.mjs';

const TABS = 8;
const BYTES = 100 * 1024;

await run(async ({ context, url }) => {
  const tabs = await Promise.all(Array.from({ length: TABS }, () => open(context, url)));
  for (const tab of tabs) await tab.evaluate(echoed, [fill.toString()]);
  // All hold their links while all of them echo.
  const got = await Promise.all(
    tabs.map((tab, seed) =>
      tab.evaluate(
        async ([server, kind, length, seed]) => {
          window.proxy = new sockproxy.SockProxy(server, { links: [kind] });
          return window.echoed(window.proxy, length, seed);
        },
        [options.server, options.kind, BYTES, seed + 1],
      ),
    ),
  );
  assert.deepEqual(got, Array(TABS).fill(BYTES));
  // The holders leave: the others go on, and hold in their place.
  for (const tab of tabs.slice(0, 3)) await tab.close();
  const again = await Promise.all(
    tabs.slice(3).map((tab, seed) => tab.evaluate(([length, seed]) => window.echoed(window.proxy, length, seed), [BYTES, seed + 20])),
  );
  assert.deepEqual(again, Array(TABS - 3).fill(BYTES));
  return { tabs: got.length };
});
