// Does the same page work over each kind of link, and while it moves from one to the other?

import assert from 'node:assert/strict';

import { fill, open, options, run } from './harness.mjs';
import { echoed } from './pieces.mjs';

const BYTES = 2 * 1024 * 1024;
const STREAMS = 8;
const SWITCHES = 60;
const EVERY_MS = 50;

await run(async ({ context, noise, url }) => {
  const page = await open(context, url);
  await page.evaluate(echoed, [fill.toString()]);

  for (const kind of ['websocket', 'stream', 'poll']) {
    const found = await page.evaluate(
      async ([kind, server, length]) => {
        const proxy = new sockproxy.SockProxy(server, { links: [kind] });
        const got = await window.echoed(proxy, length, 3);
        const { link } = proxy.stats;
        proxy.close();
        return { got, link };
      },
      [kind, options.server, BYTES],
    );
    assert.deepEqual(found, { got: BYTES, link: kind });
  }

  const moved = await page.evaluate(
    async ([server, length, streams, switches, everyMs]) => {
      const proxy = new sockproxy.SockProxy(server);
      const states = window.watched(proxy);
      const all = Array.from({ length: streams }, (_, seed) => window.echoed(proxy, length, seed + 1));
      const kinds = ['stream', 'websocket', 'poll', 'websocket', 'stream', 'poll'];
      for (let i = 0; i < switches; i += 1) {
        proxy.useLinks([kinds[i % kinds.length]]);
        await new Promise((done) => setTimeout(done, everyMs));
      }
      proxy.useLinks(['websocket', 'stream', 'poll']);
      const got = await Promise.all(all);
      const { switches: counted } = proxy.stats;
      proxy.close();
      return { got, counted, states };
    },
    [options.server, BYTES, STREAMS, SWITCHES, EVERY_MS],
  );
  assert.deepEqual(moved.got, Array(STREAMS).fill(BYTES));
  assert.ok(moved.counted >= 5, `${moved.counted} switches: ${JSON.stringify(moved.states)}`);
  // The browser itself notes each WebSocket that is called off before it was open.
  noise.splice(0, noise.length, ...noise.filter((words) => !words.startsWith('WebSocket connection to')));
  return { counted: moved.counted };
});
