// What does `import` give? The classes, and the proxy of the server that this file came from.

import { SockProxy } from './proxy.js';
import { TCPSocket, setDefaultDial } from './socket.js';

const proxy = new SockProxy(import.meta.url);
setDefaultDial(proxy.dial);

export { SockProxy, TCPSocket };
export default proxy;
