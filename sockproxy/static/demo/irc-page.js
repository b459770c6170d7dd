// How does the IRC page look and feel? It draws a Chat and carries its lines over a socket.

import { Chat } from './chat.js';
import { LineReader, fold } from './irc.js';
import { watchLink } from './link.js';
import { atEnd, byId, clock, el, toEnd } from './ui.js';

const proxy = window.sockproxy;
const BACKEND = 'irc';
const REMEMBERED = 'sockproxy.nick';
const URL_WORD = /(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]'])/;

/** @type {Chat | undefined} */
let chat;
let drawn = { room: undefined, last: undefined };

async function enter(nick, channel) {
  const socket = proxy.open(BACKEND);
  socket.closed.catch(() => {});
  const { readable, writable } = await socket.opened;
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  chat = new Chat({
    nick,
    channel,
    send: (line) => writer.write(encoder.encode(line)).catch(() => {}),
    onChange: draw,
  });
  byId('welcome').hidden = true;
  byId('client').hidden = false;
  chat.start();
  byId('words').focus();
  read(readable);
}

async function read(readable) {
  const lines = new LineReader();
  const reader = readable.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      for (const line of lines.feed(value)) chat.receive(line);
    }
    chat.event('The chat server has closed the connection. Reload to come back.');
  } catch (error) {
    chat.event(`The connection to the chat server ended: ${error.message}. Reload to come back.`);
  }
  for (const control of byId('say').elements) control.disabled = true;
}

// -- drawing --------------------------------------------------------------------------

function draw() {
  drawRooms();
  drawHead();
  drawLines();
  drawPeople();
  const unread = [...chat.rooms.values()].filter((room) => room.mentioned).length;
  document.title = `${unread ? `(${unread}) ` : ''}${chat.current.title} – sockproxy`;
}

function drawRooms() {
  const item = (room) => el('div', {
    class: `room-item${room.mentioned ? ' mentioned' : room.unread ? ' unread' : ''}`,
    'aria-current': String(room === chat.current),
  },
  el('button', { type: 'button', class: 'open', onclick: () => chat.open(room.name) },
    room.title, ...(room.unread ? [el('b', {}, String(room.unread))] : [])),
  ...(room.isServer ? [] : [el('button', { type: 'button', class: 'leave', 'aria-label': `Leave ${room.name}`, onclick: () => chat.close(room.name) }, '×')]));
  byId('rooms').replaceChildren(...[...chat.rooms.values()].map(item));
}

function drawHead() {
  const { title, topic, isChannel, isServer, people } = chat.current;
  byId('room-name').textContent = title;
  byId('room-topic').replaceChildren(...linked(topic || (isChannel ? 'No topic: set one with /topic' : '')));
  byId('own-nick').replaceChildren(nickNode(chat.nick));
  byId('words').placeholder = isServer ? '/join #channel' : `Message ${title}`;
  byId('people-toggle').textContent = `${people.size} ${people.size === 1 ? 'person' : 'people'}`;
  byId('people-toggle').hidden = !isChannel;
  byId('people').hidden = !isChannel;
}

function drawLines() {
  const box = byId('lines');
  const room = chat.current;
  const fresh = drawn.room !== room;
  const follow = fresh || atEnd(box) || room.lines.at(-1)?.own;
  const start = fresh ? 0 : room.lines.indexOf(drawn.last) + 1;
  if (fresh) box.replaceChildren();
  for (let at = start; at < room.lines.length; at += 1) box.append(drawLine(room.lines[at], room.lines[at - 1]));
  while (box.children.length > room.lines.length) box.firstChild.remove();
  drawn = { room, last: room.lines.at(-1) };
  if (follow) toEnd(box);
}

/** A line whose speaker also said the one before goes without name. */
function drawLine(line, before) {
  const again = line.kind === 'text' && before?.kind === 'text' && before.nick === line.nick;
  const classes = `line ${line.kind}${again ? ' again' : ''}${line.mention ? ' mention' : ''}${line.own ? ' own' : ''}`;
  const who = line.nick && !again ? [nickNode(line.nick)] : [];
  return el('li', { class: classes },
    el('time', { dateTime: line.at.toISOString() }, clock(line.at)),
    el('div', {}, ...who, ' ', el('span', {}, ...linked(line.text))));
}

function drawPeople() {
  const person = (nick) => el('li', {}, el('button', {
    type: 'button', disabled: fold(nick) === fold(chat.nick), onclick: () => chat.open(nick),
  }, avatar(nick), el('span', {}, nick)));
  const { nicks } = chat.current;
  byId('people').replaceChildren(el('h2', {}, `Here now · ${nicks.length}`), el('ul', {}, ...nicks.map(person)));
}

function coloured(node, nick) {
  let hash = 7;
  for (const letter of fold(nick)) hash = (hash * 31 + letter.codePointAt(0)) % 360;
  node.style.setProperty('--hue', String((hash * 47) % 360));
  return node;
}

const nickNode = (nick) => coloured(el('b', { class: 'nick' }, nick), nick);
const avatar = (nick) => coloured(el('i', { class: 'avatar' }, nick.slice(0, 1).toUpperCase()), nick);

function linked(text) {
  return text.split(URL_WORD).filter(Boolean).map((part) =>
    URL_WORD.test(part) ? el('a', { href: part, target: '_blank', rel: 'noopener noreferrer' }, part) : part);
}

// -- the user -------------------------------------------------------------------------

byId('enter').addEventListener('submit', async (event) => {
  event.preventDefault();
  const nick = byId('nick').value.trim();
  localStorage.setItem(REMEMBERED, nick);
  const error = byId('enter-error');
  const button = event.target.querySelector('button');
  error.hidden = button.disabled = true;
  try {
    await enter(nick, byId('channel').value.trim());
  } catch (reason) {
    error.textContent = `Could not reach the chat server: ${reason.message}`;
    error.hidden = button.disabled = false;
  }
});

byId('say').addEventListener('submit', (event) => {
  event.preventDefault();
  chat.say(byId('words').value);
  byId('words').value = '';
});

byId('people-toggle').addEventListener('click', () => {
  const shown = byId('client').classList.toggle('with-people');
  byId('people-toggle').setAttribute('aria-expanded', String(shown));
  toEnd(byId('lines'));
});

byId('nick').value = localStorage.getItem(REMEMBERED) ?? `guest${Math.floor(Math.random() * 900 + 100)}`;
watchLink(proxy, (tone, text) => tone !== 'good' || chat ? chat?.event(text) : undefined);
