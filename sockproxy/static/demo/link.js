// How does a page show that its connection broke, and that nothing was lost?
//
// Both demo pages carry the same pill, cut button and notice; this file drives them from
// the public `sockproxy` object alone. `onChange` hears each change as a sentence.

import { KINDS } from './network.js';
import { byId, duration } from './ui.js';

const LABELS = {
  idle: 'Ready',
  connecting: 'Connecting',
  up: 'Connected',
  reconnecting: 'Reconnecting',
  lost: 'Session lost',
  closed: 'Closed',
};
const DEFAULT_CAUSE = 'The connection was lost';
const DEFAULT_END = 'The server does not know it any more';
const TICK_MS = 100;
const NOTICE_MS = 8000;

/** Keep #link-pill, #link-notice and #cut true to the state of `proxy`. */
export function watchLink(proxy, onChange) {
  const view = new LinkView(proxy, onChange);
  proxy.addEventListener('state', (event) => view.show(event.detail));
  view.show({ state: proxy.state });
}

class LinkView {
  #proxy;
  #onChange;
  #pill = byId('link-pill');
  #notice = byId('link-notice');
  #cut = byId('cut');
  #outage;
  #ticking;
  #hiding;

  constructor(proxy, onChange) {
    this.#proxy = proxy;
    this.#onChange = onChange;
    // The user goes on typing where they were: that is the point of cutting.
    this.#cut.addEventListener('pointerdown', (event) => event.preventDefault());
    this.#cut.addEventListener('click', () => cutCable(proxy, this.#cut, onChange));
  }

  show({ state, cause, link }) {
    this.#pill.dataset.state = state;
    this.#pill.querySelector('span').textContent = LABELS[state] ?? state;
    this.#cut.disabled = state !== 'up';
    if (state === 'reconnecting') this.#broken(sentence(cause || DEFAULT_CAUSE));
    else if (state === 'up') this.#mended(KINDS[link], cause);
    else if (state === 'lost') this.#gone(sentence(cause || DEFAULT_END));
  }

  #broken(cause) {
    if (!this.#outage) {
      this.#onChange('warn', `Link lost: ${cause}`);
      this.#outage = { at: performance.now(), waiting: 0 };
      this.#ticking = setInterval(() => this.#count(), TICK_MS);
    }
    this.#outage.cause = cause;
    this.#count();
  }

  #count() {
    const { at, cause, waiting } = this.#outage;
    const since = duration(performance.now() - at);
    this.#outage.waiting = Math.max(waiting, waitingBytes(this.#proxy.stats));
    this.#pill.querySelector('small').textContent = since;
    this.#tell('warn', 'The connection is gone.', `${cause}. Trying since ${since}; every byte is kept.`);
  }

  #mended(link, cause) {
    if (!this.#outage) {
      this.#notice.hidden = true;
      this.#onChange('good', cause ? sentence(cause) : `Connected by ${link}`);
      this.#pill.querySelector('small').textContent = link;
      return;
    }
    const { at, waiting } = this.#outage;
    const title = `Back after ${duration(performance.now() - at)}, nothing lost`;
    const replayed = waiting ? `${waiting.toLocaleString('en')} bytes replayed` : 'no byte was waiting';
    this.#settle();
    this.#pill.querySelector('small').textContent = link;
    this.#tell('good', `${title}.`, `${sentence(replayed)}; every socket is still open.`);
    this.#hiding = setTimeout(() => { this.#notice.hidden = true; }, NOTICE_MS);
    this.#onChange('good', `${title}: ${replayed}`);
  }

  #gone(cause) {
    this.#settle();
    this.#tell('bad', 'The session is over.', `${cause}. The next socket begins a new one.`);
    this.#onChange('bad', `Session over: ${cause}`);
  }

  #tell(tone, title, text) {
    clearTimeout(this.#hiding);
    this.#notice.dataset.tone = tone;
    this.#notice.querySelector('strong').textContent = title;
    this.#notice.querySelector('span').textContent = text;
    this.#notice.hidden = false;
  }

  #settle() {
    clearInterval(this.#ticking);
    this.#outage = undefined;
    this.#pill.querySelector('small').textContent = '';
  }
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1).replace(/\.$/, '');

/** How many bytes are unacked, or not even sent. */
const waitingBytes = ({ unackedBytes, streams }) =>
  streams.reduce((total, { queuedBytes }) => total + queuedBytes, unackedBytes);

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
