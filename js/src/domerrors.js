// What does a code look like to the page? The Direct Sockets column of docs/protocol.md section 2.

import * as Code from './codes.js';

/** @type {Record<number, string>} */
const DOM_NAMES = {
  [Code.ABORTED]: 'AbortError',
  [Code.DENIED]: 'NotAllowedError',
  [Code.TICKET_REQUIRED]: 'NotAllowedError',
  [Code.TICKET_REFUSED]: 'NotAllowedError',
  [Code.ORIGIN]: 'NotAllowedError',
};

/**
 * Return the error that a stream ended by `code` shows to the page.
 *
 * @param {number} code
 * @param {string} text
 * @param {number} acked bytes of this stream that the server is known to hold
 * @returns {Error}
 */
export function streamError(code, text, acked) {
  if (code === Code.BAD_TARGET) return new TypeError(text);
  const error = domError(DOM_NAMES[code] ?? 'NetworkError', text);
  return code === Code.LOST ? Object.assign(error, { lost: true, acked }) : error;
}

/**
 * @param {string} name
 * @param {string} text
 */
export const domError = (name, text) => new DOMException(text, name);
