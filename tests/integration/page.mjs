// What comes of the lines that the docs give to a page?
//
// Node is the browser: it has the client, an origin, a document with one field, and cookies for
// whoever asks for them to be sent. What came of it is told as JSON.

import { SockProxy } from '../../sockproxy/static/sockproxy.mjs';

const { snippet, application, gateway, cookie, token, ticket } = JSON.parse(process.argv[2]);
const FIELD = '[name=csrfmiddlewaretoken]';
const AsyncFunction = (async () => {}).constructor;
const ask = fetch;

function tell(found) {
  console.log(JSON.stringify(found));
  process.exit();
}

globalThis.document = { querySelector: (selector) => (selector === FIELD ? { value: token } : null) };
globalThis.fetch = (url, options) => {
  const headers = { ...options.headers, Origin: application };
  if (cookie && options.credentials !== 'omit') headers.Cookie = cookie;
  return ask(new URL(url, application), { ...options, headers });
};
globalThis.WebSocket = class {
  constructor(url, protocols) {
    tell({ url, protocols });
  }
};

const sockproxy = Object.assign(new SockProxy(gateway, { links: ['stream'] }), { SockProxy });
sockproxy.addEventListener('state', ({ detail: { cause } }) => {
  if (cause.startsWith('no ticket')) tell({ cause });
});
const socket = await new AsyncFunction('sockproxy', 'ticket', snippet)(sockproxy, ticket);
try {
  const { readable, writable } = await socket.opened;
  await writable.getWriter().write(new TextEncoder().encode('hello'));
  const { value } = await readable.getReader().read();
  tell({ echo: new TextDecoder().decode(value) });
} catch ({ name, message }) {
  tell({ error: `${name}: ${message}` });
}
