// How does a page show that its connection broke, and that nothing was lost?
//
// Both demo pages carry the same pill, cut button and notice; this file drives them from
// the public `sockproxy` object alone. `onChange` hears each change as a sentence.

import { byId, duration } from './ui.js';

const LABELS = {
  connecting: 'Connecting',
  up: 'Connected',
  reconnecting: 'Reconnecting',
  lost: 'Session lost',
  closed: 'Closed',
};
const DEFAULT_CAUSE = 'The connection was lost';
const TICK_MS = 100;
const NOTICE_MS = 8000;

/** Keep #link-pill, #link-notice and #cut true to the state of `proxy`. */
export function watchLink(proxy, onChange) {
  const pill = byId('link-pill');
  const notice = byId('link-notice');
  const cut = byId('cut');
  let outage;
  let ticking;
  let hiding;

  const tell = (tone, title, text) => {
    notice.dataset.tone = tone;
    notice.querySelector('strong').textContent = title;
    notice.querySelector('span').textContent = text;
    notice.hidden = false;
  };
  const count = () => {
    outage.held = Math.max(outage.held, proxy.stats.unackedBytes);
    const since = duration(performance.now() - outage.at);
    pill.querySelector('small').textContent = since;
    tell('warn', 'The cable is cut.', `${outage.cause}. Trying again for ${since}; every byte is kept.`);
  };
  const broken = (cause) => {
    outage ??= { at: performance.now(), cause: sentence(cause || DEFAULT_CAUSE), held: proxy.stats.unackedBytes };
    clearTimeout(hiding);
    ticking ??= setInterval(count, TICK_MS);
    count();
    onChange('warn', `Link lost: ${outage.cause}`);
  };
  const mended = () => {
    if (!outage) return onChange('good', 'Connected');
    const away = duration(performance.now() - outage.at);
    const replayed = outage.held ? `${outage.held.toLocaleString('en')} bytes replayed` : 'no byte was on its way';
    tell('good', `Back after ${away}, nothing lost.`, `${sentence(replayed)}; every socket is still open.`);
    hiding = setTimeout(() => { notice.hidden = true; }, NOTICE_MS);
    onChange('good', `Back after ${away}, nothing lost: ${replayed}`);
    settle();
  };
  const gone = (cause) => {
    tell('bad', 'The session is over.', `${sentence(cause || 'the server does not know it any more')}. Reload to start a new one.`);
    onChange('bad', `Session over: ${cause || 'unknown to the server'}`);
    settle();
  };
  const settle = () => {
    clearInterval(ticking);
    ticking = outage = undefined;
    pill.querySelector('small').textContent = '';
  };
  const show = ({ state, cause }) => {
    pill.dataset.state = state;
    pill.querySelector('span').textContent = LABELS[state] ?? state;
    cut.disabled = state !== 'up';
    if (state === 'reconnecting') broken(cause);
    else if (state === 'up') mended();
    else if (state === 'lost') gone(cause);
  };

  proxy.addEventListener('state', (event) => show(event.detail));
  // The user goes on typing where they were: that is the point of cutting.
  cut.addEventListener('pointerdown', (event) => event.preventDefault());
  cut.addEventListener('click', () => cutCable(proxy, cut, onChange));
  show({ state: proxy.state });
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1).replace(/\.$/, '');

/** Ask the server to abort the TCP connection under this page and refuse it for 3 s. */
async function cutCable(proxy, button, onChange) {
  button.disabled = true;
  onChange('warn', 'You cut the cable: the server drops us and refuses us for 3 s');
  try {
    const answer = await fetch('/playground/cut', { method: 'POST', body: proxy.id });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  } catch (error) {
    onChange('bad', `Could not cut: ${error.message}`);
    button.disabled = proxy.state !== 'up';
  }
}
