// Does Firefox do what Chromium does, in five cases? It is driven by WebDriver BiDi, its own.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

import { fill, forwarder, options, servePages } from './harness.mjs';
import { echoed } from './pieces.mjs';

const require = createRequire(new URL('../../js/package.json', import.meta.url));
const puppeteer = require('puppeteer-core');

const MEGABYTES = 4 * 1024 * 1024;
// Nothing of it is to leave this machine. What asks all the same is sent to a proxy that is not
// there; a release asks Remote Settings whatever its address says. Loopback needs no proxy.
const PREFERENCES = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.safebrowsing.downloads.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'datareporting.healthreport.uploadEnabled': false,
  'extensions.getAddons.cache.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.proxy.allow_bypass': false,
  'network.proxy.failover_direct': false,
  'network.proxy.socks': '127.0.0.1',
  'network.proxy.socks_port': 9,
  'network.proxy.socks_remote_dns': true,
  'network.proxy.type': 1,
  'toolkit.telemetry.enabled': false,
};

const CASES = {
  async opens(page) {
    return page.evaluate(async () => {
      const socket = sockproxy.open('echo');
      const { readable, writable } = await socket.opened;
      const writer = writable.getWriter();
      await writer.write(new TextEncoder().encode('hello'));
      await writer.close();
      let got = '';
      for (const reader = readable.getReader(); ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        got += new TextDecoder().decode(value);
      }
      await socket.closed;
      return [got, sockproxy.stats.link].join(' ');
    });
  },
  async carries(page) {
    return page.evaluate(
      async ([length, source]) => {
        const hex = async (data) =>
          [...new Uint8Array(await crypto.subtle.digest('SHA-256', data))].map((b) => b.toString(16).padStart(2, '0')).join('');
        const { readable, writable } = await sockproxy.open('there').opened;
        const data = new Function(`return ${source}`)()(length, 5);
        const up = async () => {
          const writer = writable.getWriter();
          for (let at = 0; at < length; at += 50_000) await writer.write(data.slice(at, at + 50_000));
          await writer.close();
        };
        const [got] = await Promise.all([new Response(readable).arrayBuffer(), up()]);
        return { sent: await hex(data), got: await hex(got) };
      },
      [MEGABYTES, fill.toString()],
    );
  },
  async resumes(page, cable) {
    const got = await page.evaluate(([length]) => window.echoed(window.sockproxy, length, 7), [MEGABYTES]);
    assert.ok(cable.state.kills >= 2, `${cable.state.kills} kills`);
    assert.ok((await page.evaluate(() => sockproxy.stats.resumes)) >= 1);
    return got;
  },
  async refuses(page) {
    return page.evaluate(() => sockproxy.open('echo').opened.catch(({ name, message }) => `${name}: ${message}`));
  },
  async falls(page) {
    return page.evaluate(
      async ([length, server]) => {
        const found = {};
        for (const links of [undefined, ['stream', 'poll'], ['poll']]) {
          const proxy = new sockproxy.SockProxy(server, links ? { links } : {});
          found[links ?? 'any'] = [await window.echoed(proxy, length, 9), proxy.stats.link];
          proxy.close();
        }
        return found;
      },
      [MEGABYTES / 8, options.server],
    );
  },
};

let cable;
if (options.everyBytes) {
  cable = await forwarder(options.port, options.everyBytes, 2);
  options.server = `http://127.0.0.1:${cable.port}`;
}
const pages = await servePages();
const browser = await puppeteer.launch({
  browser: 'firefox',
  executablePath: options.firefox,
  extraPrefsFirefox: PREFERENCES,
  headless: true,
});
try {
  const page = await browser.newPage();
  await page.goto(pages.url);
  await page.evaluate(echoed, [fill.toString()]);
  const found = await CASES[options.case](page, cable);
  console.log(JSON.stringify({ found }));
} finally {
  await browser.close();
  pages.close();
  cable?.close();
}
