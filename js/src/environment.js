// What does a session need of the world around it? Everything here can be given instead.

/** @typedef {'websocket' | 'stream' | 'poll'} LinkKind */

/**
 * @typedef {object} Environment
 * @property {typeof WebSocket} WebSocket
 * @property {typeof fetch} fetch
 * @property {(url: string, bytes: Uint8Array) => void} sendBeacon send even while the page ends
 * @property {typeof BroadcastChannel | undefined} BroadcastChannel to the other tabs
 * @property {(act: () => void, delayMs: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {(act: () => void) => void} nextTurn call when what runs now has finished
 * @property {() => number} now milliseconds that never jump
 * @property {() => number} epoch milliseconds of the wall clock, the same in all tabs
 * @property {() => number} random in [0, 1)
 * @property {(count: number) => Uint8Array} randomBytes fit for secrets
 * @property {() => boolean} isVisible whether a user sees the page
 * @property {EventTarget | undefined} page where the browser tells about page and network
 */

/**
 * @internal
 * @param {Partial<Environment>} given
 * @returns {Environment}
 */
export function environment(given) {
  const { document, performance, crypto } = globalThis;
  return {
    WebSocket: globalThis.WebSocket,
    fetch: (...words) => fetch(...words),
    sendBeacon,
    BroadcastChannel: globalThis.BroadcastChannel,
    // Called by their names: a browser wants its window as `this`.
    setTimeout: (act, delayMs) => setTimeout(act, delayMs),
    clearTimeout: (timer) => clearTimeout(timer),
    nextTurn,
    now: () => performance.now(),
    epoch: Date.now,
    random: Math.random,
    randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    isVisible: () => document?.visibilityState !== 'hidden',
    page: 'addEventListener' in globalThis ? globalThis : undefined,
    ...given,
  };
}

/**
 * @param {string} url
 * @param {Uint8Array} bytes
 */
function sendBeacon(url, bytes) {
  const body = /** @type {Uint8Array<ArrayBuffer>} */ (bytes);
  if (globalThis.navigator?.sendBeacon?.(url, body)) return;
  fetch(url, { method: 'POST', body, credentials: 'omit' }).catch(() => {});
}

/**
 * Unlike a timer, a message is not held back in a hidden page.
 *
 * @param {() => void} act
 */
function nextTurn(act) {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    act();
  };
  port2.postMessage(null);
}
