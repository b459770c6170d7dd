// Whose fault is it? The twin of core/errors.py.

/** Our own side broke the rules of this module. */
export class LocalError extends Error {}

/** The bytes end before the value does; more may come. */
export class CutError extends Error {}

/** This link carries something we cannot use; another one may go on. */
export class LinkError extends Error {}

/** The peer broke the protocol; the session ends with `code`. */
export class PeerError extends Error {
  /**
   * @param {number} code
   * @param {string} text
   */
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** The peer broke the rules of one stream, which ends with `code`. */
export class StreamError extends PeerError {}
