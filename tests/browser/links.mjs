// Does the same page work over each kind of link, and while it moves from one to the other?

import assert from 'node:assert/strict';

import { fill, open, options, run } from './harness.mjs';

const BYTES = 2 * 1024 * 1024;
const STREAMS = 8;
const SWITCHES = 20;

await run(async ({ context, url }) => {
  const page = await open(context, url);
  await page.evaluate((source) => {
    const fillBytes = new Function(`return ${source}`)();
    /** Send bytes through an echo and compare what comes back. */
    window.echoed = async (proxy, length, seed) => {
      const { readable, writable } = await proxy.open('echo').opened;
      const data = fillBytes(length, seed);
      const up = async () => {
        const writer = writable.getWriter();
        for (let at = 0; at < length; at += 50_000) await writer.write(data.slice(at, at + 50_000));
        await writer.close();
      };
      const sent = up();
      let at = 0;
      for (const reader = readable.getReader(); ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        for (const byte of value) if (byte !== data[at++]) throw new Error(`byte ${at - 1} differs`);
      }
      await sent;
      return at;
    };
  }, fill.toString());

  const times = {};
  for (const kind of ['websocket', 'stream', 'poll']) {
    times[kind] = await page.evaluate(
      async ([kind, server, length]) => {
        const proxy = new sockproxy.SockProxy(server, { links: [kind] });
        const started = performance.now();
        const got = await window.echoed(proxy, length, 3);
        const took = performance.now() - started;
        const found = { got, took, link: proxy.stats.link };
        proxy.close();
        return found;
      },
      [kind, options.server, BYTES],
    );
    assert.equal(times[kind].got, BYTES, kind);
    assert.equal(times[kind].link, kind);
  }

  const moved = await page.evaluate(
    async ([server, length, streams, switches]) => {
      const proxy = new sockproxy.SockProxy(server);
      const states = [];
      proxy.addEventListener('state', ({ detail }) => states.push(`${detail.state} ${detail.link} ${detail.cause}`));
      const all = Array.from({ length: streams }, (_, seed) => window.echoed(proxy, length, seed + 1));
      const kinds = ['stream', 'websocket', 'poll', 'websocket', 'stream', 'poll'];
      for (let i = 0; i < switches; i += 1) {
        proxy.useLinks([kinds[i % kinds.length]]);
        await new Promise((done) => setTimeout(done, 150));
      }
      proxy.useLinks(['websocket', 'stream', 'poll']);
      const got = await Promise.all(all);
      const { switches: counted, link } = proxy.stats;
      proxy.close();
      return { got, counted, link, states };
    },
    [options.server, BYTES, STREAMS, SWITCHES],
  );
  assert.deepEqual(moved.got, Array(STREAMS).fill(BYTES));
  assert.ok(moved.counted >= 5, `${moved.counted} switches: ${moved.states}`);
  return { times, counted: moved.counted, states: moved.states };
});
