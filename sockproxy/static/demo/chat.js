// What does a chat client know: which rooms, who is in them, what was said, what is unread?
//
// No page and no socket in here: messages of the server go into `receive`, words of the
// user into `say`; lines for the server leave through `send`, and `onChange` says that
// there is something new to draw. The user's own words are echoed at once, as IRC wants.

import { action, ctcp, fold, format, parse, plain } from './irc.js';

const KEPT_LINES = 500;
const SERVER = '*';
const NICK_TRIES = 5;

/**
 * @typedef {object} Line
 * @property {'text' | 'action' | 'notice' | 'event' | 'error'} kind
 * @property {string} nick
 * @property {string} text
 * @property {Date} at
 * @property {boolean} [own]
 * @property {boolean} [mention]
 */

/** One conversation: a channel, a person, or the server itself. */
class Room {
  people = new Map();
  topic = '';
  /** @type {Line[]} */
  lines = [];
  unread = 0;
  mentioned = false;

  constructor(name) {
    this.name = name;
    this.isChannel = name.startsWith('#');
    this.isServer = name === SERVER;
    this.title = this.isServer ? 'Server' : name;
  }

  /** Nicks in the order people read them. */
  get nicks() {
    return [...this.people.values()].sort((a, b) => a.localeCompare(b, 'en', { sensitivity: 'base' }));
  }
}

export class Chat {
  registered = false;
  rooms = new Map();
  /** @type {Room} */
  current;
  #send;
  #onChange;
  #now;
  #channel;
  #naming = new Set();
  #tries = 0;

  /** `send` takes a line for the server; `channel` is joined once the server lets us in. */
  constructor({ nick, channel, send, onChange, now = () => new Date() }) {
    this.nick = nick;
    this.#channel = channel;
    this.#send = (...words) => send(format(...words));
    this.#onChange = onChange;
    this.#now = now;
    this.current = this.#room(SERVER);
  }

  /** Introduce ourselves. */
  start() {
    this.#send('NICK', this.nick);
    this.#send('USER', this.nick.slice(0, 10), '0', '*', this.nick);
  }

  /** Take one line of the server. */
  receive(line) {
    const message = parse(line);
    const handler = HANDLERS[message.command];
    // A handler declares without default what it cannot do without; less is nonsense.
    if (handler && message.params.length >= handler.length - 1) handler.call(this, message, ...message.params);
    else if (/^[45]\d\d$/.test(message.command)) this.#add(this.current, 'error', '', message.params.slice(1).join(' '));
    this.#onChange();
  }

  /** Do what the user typed: a command, or words for the current room. */
  say(typed) {
    const [, name, rest] = /^\/(\w*) ?(.*)$/s.exec(typed) ?? [];
    if (name === undefined || typed.startsWith('//')) this.#speak(this.current, typed.replace(/^\/\//, '/'));
    else if (Object.hasOwn(COMMANDS, name.toLowerCase())) COMMANDS[name.toLowerCase()].call(this, rest.trim());
    else this.#add(this.current, 'error', '', `There is no /${name}. Try ${Object.keys(COMMANDS).map((c) => `/${c}`).join(' ')}`);
    this.#onChange();
  }

  /** Show a room and count it as read. */
  open(name) {
    this.current = this.#room(name);
    this.current.unread = 0;
    this.current.mentioned = false;
    this.#onChange();
  }

  /** Close a room: leave the channel, or forget the conversation. */
  close(name) {
    const room = this.rooms.get(fold(name));
    if (room?.isChannel && room.people.has(fold(this.nick))) this.#send('PART', room.name);
    else this.#forget(name);
    this.#onChange();
  }

  /** Tell the user about the connection, wherever they are. */
  event(text) {
    this.#add(this.current, 'event', '', text);
    this.#onChange();
  }

  #room(name) {
    const key = fold(name);
    if (!this.rooms.has(key)) this.rooms.set(key, new Room(name));
    return this.rooms.get(key);
  }

  #forget(name) {
    this.rooms.delete(fold(name));
    if (fold(this.current.name) === fold(name)) this.open([...this.rooms.values()].at(-1).name);
  }

  #isMe(nick) {
    return fold(nick) === fold(this.nick);
  }

  #add(room, kind, nick, text, more = {}) {
    room.lines.push({ kind, nick, text: plain(text), at: this.#now(), ...more });
    if (room.lines.length > KEPT_LINES) room.lines.shift();
    if (room !== this.current && kind !== 'event') {
      room.unread += 1;
      room.mentioned ||= Boolean(more.mention) || !(room.isChannel || room.isServer);
    }
  }

  #everywhere(nick, text) {
    for (const room of this.rooms.values()) if (room.people.has(fold(nick))) this.#add(room, 'event', nick, text);
  }

  #speak(room, text, kind = 'text') {
    if (!text.trim()) return;
    if (room.isServer) return this.#add(room, 'error', '', 'Nobody hears you here: join a channel first');
    this.#send('PRIVMSG', room.name, kind === 'action' ? `\x01ACTION ${text}\x01` : text);
    this.#add(room, kind, this.nick, text, { own: true });
  }

  #mentions(text) {
    const words = fold(text).split(/[^a-z0-9[\]\\`_^{|}-]+/);
    return words.includes(fold(this.nick));
  }

  static handlers = {
    '001'({ params }) {
      this.registered = true;
      this.nick = params[0];
      this.#send('JOIN', this.#channel);
    },
    PING(_, token) {
      this.#send('PONG', token);
    },
    '332'(_, __, channel, topic) {
      this.#room(channel).topic = plain(topic);
    },
    '331'(_, __, channel) {
      this.#room(channel).topic = '';
    },
    '353'(_, __, ___, channel, names) {
      const room = this.#room(channel);
      if (!this.#naming.has(room)) room.people.clear();
      this.#naming.add(room);
      for (const name of names.split(' ').filter(Boolean)) {
        const nick = name.replace(/^[~&@%+]+/, '');
        room.people.set(fold(nick), nick);
      }
    },
    '366'(_, __, channel) {
      this.#naming.delete(this.#room(channel));
    },
    '372'(_, __, text) {
      this.#add(this.#room(SERVER), 'event', '', text.replace(/^- /, ''));
    },
    '433'(_, __, taken) {
      this.#add(this.current, 'error', '', `The name ${taken} is taken`);
      if (this.registered || this.#tries >= NICK_TRIES) return;
      this.#tries += 1;
      this.nick = `${taken}_`;
      this.#send('NICK', this.nick);
    },
    JOIN({ nick }, channel) {
      const room = this.#room(channel);
      room.people.set(fold(nick), nick);
      if (this.#isMe(nick)) this.open(channel);
      this.#add(room, 'event', nick, 'joined');
    },
    PART({ nick }, channel, why = '') {
      const room = this.#room(channel);
      room.people.delete(fold(nick));
      if (this.#isMe(nick)) this.#forget(channel);
      else this.#add(room, 'event', nick, why ? `left: ${why}` : 'left');
    },
    QUIT({ nick }, why = '') {
      this.#everywhere(nick, why ? `is gone: ${why}` : 'is gone');
      for (const room of this.rooms.values()) room.people.delete(fold(nick));
    },
    NICK({ nick }, name) {
      if (this.#isMe(nick)) this.nick = name;
      this.#everywhere(nick, `is now ${name}`);
      for (const room of this.rooms.values()) if (room.people.delete(fold(nick))) room.people.set(fold(name), name);
    },
    TOPIC({ nick }, channel, topic = '') {
      const room = this.#room(channel);
      room.topic = plain(topic);
      this.#add(room, 'event', nick, topic ? `set the topic: ${topic}` : 'removed the topic');
    },
    PRIVMSG({ nick }, target, text = '') {
      const done = action(text);
      if (ctcp(text) !== null) return;
      const room = this.#room(this.#isMe(target) ? nick : target);
      const mention = this.#mentions(done ?? text);
      this.#add(room, done === null ? 'text' : 'action', nick, done ?? text, { mention });
    },
    NOTICE({ nick }, target, text = '') {
      const room = target.startsWith('#') ? this.#room(target) : this.current;
      this.#add(room, 'notice', nick, ctcp(text) ?? text);
    },
    ERROR(_, text = '') {
      this.#add(this.current, 'error', '', text);
    },
  };

  static commands = {
    join(rest) {
      const name = rest.split(' ')[0];
      if (name) this.#send('JOIN', /^#/.test(name) ? name : `#${name}`);
    },
    part(rest) {
      const [name] = rest.startsWith('#') ? rest.split(' ') : [this.current.name];
      if (name.startsWith('#')) this.#send('PART', name, rest.startsWith('#') ? rest.slice(name.length + 1) : rest);
      else this.close(name);
    },
    nick(rest) {
      if (rest) this.#send('NICK', rest.split(' ')[0]);
    },
    me(rest) {
      this.#speak(this.current, rest, 'action');
    },
    msg(rest) {
      const [name, ...words] = rest.split(' ');
      if (!name) return;
      this.open(name);
      this.#speak(this.current, words.join(' '));
    },
    topic(rest) {
      if (this.current.isChannel) this.#send('TOPIC', this.current.name, ...(rest ? [rest] : []));
    },
    quit(rest) {
      this.#send('QUIT', rest || 'leaving');
    },
  };
}

const HANDLERS = Chat.handlers;
const COMMANDS = Chat.commands;
