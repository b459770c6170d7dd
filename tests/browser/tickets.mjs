// Does a page with short tickets keep its sockets, lose them when it gets no more, and come back?

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';

import { open, options, run } from './harness.mjs';

// Of the [tickets] that the server was given.
const { secret, audience, lifeS } = options;
const MARGIN_MS = 3000;

const base64 = (value) => Buffer.from(value).toString('base64url');

/** What an application does after it has looked at its own session. */
function mint() {
  const nowS = Math.floor(Date.now() / 1000);
  const claims = { sub: 'ada', aud: audience, iat: nowS, exp: nowS + lifeS, jti: randomUUID() };
  const signed = `${base64('{"alg":"HS256","typ":"JWT"}')}.${base64(JSON.stringify(claims))}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** In the page: a socket to `echo`, and what a word becomes on it. */
const dial = async () => {
  const socket = sockproxy.open('echo');
  const { readable, writable } = await socket.opened;
  const [reader, writer] = [readable.getReader(), writable.getWriter()];
  window.ended = socket.closed.catch(({ name, message }) => ({ name, message }));
  window.echo = async (word) => {
    await writer.write(window.bytes(word));
    return window.text((await reader.read()).value);
  };
};

const refused = (page, ticket) =>
  page.evaluate(async (given) => {
    sockproxy.ticket = given;
    return sockproxy.open('echo').opened.catch(({ name }) => name);
  }, ticket);

await run(async ({ context, url }) => {
  const minted = [];
  await context.route(`${url}ticket`, (route) => {
    minted.push(mint());
    return route.fulfill({ body: minted.at(-1), contentType: 'text/plain' });
  });
  const asked = [];
  context.on('request', (request) => asked.push(request.url()));
  const page = await open(context, url);
  const pass = (ms) => page.waitForTimeout(ms);
  const state = () => page.evaluate(() => sockproxy.state);

  await page.evaluate(() => {
    window.isLoggedIn = true;
    sockproxy.ticket = async () => {
      if (!window.isLoggedIn) throw new Error('logged out');
      return (await fetch('/ticket')).text();
    };
  });
  await page.evaluate(dial);
  assert.equal(await page.evaluate(() => window.echo('one')), 'one');
  assert.equal(minted.length, 1);

  // Another link of the same session shows the same ticket.
  await page.evaluate(() => sockproxy.useLinks(['stream']));
  await page.waitForFunction(() => sockproxy.stats.link === 'stream');
  assert.equal(await page.evaluate(() => window.echo('two')), 'two');
  assert.equal(minted.length, 1);

  // It outlives its ticket, over HTTP and over a WebSocket.
  await pass(lifeS * 1000 + MARGIN_MS);
  assert.equal(await page.evaluate(() => window.echo('three')), 'three');
  await page.evaluate(() => sockproxy.useLinks(['websocket']));
  await page.waitForFunction(() => sockproxy.stats.link === 'websocket');
  await pass(lifeS * 1000 + MARGIN_MS);
  assert.equal(await page.evaluate(() => window.echo('four')), 'four');
  assert.ok(minted.length >= 3, `${minted.length} tickets`);
  assert.equal(await state(), 'up');

  // Without a fresh one it ends, and the socket says why.
  await page.evaluate(() => (window.isLoggedIn = false));
  const { name } = await page.evaluate(() => window.ended);
  assert.equal(name, 'NotAllowedError');
  assert.equal(await state(), 'lost');

  // The next socket begins anew.
  const before = minted.length;
  await page.evaluate(() => (window.isLoggedIn = true));
  await page.evaluate(dial);
  assert.equal(await page.evaluate(() => window.echo('five')), 'five');
  assert.equal(minted.length, before + 1);
  await page.evaluate(() => sockproxy.close());

  for (const ticket of [undefined, 'no ticket at all', `${mint()}x`]) {
    assert.equal(await refused(await open(context, url), ticket), 'NotAllowedError', ticket);
  }
  const shown = asked.filter((each) => minted.some((ticket) => each.includes(ticket)));
  assert.deepEqual(shown, [], 'no URL holds a ticket');
  return { minted: minted.length };
});
