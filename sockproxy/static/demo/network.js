// Which links may the page use, and what goes wrong on the way to its server?
//
// The demo has a fault proxy in front of itself. Only a page that was loaded through it has its
// sockets behind it: the client learns from its own address where its server is.

import { byId, el } from './ui.js';

export const KINDS = { websocket: 'WebSocket', stream: 'Stream', poll: 'Poll' };

const BLOCKED = 'strip header=Upgrade link=ws';
const FAULTS = {
  'Nothing': '',
  'WebSockets are blocked': BLOCKED,
  'A WebSocket opens, then silence': 'stall link=ws',
  'No WebSockets, answers held to their end': `${BLOCKED}; buffer until=end where=/down`,
  'No WebSockets, answers held until 1 MiB': `${BLOCKED}; buffer until=1MiB where=/down`,
  'No WebSockets, answers a piece behind': `${BLOCKED}; buffer until=next where=/down`,
  'A way of 300 ms, each way': 'delay for=300ms',
  'A way of 64 KiB/s': 'throttle rate=64KiB',
  'Connections are reset every 100 KiB': 'reset after=100KiB',
  'No WebSockets, one request in ten lost': `${BLOCKED}; drop link=http chance=0.1`,
  'No WebSockets, one answer in ten lost': `${BLOCKED}; drop what=response link=http chance=0.1`,
  'No WebSockets, posts said again later': `${BLOCKED}; replay where=/up chance=0.5`,
  'No WebSockets, now and then a login page': `${BLOCKED}; login link=http chance=0.3`,
  'No WebSockets, a gateway busy now and then': `${BLOCKED}; answer status=503 link=http chance=0.3`,
};

/** Keep the controls of the network panel working; `hasFaults` where there is a fault proxy. */
export async function driveNetwork(proxy, hasFaults, note) {
  const choices = { Auto: Object.keys(KINDS), WebSocket: ['websocket'], HTTP: ['stream', 'poll'], Poll: ['poll'] };
  const buttons = Object.entries(choices).map(([label, kinds]) =>
    el('button', { type: 'button', 'aria-pressed': String(label === 'Auto'), onclick: ({ target }) => {
      for (const button of buttons) button.setAttribute('aria-pressed', String(button === target));
      note('', `Links allowed: ${kinds.map((kind) => KINDS[kind]).join(', ')}`);
      proxy.useLinks(kinds);
    } }, label));
  byId('links').replaceChildren(...buttons);
  if (!hasFaults) return;
  const { url, rules } = await (await fetch('/playground/faults')).json();
  if (location.origin === url) return driveFaults(rules.replaceAll('\n', '; '), note);
  byId('to-faults').hidden = false;
  byId('to-faults').querySelector('a').href = url;
}

/** Show the rules that hold now, for all pages of this demo, and take others. */
function driveFaults(rules, note) {
  byId('faults').hidden = false;
  const options = Object.entries(FAULTS).map(([label, rule]) => el('option', { value: rule }, label));
  if (!Object.values(FAULTS).includes(rules)) options.push(el('option', { value: rules }, 'Something else'));
  byId('fault').replaceChildren(...options);
  byId('fault').value = byId('rule').value = rules;
  byId('fault').addEventListener('change', ({ target }) => {
    byId('rule').value = target.value;
    apply(target.value, note);
  });
  byId('faults').addEventListener('submit', (event) => {
    event.preventDefault();
    apply(byId('rule').value.trim(), note);
  });
}

async function apply(rule, note) {
  const body = rule.split(';').map((line) => line.trim()).join('\n');
  const answer = await fetch('/playground/faults', { method: 'POST', body });
  const text = (await answer.text()).trim();
  byId('rule-error').textContent = text;
  byId('rule-error').hidden = answer.ok;
  const change = rule ? `Fault from now on: ${rule}` : 'No fault from now on';
  if (answer.ok) note('warn', `${change}; what was open is cut`);
}
