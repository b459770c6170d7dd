// Does a page get every byte through a network that breaks in one particular way?

import assert from 'node:assert/strict';

import { fill, open, options, run } from './harness.mjs';
import { echoed } from './pieces.mjs';

const BYTES = 300 * 1024;
const STREAMS = 4;

await run(async ({ context, noise, url }) => {
  const page = await open(context, url);
  await page.evaluate(echoed, [fill.toString()]);
  const found = await page.evaluate(
    async ([server, kinds, length, streams, idle]) => {
      const proxy = new sockproxy.SockProxy(server, kinds ? { links: kinds } : {});
      const states = window.watched(proxy);
      if (idle) {
        // Nothing more is said until the path was seen to hold the last piece back.
        await proxy.open('echo').opened;
        while (proxy.stats.link !== idle) await new Promise((done) => setTimeout(done, 50));
      }
      const all = Array.from({ length: streams }, (_, seed) => window.echoed(proxy, length, seed + 1, 20_000));
      const got = await Promise.allSettled(all);
      const { link, resumes } = proxy.stats;
      proxy.close();
      return { got: got.map(({ value, reason }) => value ?? reason.name), link, resumes, states };
    },
    [options.server, options.links, BYTES, STREAMS, options.idle],
  );
  // What the network does, the browser notes itself.
  noise.length = 0;
  assert.deepEqual(found.got, Array(STREAMS).fill(options.error ?? BYTES), JSON.stringify(found));
  return found;
});
