// What does a classic script give? `sockproxy`, and `TCPSocket` where the browser has none.

import { SockProxy } from './proxy.js';
import { TCPSocket, setDefaultDial } from './socket.js';

// Known only while the script runs; a worker has no document and takes its own address.
const { src } = /** @type {{src?: string}} */ (globalThis.document?.currentScript ?? {});
const proxy = new SockProxy(src || location.href);
setDefaultDial(proxy.dial);

// A browser's own TCPSocket stays.
const { TCPSocket: native = TCPSocket } = /** @type {{TCPSocket?: unknown}} */ (globalThis);
const sockproxy = Object.assign(proxy, { SockProxy, TCPSocket });
Object.assign(globalThis, { sockproxy, TCPSocket: native });

/** @typedef {typeof sockproxy} ClassicSockProxy */
