// Do both languages call the same thing by the same number?

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as Code from '../src/codes.js';
import * as frames from '../src/frames.js';

const python = (name) => readFileSync(new URL(`../../sockproxy/${name}`, import.meta.url), 'utf8');

/** The `NAME = 0x..` lines of one enum. */
function members(source, name) {
  const [, body] = source.split(`class ${name}(IntEnum):`);
  const own = body.split(/^\S/m)[0];
  return [...own.matchAll(/^ {4}([A-Z_]+) = (\S+)/gm)].map(([, key, value]) => [key, Number(value)]);
}

test('every code is in both languages', () => {
  const theirs = members(python('codes.py'), 'Code');
  assert.ok(theirs.length > 30);
  for (const [name, value] of theirs) assert.equal(Code[name], value, name);
});

for (const [name, prefix] of [
  ['HelloTlv', 'HELLO_'],
  ['WelcomeTlv', 'WELCOME_'],
  ['OpenTlv', 'OPEN_'],
]) {
  test(`the fields of ${name} that we use are theirs`, () => {
    const theirs = Object.fromEntries(members(python('codes.py'), name));
    const ours = Object.entries(Code).filter(([key]) => key.startsWith(prefix));
    assert.ok(ours.length);
    for (const [key, value] of ours) assert.equal(theirs[key.slice(prefix.length)], value, key);
  });
}

test('every frame has the layout that Python gives it', () => {
  const letters = { _INT: 'i', _TEXT: 't', _TLVS: 'v', SID: 's', SECRET: 'k', REST: 'r' };
  const rows = python('core/frames.py').matchAll(/^ {4}(0x\w\w): \((\w+), \((.+)\)\),$/gm);
  const theirs = [...rows].map(([, kind, name, kinds]) => {
    const fields = kinds.split(/,\s*/).filter(Boolean);
    const row = fields.map((field) => letters[field.replace('Kind.', '')]).join('');
    return [name.toUpperCase(), Number(kind), row];
  });
  assert.equal(theirs.length, Object.keys(frames.LAYOUT).length);
  for (const [name, kind, row] of theirs) {
    assert.equal(frames.LAYOUT[kind], row, name);
    const constant = name === 'AUTHRESULT' ? 'AUTH_RESULT' : name;
    assert.equal(frames[constant], kind, name);
  }
});
