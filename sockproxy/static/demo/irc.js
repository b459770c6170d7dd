// What do the bytes of an IRC server say, and how is a command written?

const MAX_LINE_BYTES = 16 * 1024;
const FORMATTING = /\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04[0-9a-f]{0,6}|[\x00-\x1f\x7f]/gi;
const TAG_ESCAPES = { ':': ';', s: ' ', r: '\r', n: '\n' };

/** Cuts bytes into lines, whatever their chunks; bytes that are no UTF-8 are read as Latin-1. */
export class LineReader {
  #kept = new Uint8Array();

  /** @returns {string[]} the lines that these bytes complete */
  feed(bytes) {
    const all = new Uint8Array(this.#kept.length + bytes.length);
    all.set(this.#kept);
    all.set(bytes, this.#kept.length);
    const lines = [];
    let start = 0;
    for (let end = all.indexOf(10); end >= 0; end = all.indexOf(10, start)) {
      const line = decode(all.subarray(start, all[end - 1] === 13 && end > start ? end - 1 : end));
      if (line) lines.push(line);
      start = end + 1;
    }
    this.#kept = all.slice(start, start + MAX_LINE_BYTES);
    return lines;
  }
}

function decode(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('latin1').decode(bytes);
  }
}

/**
 * Read one line into its tags, source, upper-case command and parameters.
 *
 * @returns {{tags: Record<string, string>, source: string, nick: string, command: string, params: string[]}}
 */
export function parse(line) {
  let rest = line;
  const take = () => {
    const [, word, more] = /^([^ ]*) *(.*)$/s.exec(rest);
    rest = more;
    return word;
  };
  const tags = rest.startsWith('@') ? readTags(take().slice(1)) : {};
  const source = rest.startsWith(':') ? take().slice(1) : '';
  const command = take().toUpperCase();
  const params = [];
  while (rest) {
    if (rest.startsWith(':')) {
      params.push(rest.slice(1));
      break;
    }
    params.push(take());
  }
  return { tags, source, nick: source.split('!')[0], command, params };
}

function readTags(text) {
  const pairs = text.split(';').filter(Boolean).map((tag) => {
    const [name, ...value] = tag.split('=');
    return [name, value.join('=').replace(/\\(.?)/g, (_, c) => TAG_ESCAPES[c] ?? c)];
  });
  return Object.fromEntries(pairs);
}

/** Write a command; the last parameter may hold spaces, and nothing can smuggle in a line. */
export function format(command, ...params) {
  const clean = params.map((param) => String(param).replace(/[\r\n\0]+/g, ' '));
  const last = clean.at(-1);
  if (last !== undefined && (last === '' || last.startsWith(':') || last.includes(' '))) clean.push(`:${clean.pop()}`);
  return `${[command, ...clean].join(' ')}\r\n`;
}

/** Return the text of `/me`, or null when this is no ACTION. */
export function action(text) {
  const found = /^\x01ACTION (.*?)\x01?$/s.exec(text);
  return found && found[1];
}

/** Return the words of a CTCP query other than ACTION, or null. */
export function ctcp(text) {
  return text.startsWith('\x01') && action(text) === null ? text.replaceAll('\x01', '') : null;
}

/** Remove colours and control characters. */
export const plain = (text) => text.replace(FORMATTING, '');

/** Return the form under which names are equal here: CASEMAPPING=ascii. */
export const fold = (name) => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
