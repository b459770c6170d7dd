// How do the sources become what a page loads? `node build.mjs [folder]`.
//
// Three files: an ES module, a classic script, and the types of the former. The same sources
// give the same bytes, so that a test can tell whether what is committed is fresh.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const banner = `/* sockproxy ${version}, MIT */`;

// Every browser that has WritableStream has these too; lowering them would double the size.
const SUPPORTED = {
  'class-field': true,
  'class-private-accessor': true,
  'class-private-brand-check': true,
  'class-private-field': true,
  'class-private-method': true,
};

const SHARED = {
  absWorkingDir: here,
  banner: { js: banner },
  bundle: true,
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
  minify: true,
  supported: SUPPORTED,
  target: 'es2020',
};

/** @param {string} folder */
export async function buildAll(folder) {
  mkdirSync(folder, { recursive: true });
  await build({
    ...SHARED,
    entryPoints: ['src/index.js'],
    format: 'esm',
    outfile: join(folder, 'sockproxy.mjs'),
  });
  await build({
    ...SHARED,
    entryPoints: ['src/classic.js'],
    format: 'iife',
    outfile: join(folder, 'sockproxy.js'),
  });
  writeFileSync(join(folder, 'sockproxy.d.ts'), declarations());
}

/** What a page meets, and nothing of the session below. */
const PUBLIC = ['environment', 'socket', 'proxy', 'index'];

function declarations() {
  const folder = mkdtempSync(join(tmpdir(), 'sockproxy-types-'));
  try {
    const tsc = join(here, 'node_modules/typescript/bin/tsc');
    const options = ['--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--stripInternal'];
    execFileSync(process.execPath, [tsc, '--project', here, ...options, '--outDir', folder]);
    const parts = PUBLIC.map((name) => readFileSync(join(folder, `${name}.d.ts`), 'utf8'));
    return `${banner}\n${parts.join('').replace(/^import .*\n/gm, '').replace(EXPORTS, '')}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// In one file the classes are exported where they are declared.
const EXPORTS = /^export \{.*\};\n/gm;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildAll(process.argv[2] ?? join(here, '../sockproxy/static'));
}
