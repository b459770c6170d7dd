// How is a promise settled from outside, without ever rejecting unobserved?

export const ignore = () => {};

/**
 * @template T
 * @typedef {object} Settler
 * @property {Promise<T>} promise
 * @property {(value: T) => void} resolve
 * @property {(error: unknown) => void} reject
 */

/**
 * A promise and its two ends; a rejection that nobody watches is no event of the page's.
 *
 * @template T
 * @returns {Settler<T>}
 */
export function settler() {
  /** @type {any} */
  const ends = {};
  ends.promise = new Promise((resolve, reject) => Object.assign(ends, { resolve, reject }));
  ends.promise.catch(ignore);
  return ends;
}
