// Is what we ship small, fresh and typed?

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { buildAll } from '../build.mjs';

const KIB = 1024;
const GATES = { 'sockproxy.mjs': 16.25 * KIB, 'sockproxy.js': 16.25 * KIB };

const here = fileURLToPath(new URL('..', import.meta.url));
const committed = fileURLToPath(new URL('../../sockproxy/static/', import.meta.url));
const tsc = join(here, 'node_modules/typescript/bin/tsc');
let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sockproxy-build-'));
  await buildAll(folder);
});

after(() => rmSync(folder, { recursive: true }));

for (const name of ['sockproxy.mjs', 'sockproxy.js', 'sockproxy.d.ts']) {
  test(`the committed ${name} is what the sources give`, () => {
    const fresh = readFileSync(join(folder, name), 'utf8');
    assert.ok(readFileSync(join(committed, name), 'utf8') === fresh, 'run: npm run build');
  });
}

for (const [name, limit] of Object.entries(GATES)) {
  test(`${name} is at most ${limit / KIB} KiB, minified and compressed`, () => {
    const size = gzipSync(readFileSync(join(folder, name)), { level: 9 }).length;
    assert.ok(size <= limit, `${size} bytes above ${limit}`);
  });
}

test('the classic script sets one name, and TCPSocket where there is none', () => {
  const run = (world) => {
    const names = Object.keys(globalThis);
    Object.assign(globalThis, world);
    (0, eval)(readFileSync(join(folder, 'sockproxy.js'), 'utf8'));
    const added = Object.keys(globalThis).filter((name) => !names.includes(name));
    const { sockproxy, TCPSocket } = globalThis;
    for (const name of added) delete globalThis[name];
    return { added, sockproxy, TCPSocket };
  };
  const document = { currentScript: { src: 'https://gw.example/sockproxy.js' } };

  const plain = run({ document });
  assert.deepEqual(plain.added.sort(), ['TCPSocket', 'document', 'sockproxy']);
  assert.equal(plain.sockproxy.TCPSocket, plain.TCPSocket);
  assert.equal(plain.sockproxy.state, 'idle');

  class Native {}
  assert.equal(run({ document, TCPSocket: Native }).TCPSocket, Native);
});

test('the sources are typed', () => {
  execFileSync(process.execPath, [tsc, '--project', here], { stdio: 'pipe' });
});

test('the shipped types serve a page that uses them', () => {
  const page = join(folder, 'page.ts');
  writeFileSync(
    page,
    `import sockproxy, { SockProxy, TCPSocket } from './sockproxy';
    import type { TCPSocketOpenInfo } from './sockproxy';
    const other = new SockProxy('https://gw.example/', { linger: 30 });
    const socket: TCPSocket = other.open('irc', { noDelay: true });
    const info: TCPSocketOpenInfo = await socket.opened;
    await info.writable.getWriter().write(new Uint8Array(1));
    sockproxy.ticket = async () => (await fetch('/ticket')).text();
    new SockProxy('https://gw.example/', { ticket: 'text' }).ticket = undefined;
    // @ts-expect-error: a ticket is text
    sockproxy.ticket = 5;
    const resumes: number = sockproxy.stats.resumes + new TCPSocket('host', 7).closed.toString().length;
    // @ts-expect-error: there is no such option
    new TCPSocket('host', 7, { nodelay: true });
    export { resumes };`,
  );
  const options = ['--ignoreConfig', '--strict', '--noEmit', '--target', 'es2022', '--module', 'esnext'];
  execFileSync(process.execPath, [tsc, ...options, '--moduleResolution', 'bundler', page]);
});

test('the lock file names no registry', () => {
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8');
  assert.ok(!lock.includes('"resolved"'));
});
