// Do two pages talk on a channel of a real ircd, also when the cable is cut between?

import assert from 'node:assert/strict';

import { forwarder, open, options, run } from './harness.mjs';

const join = (name, [host, port]) =>
  (async () => {
    const socket = new TCPSocket(host, port);
    const { readable, writable, remoteAddress } = await socket.opened;
    const writer = writable.getWriter();
    window.say = (line) => writer.write(window.bytes(`${line}\r\n`));
    window.next = window.lines(readable);
    await window.say(`NICK ${name}`);
    await window.say(`USER ${name} 0 * :${name}`);
    await window.next((line) => line.includes(' 001 '));
    await window.say('JOIN #test');
    await window.next((line) => line.includes(' 366 '));
    return remoteAddress;
  })();

await run(async ({ context, url }) => {
  const ada = await open(context, url);
  const bob = await open(context, url);
  for (const [page, name] of [[ada, 'ada'], [bob, 'bob']]) {
    await page.evaluate(`(${join})(${JSON.stringify(name)}, ['127.0.0.1', ${options.irc}])`);
  }
  const hear = (page, words) => page.evaluate((text) => window.next((line) => line.endsWith(`PRIVMSG #test :${text}`)), words);
  await bob.evaluate(() => window.say('PRIVMSG #test :hello from bob'));
  const heard = await hear(ada, 'hello from bob');
  assert.match(heard, /^:bob!/);
  await ada.evaluate(() => window.say('PRIVMSG #test :größe'));
  await hear(bob, 'größe');
  return { heard };
});
