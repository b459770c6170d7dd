// What can be done with one open socket, and what went over it?
//
// A card owns its socket's reader and writer for its whole life, so half-close is closing
// the writer, and close is cancelling the one and aborting the other.

import { dump, fromHex, randomBytes, sha256 } from './bytes.js';
import { amount, atEnd, clock, duration, el, toEnd } from './ui.js';

const SHOWN_ENTRIES = 200;
const SHOWN_BYTES = 4096;
const VERIFY_BYTES = 1024 * 1024;
const CHUNK_BYTES = 16 * 1024;
const MODES = { 'Text + CRLF': '\r\n', 'Text + LF': '\n', 'Text': '', 'Hex': null };

export class SocketCard {
  live = true;
  #socket;
  #reader;
  #writer;
  #note;
  #title;
  #in = 0;
  #out = 0;
  #hex = false;
  #entries = [];
  #verifying;
  #parts = {};

  /** `note` writes the timeline; `select` and `remove` belong to the tab strip. */
  constructor({ socket, title, echoes, note, select, remove }) {
    this.#socket = socket;
    this.#title = title;
    this.#note = note;
    this.tab = this.#drawTab(title, select, remove);
    this.panel = this.#drawPanel(echoes);
    this.#run();
  }

  show(shown) {
    this.panel.hidden = !shown;
    this.tab.setAttribute('aria-selected', shown);
    if (!shown) return;
    this.tab.classList.remove('unread');
    toEnd(this.#parts.log);
    this.#parts.line.focus({ preventScroll: true });
  }

  // -- drawing ------------------------------------------------------------------------

  #drawTab(title, select, remove) {
    const shut = (event) => {
      event.stopPropagation();
      this.#close();
      remove();
    };
    return el('div', { class: 'tab', role: 'tab', tabIndex: 0, onclick: select,
      onkeydown: (event) => event.key === 'Enter' && select() },
      el('i', {}), el('span', {}, title),
      el('button', { type: 'button', 'aria-label': `Close and remove ${title}`, onclick: shut }, '×'));
  }

  #drawPanel(echoes) {
    const part = (name, node) => (this.#parts[name] = node);
    const button = (name, text, act) =>
      part(name, el('button', { type: 'button', class: 'quiet', disabled: true, onclick: act }, text));
    const view = (hex) => el('button', { type: 'button', 'aria-pressed': String(!hex), onclick: () => this.#view(hex) }, hex ? 'Hex' : 'Text');
    part('views', el('div', { class: 'segments', role: 'group', 'aria-label': 'View' }, view(false), view(true)));
    const head = el('div', { class: 'card-head' },
      part('status', el('span', { class: 'status', 'data-state': 'connecting' }, 'connecting')),
      part('peer', el('span', { class: 'peer mono' })),
      part('counts', el('span', { class: 'counts' })),
      this.#parts.views);
    const actions = el('div', { class: 'actions' },
      ...(echoes ? [button('verify', 'Send 1 MiB and verify', () => this.#verify())] : []),
      button('half', 'Half-close', () => this.#halfClose()),
      button('close', 'Close', () => this.#close()));
    return el('article', { class: 'card', role: 'tabpanel' }, head,
      part('log', el('div', { class: 'log mono', role: 'log', tabIndex: 0 })),
      part('check', el('div', { class: 'check', hidden: true })),
      this.#drawComposer(), actions);
  }

  #drawComposer() {
    const mode = el('select', { 'aria-label': 'What to send' }, ...Object.keys(MODES).map((name) => el('option', {}, name)));
    const line = el('input', { class: 'mono', 'aria-label': 'Data to send', placeholder: 'Type and press Enter', autocomplete: 'off', spellcheck: false, disabled: true });
    const send = el('button', { disabled: true }, 'Send');
    Object.assign(this.#parts, { mode, line, send });
    const submit = (event) => {
      event.preventDefault();
      this.#sendLine();
    };
    return el('form', { class: 'composer', onsubmit: submit }, line, mode, send);
  }

  #view(hex) {
    this.#hex = hex;
    this.#parts.log.classList.toggle('hex', hex);
    for (const button of this.#parts.views.children) {
      button.setAttribute('aria-pressed', String((button.textContent === 'Hex') === hex));
    }
    this.#parts.log.replaceChildren(...this.#entries.map((entry) => this.#drawEntry(entry)));
    toEnd(this.#parts.log);
  }

  #drawEntry({ tone, bytes, text, at }) {
    return el('div', { class: 'entry', 'data-tone': tone }, el('time', {}, clock(at)), el('pre', {}, text ?? this.#drawn(bytes)));
  }

  #drawn(bytes) {
    const shown = bytes.subarray(0, SHOWN_BYTES);
    const text = this.#hex ? dump(shown) : new TextDecoder().decode(shown).replace(/\r?\n$/, '');
    return bytes.length > SHOWN_BYTES ? `${text}\n… ${amount(bytes.length - SHOWN_BYTES)} more` : text;
  }

  #log(tone, what) {
    const entry = { tone, at: new Date(), ...what };
    const { log } = this.#parts;
    const follow = atEnd(log);
    this.#entries.push(entry);
    log.append(this.#drawEntry(entry));
    if (this.#entries.length > SHOWN_ENTRIES) {
      this.#entries.shift();
      log.firstChild.remove();
    }
    if (follow) toEnd(log);
    if (this.panel.hidden) this.tab.classList.add('unread');
  }

  #state(state, text = state) {
    this.#parts.status.dataset.state = this.tab.dataset.state = state;
    this.#parts.status.textContent = text;
  }

  #count() {
    this.#parts.counts.textContent = `↓ ${amount(this.#in)}   ↑ ${amount(this.#out)}`;
  }

  #enable(names, enabled) {
    for (const name of names) if (this.#parts[name]) this.#parts[name].disabled = !enabled;
  }

  // -- the socket ---------------------------------------------------------------------

  async #run() {
    this.#socket.closed.catch(() => {});
    try {
      const { readable, writable, remoteAddress, remotePort } = await this.#socket.opened;
      this.#reader = readable.getReader();
      this.#writer = writable.getWriter();
      if (!this.live) return this.#drop();
      this.#writer.closed.catch(() => this.#enable(['line', 'send', 'verify', 'half'], false));
      this.#parts.peer.textContent = remotePort ? `${remoteAddress}:${remotePort}` : remoteAddress;
      this.#state('open');
      this.#enable(['line', 'send', 'verify', 'half', 'close'], true);
      this.#note('good', `${this.#title}: open`);
      if (!this.panel.hidden) this.#parts.line.focus({ preventScroll: true });
      await this.#readAll();
      this.#ended('The other side has finished sending.');
      await this.#socket.closed;
      this.#finish('closed', 'closed');
    } catch (error) {
      this.#finish('failed', `${error.name}: ${error.message}`);
    }
  }

  async #readAll() {
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) return;
      this.#in += value.length;
      this.#count();
      if (this.#verifying) this.#verifying.take(value);
      else this.#log('in', { bytes: value });
    }
  }

  #ended(text) {
    if (!this.live) return;
    this.#log('note', { text });
    this.#state('half', 'peer finished');
  }

  #finish(state, text) {
    if (!this.live) return;
    this.live = false;
    this.#state(state, state);
    this.#enable(['line', 'send', 'verify', 'half', 'close'], false);
    this.#log(state === 'failed' ? 'bad' : 'note', { text });
    this.#note(state === 'failed' ? 'bad' : 'plain', `${this.#title}: ${text}`);
  }

  #write(bytes) {
    this.#out += bytes.length;
    this.#count();
    return this.#writer.write(bytes);
  }

  #sendLine() {
    const { line, mode } = this.#parts;
    const ending = MODES[mode.value];
    const bytes = ending === null ? fromHex(line.value) : new TextEncoder().encode(line.value + ending);
    line.setCustomValidity(bytes ? '' : 'Write pairs of hex digits, for example 48 69 0a');
    if (!line.reportValidity() || bytes.length === 0) return;
    line.value = '';
    this.#log('out', { bytes });
    this.#write(bytes).catch((error) => this.#log('bad', { text: error.message }));
  }

  #halfClose() {
    this.#enable(['line', 'send', 'verify', 'half'], false);
    this.#state('half', 'half-closed');
    this.#log('note', { text: 'You have finished sending; reading goes on.' });
    this.#writer.close().catch(() => {});
  }

  #close() {
    this.#finish('closed', 'closed by you');
    if (this.#reader) this.#drop();
  }

  #drop() {
    const reason = new DOMException('closed by you', 'AbortError');
    this.#reader.cancel(reason).catch(() => {});
    this.#writer.abort(reason).catch(() => {});
  }

  // -- send 1 MiB and compare ---------------------------------------------------------

  async #verify() {
    this.#enable(['verify', 'line', 'send', 'half'], false);
    const sent = randomBytes(VERIFY_BYTES);
    const started = performance.now();
    const check = this.#parts.check;
    const bar = el('progress', { max: VERIFY_BYTES, value: 0 });
    const label = el('span', {}, 'Sending 1 MiB of random bytes …');
    check.dataset.tone = 'plain';
    check.replaceChildren(label, bar);
    check.hidden = false;
    try {
      const [, received] = await Promise.all([this.#sendAll(sent), this.#collect(VERIFY_BYTES, bar)]);
      const took = duration(performance.now() - started);
      const hashes = await Promise.all([sha256(sent), sha256(received)]);
      this.#judge(check, hashes, took);
    } catch (error) {
      check.dataset.tone = 'bad';
      check.replaceChildren(el('strong', {}, 'Not finished: '), error.message);
    } finally {
      this.#verifying = undefined;
      this.#enable(['verify', 'line', 'send', 'half'], this.live);
    }
  }

  #judge(check, [sent, received], took) {
    const equal = sent === received;
    check.dataset.tone = equal ? 'good' : 'bad';
    check.replaceChildren(
      el('strong', {}, equal ? `1 MiB there and back in ${took}, every byte equal` : 'The bytes differ'),
      el('code', {}, `sent      ${sent}`), el('code', {}, `received  ${received}`));
    this.#note(equal ? 'good' : 'bad', `${this.#title}: 1 MiB ${equal ? 'verified' : 'differs'}, SHA-256 ${received.slice(0, 12)}…`);
  }

  async #sendAll(bytes) {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) await this.#write(bytes.subarray(at, at + CHUNK_BYTES));
  }

  #collect(length, bar) {
    const all = new Uint8Array(length);
    let at = 0;
    return new Promise((resolve, reject) => {
      this.#writer.closed.catch(reject);
      this.#reader.closed.then(() => reject(new Error('the socket was closed')), reject);
      this.#verifying = {
        take: (bytes) => {
          all.set(bytes.subarray(0, length - at), at);
          at = Math.min(length, at + bytes.length);
          bar.value = at;
          if (at === length) resolve(all);
        },
      };
    });
  }
}
