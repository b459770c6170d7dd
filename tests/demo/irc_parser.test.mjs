// Does the IRC page read what servers send, write what they accept, and keep its rooms right?

import assert from 'node:assert/strict';
import test from 'node:test';

import { Chat } from '../../sockproxy/static/demo/chat.js';
import { LineReader, action, ctcp, fold, format, parse, plain } from '../../sockproxy/static/demo/irc.js';

const bytes = (text) => new TextEncoder().encode(text);

test('lines do not depend on chunk edges', () => {
  const stream = bytes('PING :é\r\n\r\n:a 001 b :hï\nlast');
  for (let size = 1; size <= stream.length; size += 1) {
    const reader = new LineReader();
    const lines = [];
    for (let at = 0; at < stream.length; at += size) lines.push(...reader.feed(stream.subarray(at, at + size)));
    assert.deepEqual(lines, ['PING :é', ':a 001 b :hï']);
  }
});

test('a line that is no UTF-8 is read as Latin-1', () => {
  assert.deepEqual(new LineReader().feed(Uint8Array.of(0xe9, 0x0a)), ['é']);
});

test('a message is read into its parts', () => {
  assert.deepEqual(parse('@time=1\\s2;+x :ada!a@h privmsg  #a :hi : there'), {
    tags: { time: '1 2', '+x': '' }, source: 'ada!a@h', nick: 'ada', command: 'PRIVMSG', params: ['#a', 'hi : there'],
  });
  assert.deepEqual(parse('').params, []);
  assert.deepEqual(parse(':only').command, '');
  assert.deepEqual(parse('QUIT :').params, ['']);
});

test('a command is written so that no text can become a second command', () => {
  assert.equal(format('PRIVMSG', '#a', 'hi there'), 'PRIVMSG #a :hi there\r\n');
  assert.equal(format('PRIVMSG', '#a', ':)'), 'PRIVMSG #a ::)\r\n');
  assert.equal(format('PRIVMSG', '#a', 'x\r\nQUIT'), 'PRIVMSG #a :x QUIT\r\n');
  assert.equal(format('NICK', 'ada'), 'NICK ada\r\n');
});

test('actions, other CTCP and colours are told apart from words', () => {
  assert.equal(action('\x01ACTION waves\x01'), 'waves');
  assert.equal(action('waves'), null);
  assert.equal(ctcp('\x01VERSION\x01'), 'VERSION');
  assert.equal(ctcp('\x01ACTION waves\x01'), null);
  assert.equal(plain('\x02bold\x02 \x0304,12red\x03 \x1funder'), 'bold red under');
  assert.equal(fold('#ÀBC'), '#Àbc');
});

function chatting() {
  const sent = [];
  const chat = new Chat({ nick: 'ada', channel: '#sockproxy', send: (line) => sent.push(line.trim()), onChange() {} });
  chat.start();
  chat.receive(':s 001 ada :Welcome');
  chat.receive(':ada!a@h JOIN #sockproxy');
  chat.receive(':s 332 ada #sockproxy :tea');
  chat.receive(':s 353 ada = #sockproxy :ada @bob');
  chat.receive(':s 366 ada #sockproxy :End');
  sent.splice(0);
  return { chat, sent, says: () => chat.current.lines.map((line) => line.text) };
}

test('joining opens the room with its topic and people', () => {
  const { chat } = chatting();
  assert.equal(chat.current.name, '#sockproxy');
  assert.equal(chat.current.topic, 'tea');
  assert.deepEqual(chat.current.nicks, ['ada', 'bob']);
});

test('own words are echoed at once and sent once', () => {
  const { chat, sent, says } = chatting();
  chat.say('hello you');
  chat.say('/me waves');
  chat.say('//not a command');
  assert.deepEqual(sent, ['PRIVMSG #sockproxy :hello you', 'PRIVMSG #sockproxy :\x01ACTION waves\x01', 'PRIVMSG #sockproxy :/not a command']);
  assert.deepEqual(says().slice(-3), ['hello you', 'waves', '/not a command']);
});

test('a mention is marked, another room counts as unread', () => {
  const { chat } = chatting();
  chat.receive(':bob!b@h PRIVMSG #sockproxy :ADA: hi');
  assert.equal(chat.current.lines.at(-1).mention, true);
  chat.receive(':bob!b@h PRIVMSG #sockproxy :adamant');
  assert.equal(chat.current.lines.at(-1).mention, false);
  chat.receive(':bob!b@h PRIVMSG ada :psst');
  const room = chat.rooms.get('bob');
  assert.deepEqual([room.unread, room.mentioned], [1, true]);
  chat.open('bob');
  assert.equal(room.unread, 0);
});

test('changes of nick, leaving and quitting keep the list of people right', () => {
  const { chat } = chatting();
  chat.receive(':ada!a@h NICK lady');
  chat.receive(':bob!b@h NICK rob');
  chat.receive(':carl!c@h JOIN #sockproxy');
  chat.receive(':carl!c@h PART #sockproxy :bye');
  assert.deepEqual(chat.current.nicks, ['lady', 'rob']);
  chat.receive(':rob!b@h QUIT :gone');
  assert.deepEqual(chat.current.nicks, ['lady']);
  chat.receive(':lady!a@h PART #sockproxy');
  assert.equal(chat.current.title, 'Server');
});

test('commands of the user become commands of the protocol', () => {
  const { chat, sent } = chatting();
  for (const typed of ['/join tea', '/topic so many cups', '/nick lady', '/part bye all', '/msg bob hi you']) chat.say(typed);
  assert.deepEqual(sent, ['JOIN #tea', 'TOPIC #sockproxy :so many cups', 'NICK lady', 'PART #sockproxy :bye all', 'PRIVMSG bob :hi you']);
});

test('a taken nick is tried again with an underscore, then no more', () => {
  const sent = [];
  const chat = new Chat({ nick: 'ada', channel: '#a', send: (line) => sent.push(line.trim()), onChange() {} });
  for (let tries = 0; tries < 9; tries += 1) chat.receive(`:s 433 * ${chat.nick} :in use`);
  assert.equal(sent.at(-1), 'NICK ada_____');
  assert.equal(sent.length, 5);
});

test('a ping is answered and nonsense is survived', () => {
  const { chat, sent } = chatting();
  chat.receive('PING :x y');
  assert.deepEqual(sent, ['PONG :x y']);
  for (const line of [':', ' ', '353', 'JOIN', 'NICK', 'PRIVMSG', ':x 353 a', '__proto__ a', 'constructor', ':x TOPIC', '@ : :']) chat.receive(line);
});
