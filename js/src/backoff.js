// How long does a client wait before it tries again?
//
// The first try is at once. Then full jitter: a random part of 250 ms x 2^n, so that a
// thousand pages that lost the same server do not come back as one.

const FIRST_MS = 250;
const URGENT_CAP_MS = 1500;
const CALM_CAP_MS = 20_000;

/**
 * @param {number} tries tries since the last time it worked
 * @param {boolean} urgent someone waits: streams are open, the page is visible, linger runs
 * @param {number} random in [0, 1)
 */
export function delayMs(tries, urgent, random) {
  if (tries === 0) return 0;
  return random * Math.min(urgent ? URGENT_CAP_MS : CALM_CAP_MS, FIRST_MS * 2 ** (tries - 1));
}
