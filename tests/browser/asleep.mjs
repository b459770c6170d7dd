// Does a page whose browser was stopped, as by a laptop that sleeps, go on where it was?

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';

import { fill, open, options, run } from './harness.mjs';
import { echoed } from './pieces.mjs';

/** The processes of the browser: all that this process has started, and what those have. */
function browserPids() {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [[Number(pid), Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1])]];
      } catch {
        return []; // it has just ended
      }
    });
  const found = new Set([process.pid]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid);
  }
  found.delete(process.pid);
  return [...found];
}

function signal(pids, name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error; // it has just ended
    }
  }
}

await run(async ({ context, noise, url }) => {
  const found = {};
  for (const kind of ['websocket', 'stream', 'poll']) {
    const page = await open(context, url);
    await page.evaluate(echoed, [fill.toString()]);
    await page.evaluate(
      async ([server, kind]) => {
        window.proxy = new sockproxy.SockProxy(server, { links: [kind] });
        window.states = window.watched(window.proxy);
        const { readable, writable } = await window.proxy.open('ticks').opened;
        window.writer = writable.getWriter();
        window.got = '';
        (async () => {
          for (const reader = readable.getReader(); ; ) {
            const { value, done } = await reader.read();
            if (done) break;
            window.got += window.text(value);
          }
        })();
      },
      [options.server, kind],
    );
    await page.waitForFunction(() => window.got.length > 0);
    // The server hears nothing for ping and timeout, and detaches; the backend talks on.
    const pids = browserPids();
    signal(pids, 'SIGSTOP');
    await new Promise((done) => setTimeout(done, options.asleepMs));
    signal(pids, 'SIGCONT');
    const before = await page.evaluate(() => window.got.length);
    await page.waitForFunction((before) => window.got.length > before + 3000, before);
    const { got, states } = await page.evaluate(() => ({ got: window.got, states: window.states }));
    let expected = '';
    for (let i = 0; expected.length < got.length; i += 1) expected += `${i}\n`;
    assert.ok(expected.startsWith(got), `${kind}: a tick is missing or came twice`);
    found[kind] = states.map(({ state }) => state);
    await page.close();
  }
  // The browser itself notes a try that was called off because another one was welcomed.
  noise.splice(0, noise.length, ...noise.filter((words) => !/ closed before the connection is established/.test(words)));
  return found;
});
