// Which links may the page use, and what goes wrong on the way to its server?
//
// The demo has a fault proxy in front of itself. Only a page that was loaded through it has its
// sockets behind it: the client learns from its own address where its server is.

import { byId, el } from './ui.js';

export const KINDS = { websocket: 'WebSocket', stream: 'Stream', poll: 'Poll' };

const FAULTS = {
  'Nothing': '',
  'WebSockets are blocked': 'strip header=Upgrade link=ws',
  'A WebSocket opens, then silence': 'stall link=ws',
  'Answers are held back to their end': 'buffer until=end where=/down',
  'Answers are held back until 1 MiB': 'buffer until=1MiB where=/down',
  'Answers lag one piece behind': 'buffer until=next where=/down',
  'A way of 300 ms, each way': 'delay for=300ms',
  'A way of 64 KiB/s': 'throttle rate=64KiB',
  'Connections are reset every 100 KiB': 'reset after=100KiB',
  'Requests are lost, one in ten': 'drop link=http chance=0.1',
  'Answers are lost, one in ten': 'drop what=response link=http chance=0.1',
  'Posts are said again later': 'replay where=/up chance=0.5',
  'A login page in place of answers': 'login link=http chance=0.3',
  'A gateway is busy: 503': 'answer status=503 link=http chance=0.3',
};

/** Keep the controls of the network panel working; `hasFaults` where there is a fault proxy. */
export async function driveNetwork(proxy, hasFaults, note) {
  const choices = { Auto: Object.keys(KINDS) };
  for (const [kind, label] of Object.entries(KINDS)) choices[label] = [kind];
  const buttons = Object.entries(choices).map(([label, kinds]) =>
    el('button', { type: 'button', 'aria-pressed': String(label === 'Auto'), onclick: ({ target }) => {
      for (const button of buttons) button.setAttribute('aria-pressed', String(button === target));
      note('', `Links allowed: ${kinds.map((kind) => KINDS[kind]).join(', ')}`);
      proxy.useLinks(kinds);
    } }, label));
  byId('links').replaceChildren(...buttons);
  if (!hasFaults) return;
  const { url } = await (await fetch('/playground/faults')).json();
  if (location.origin === url) return driveFaults(note);
  byId('to-faults').hidden = false;
  byId('to-faults').querySelector('a').href = url;
}

function driveFaults(note) {
  byId('faults').hidden = false;
  byId('fault').replaceChildren(...Object.entries(FAULTS).map(([label, rule]) => el('option', { value: rule }, label)));
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
  const answer = await fetch('/playground/faults', { method: 'POST', body: rule });
  const text = (await answer.text()).trim();
  byId('rule-error').textContent = text;
  byId('rule-error').hidden = answer.ok;
  if (answer.ok) note('warn', rule ? `Fault from now on: ${text}` : 'No fault from now on');
}
