// Does an unmodified MQTT.js talk to a real broker through the raw endpoint?

import assert from 'node:assert/strict';

import { open, options, run } from './harness.mjs';

await run(async ({ context, url }) => {
  const page = await open(context, url);
  await page.addScriptTag({ path: new URL('../../js/node_modules/mqtt/dist/mqtt.min.js', import.meta.url).pathname });
  const heard = await page.evaluate(async (broker) => {
    const client = mqtt.connect(broker, { reconnectPeriod: 0 });
    await new Promise((done, failed) => client.once('connect', done).once('error', failed).once('close', failed));
    await client.subscribeAsync('tests/#');
    const message = new Promise((done) => client.once('message', (topic, payload) => done([topic, payload.length, payload[77_000]])));
    const payload = new Uint8Array(100_000).map((_, i) => i);
    await client.publishAsync('tests/one', payload);
    const got = await message;
    await client.endAsync();
    return got;
  }, `${options.server.replace('http', 'ws')}/raw/broker`);
  assert.deepEqual(heard, ['tests/one', 100_000, 77_000 % 256]);
  return { heard };
});
