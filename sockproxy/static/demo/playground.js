// What happens on the playground page: which backends are there, which sockets are open,
// how is the session doing?

import { SocketCard } from './card.js';
import { watchLink } from './link.js';
import { KINDS, driveNetwork } from './network.js';
import { amount, byId, clock, duration, el } from './ui.js';

const proxy = window.sockproxy;
const STATS_MS = 250;
const TIMELINE_ENTRIES = 60;

const cards = new Set();
let opened = 0;

function note(tone, text) {
  const timeline = byId('timeline');
  timeline.prepend(el('li', { 'data-tone': tone }, el('time', {}, clock(new Date(), true)), el('span', {}, text)));
  while (timeline.children.length > TIMELINE_ENTRIES) timeline.lastChild.remove();
}

function refuse(text) {
  byId('opener-error').textContent = text;
  byId('opener-error').hidden = !text;
}

function select(card) {
  for (const other of cards) other.show(other === card);
  byId('empty').hidden = cards.size > 0;
  byId('tabs').hidden = cards.size === 0;
}

function remove(card) {
  cards.delete(card);
  card.tab.remove();
  card.panel.remove();
  if (!card.panel.hidden) select([...cards].at(-1));
}

function open(name, dial) {
  refuse('');
  let socket;
  try {
    socket = dial();
  } catch (error) {
    return refuse(error.message);
  }
  opened += 1;
  const card = new SocketCard({
    socket,
    title: `${name} ${opened}`,
    echoes: name === 'echo',
    note,
    select: () => select(card),
    remove: () => remove(card),
  });
  cards.add(card);
  byId('tabs').append(card.tab);
  byId('cards').append(card.panel);
  select(card);
}

/** Read `host:port` or `[v6]:port`. */
function address(text) {
  const parts = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text.trim());
  return parts && { host: parts[1] ?? parts[2], port: Number(parts[3]) };
}

byId('opener').addEventListener('submit', (event) => {
  event.preventDefault();
  const target = address(byId('host').value);
  if (!target) return refuse('Write the address as host:port, for example 127.0.0.1:6667');
  open(`${target.host}:${target.port}`, () => new TCPSocket(target.host, target.port));
});

/** Ask the server what it has. */
async function look() {
  try {
    const { backends, tools } = await (await fetch('/playground/backends')).json();
    const chip = (name) => el('button', { type: 'button', class: 'chip', onclick: () => open(name, () => proxy.open(name)) }, name);
    byId('backends').replaceChildren(...backends.map(chip));
    await driveNetwork(proxy, tools.includes('faults'), note);
  } catch (error) {
    refuse(`Could not ask the server for its backends: ${error.message}`);
  }
}

function showStats() {
  const { link, switches, rttMs, bytesIn, bytesOut, resumes, unackedBytes, streams } = proxy.stats;
  const sum = (key) => amount(streams.reduce((total, stream) => total + stream[key], 0));
  byId('rtt').textContent = rttMs > 0 ? duration(rttMs) : '–';
  byId('link').textContent = KINDS[link] ?? '–';
  byId('switches').textContent = switches;
  byId('resumes').textContent = resumes;
  byId('in').textContent = amount(bytesIn);
  byId('out').textContent = amount(bytesOut);
  byId('unacked').textContent = amount(unackedBytes);
  byId('sid').textContent = proxy.id || 'not begun';
  byId('streams').textContent = streams.length;
  byId('window').textContent = sum('receiveWindow');
  byId('credit').textContent = sum('sendWindow');
}

const SNIPPET = `<script src="${location.origin}/sockproxy.js"></script>
<script type="module">
  const socket = sockproxy.open('echo')      // or new TCPSocket('host', 7)
  const { readable, writable } = await socket.opened
  const writer = writable.getWriter()
  await writer.write(new TextEncoder().encode('hello\\n'))
  readable.pipeThrough(new TextDecoderStream())
    .pipeTo(new WritableStream({ write: (text) => console.log(text) }))
  sockproxy.addEventListener('state', (e) => console.log(e.detail))
</script>`;

byId('snippet').textContent = SNIPPET;
byId('copy').addEventListener('click', async () => {
  await navigator.clipboard.writeText(SNIPPET);
  byId('copy').textContent = 'Copied';
  setTimeout(() => { byId('copy').textContent = 'Copy'; }, 1500);
});

watchLink(proxy, note);
look();
setInterval(showStats, STATS_MS);
showStats();
