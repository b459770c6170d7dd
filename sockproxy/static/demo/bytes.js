// What is in these bytes, as hex, as a dump, as a fingerprint?

const ROW_BYTES = 16;
const DRAW_BYTES = 65536;

/** Read hex digits, spaces allowed; null when it is no hex. */
export function fromHex(text) {
  const digits = text.replace(/0x|[\s,]/gi, '');
  if (!/^([0-9a-f]{2})+$/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
}

/** Write bytes as hex pairs with `gap` between. */
export const toHex = (bytes, gap = '') =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(gap);

/** Draw rows of offset, hex and printable characters. */
export function dump(bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += ROW_BYTES) {
    const row = bytes.subarray(at, at + ROW_BYTES);
    const hex = `${toHex(row.subarray(0, 8), ' ')}  ${toHex(row.subarray(8), ' ')}`.padEnd(3 * ROW_BYTES);
    const text = Array.from(row, (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '·'));
    rows.push(`${at.toString(16).padStart(4, '0')}  ${hex}  ${text.join('')}`);
  }
  return rows.join('\n');
}

/** Return the SHA-256 of bytes in hex. */
export async function sha256(bytes) {
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}

/** Return `length` random bytes; the browser gives at most 64 KiB at a time. */
export function randomBytes(length) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += DRAW_BYTES) {
    crypto.getRandomValues(bytes.subarray(at, at + DRAW_BYTES));
  }
  return bytes;
}
