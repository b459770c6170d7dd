// How does a scenario get a browser, pages of its own origin, and a cable to cut?

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

const require = createRequire(new URL('../../js/package.json', import.meta.url));
const { chromium } = require('playwright-core');

export const OUTPUT = fileURLToPath(new URL('../output/', import.meta.url));
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const options = JSON.parse(process.argv[2] ?? '{}');

/** Run a scenario with a browser; anything on a page's console fails it. */
export async function run(scenario) {
  const browser = await chromium.launch({ executablePath: options.chromium, args: FLAGS });
  const noise = [];
  const context = await browser.newContext({
    viewport: { width: 1300, height: 950 },
    ignoreHTTPSErrors: Boolean(options.ownCertificate),
  });
  context.on('console', (message) => noise.push(message.text()));
  context.on('weberror', (error) => noise.push(String(error.error())));
  const pages = await servePages();
  try {
    const result = await scenario({ context, noise, url: pages.url });
    assert.deepEqual(noise, [], 'the consoles of the pages are silent');
    console.log(JSON.stringify(result ?? {}));
  } finally {
    await browser.close();
    pages.close();
  }
}

/** Serve a page that loads the client. */
export async function servePages() {
  const server = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    const scripts = (options.scripts ?? [`${options.server}/sockproxy.js`]).map((src) => `<script src="${src}"></script>`);
    response.end(`<!doctype html><title>test</title><link rel="icon" href="data:,">${scripts.join('')}`);
  });
  await new Promise((done) => server.listen(options.pages ?? 0, '127.0.0.1', done));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}

/** Open a page of the listed origin that has the client. */
export async function open(context, url) {
  const page = await context.newPage();
  await page.goto(url);
  await page.evaluate(() => {
    window.text = (bytes) => new TextDecoder().decode(bytes);
    window.bytes = (text) => new TextEncoder().encode(text);
    /** Give the next line of a readable, once for each call. */
    window.lines = (readable) => {
      const reader = readable.getReader();
      let rest = '';
      return async (match) => {
        for (;;) {
          const at = rest.indexOf('\r\n');
          if (at >= 0) {
            const line = rest.slice(0, at);
            rest = rest.slice(at + 2);
            if (match(line)) return line;
          } else {
            const { value, done } = await reader.read();
            if (done) throw new Error(`the stream ended before the line, rest ${rest}`);
            rest += window.text(value);
          }
        }
      };
    };
  });
  return page;
}

/** A TCP forwarder that cuts every connection each time so many bytes have passed. */
export async function forwarder(port, everyBytes, most) {
  const state = { kills: 0, passed: 0, next: everyBytes };
  const alive = new Set();
  const server = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1');
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      alive.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        alive.delete(from);
        to.destroy();
      });
      from.on('data', (data) => {
        state.passed += data.length;
        if (!to.write(data)) from.pause();
        if (state.passed >= state.next && state.kills < most) {
          state.next = state.passed + everyBytes;
          state.kills += 1;
          for (const socket of alive) socket.resetAndDestroy();
        }
      });
      to.on('drain', () => from.resume());
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const close = () => {
    for (const socket of alive) socket.destroy();
    server.close();
  };
  return { port: server.address().port, state, close };
}

/** Bytes that both ends can make: the same seed gives the same bytes. */
export function fill(length, seed) {
  const words = new Uint32Array(length / 4);
  let x = seed;
  for (let i = 0; i < words.length; i += 1) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer);
}

export const sha256 = (data) => createHash('sha256').update(data).digest('hex');
