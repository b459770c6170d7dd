// Does Firefox do what Chromium does, in five cases? It is driven by WebDriver BiDi, its own.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

import { fill, forwarder, options, servePages } from './harness.mjs';
import { echoed } from './pieces.mjs';

const require = createRequire(new URL('../../js/package.json', import.meta.url));
const puppeteer = require('puppeteer-core');

const MEGABYTES = 4 * 1024 * 1024;
// Nothing of it is to leave this machine.
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
  'services.settings.server': 'data:,',
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
    return page.evaluate(([length]) => window.echoed(window.sockproxy, length, 5), [MEGABYTES]);
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
        for (const kind of ['stream', 'poll']) {
          const proxy = new sockproxy.SockProxy(server, { links: [kind] });
          found[kind] = [await window.echoed(proxy, length, 9), proxy.stats.link];
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
