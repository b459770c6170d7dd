"""What may an IRC client do on the embedded server?

One table says which verb does what, with how many parameters, and whether it may come
before registration. Guarantees: whatever a client sends, no exception leaves
`dataReceived`, and what it can make the server remember is bounded by `network`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.words.protocols import irc

from sockproxy import __version__
from sockproxy.demo import network as net
from sockproxy.demo import queries
from sockproxy.demo.connection import SERVER_HOST, IrcConnection
from sockproxy.demo.lines import Message

TARGETS = 4
USERNAME_CHARS = 10
REAL_NAME_CHARS = 50
SUPPORTED = (
    "CASEMAPPING=ascii",
    "CHANTYPES=#",
    "CHANMODES=b,,,nt",
    "PREFIX=(ov)@+",
    "NETWORK=sockproxy-demo",
    f"NICKLEN={net.NICK_CHARS}",
    f"CHANNELLEN={net.CHANNEL_CHARS}",
    f"TOPICLEN={net.TOPIC_CHARS}",
    f"CHANLIMIT=#:{net.CHANNELS_PER_MEMBER}",
    f"TARGMAX=PRIVMSG:{TARGETS},NOTICE:{TARGETS}",
)


class IrcFactory(Factory):
    """One embedded IRC network; `clock` tells when things happened."""

    def __init__(self, clock: IReactorTime) -> None:
        self.network = net.Network(SERVER_HOST, clock.seconds())
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> IrcConnection | None:
        """Admit a client, or hang up at once when the house is full."""
        if self.network.connections >= net.CONNECTIONS:
            return None
        self.network.connections += 1
        return IrcConnection(self.network, self._clock, obey)


def obey(client: IrcConnection, message: Message) -> None:
    """Do what a message asks, or say why not."""
    command = COMMANDS.get(message.verb)
    if command is None:
        client.reply(irc.ERR_UNKNOWNCOMMAND, message.verb, "Unknown command")
    elif not client.registered and not command.early:
        client.reply(irc.ERR_NOTREGISTERED, "You have not registered: send NICK and USER first")
    elif len(message.params) < command.least:
        client.reply(irc.ERR_NEEDMOREPARAMS, message.verb, "Not enough parameters")
    else:
        command.act(client, message.params)


def cap(client: IrcConnection, params: list[str]) -> None:
    """CAP: there are no capabilities; registration waits until the client has understood."""
    verb = params[0].upper()
    if verb == "LS":
        client.negotiating = not client.registered
        client.reply("CAP", "LS", "")
    elif verb == "LIST":
        client.reply("CAP", "LIST", "")
    elif verb == "REQ":
        client.reply("CAP", "NAK", params[1] if params[1:] else "")
    elif verb == "END":
        client.negotiating = False
        _welcome_when_ready(client)
    else:
        client.reply("410", params[0], "Invalid CAP command")


def ignore(client: IrcConnection, params: list[str]) -> None:
    """PASS, PONG: what needs no answer."""


def nick(client: IrcConnection, params: list[str]) -> None:
    """NICK: take or change the name."""
    new = params[0] if params else ""
    if not new:
        client.reply(irc.ERR_NONICKNAMEGIVEN, "No nickname given")
    elif not net.nick_is_valid(new):
        client.reply(irc.ERR_ERRONEUSNICKNAME, new, "Erroneous nickname")
    elif not client.network.claim(client, new):
        client.reply(irc.ERR_NICKNAMEINUSE, new, "Nickname is already in use")
    elif new != client.name:
        line = f":{client.mask} NICK :{new}"
        client.name = new
        if client.registered:
            net.tell_all([client, *client.network.neighbours(client)], line)
        else:
            _welcome_when_ready(client)


def user(client: IrcConnection, params: list[str]) -> None:
    """USER: the user name and the real name."""
    if client.registered:
        client.reply(irc.ERR_ALREADYREGISTRED, "You may not register twice")
        return
    kept = "".join(c for c in params[0] if c.isascii() and (c.isalnum() or c in "-_."))
    client.username = kept[:USERNAME_CHARS] or "guest"
    client.real_name = params[-1][:REAL_NAME_CHARS]
    _welcome_when_ready(client)


def _welcome_when_ready(client: IrcConnection) -> None:
    if client.registered or client.negotiating or client.name == "*" or not client.username:
        return
    client.registered = True
    started = queries.utc(client.network.started_s)
    client.reply(irc.RPL_WELCOME, f"Welcome to the sockproxy demo, {client.mask}")
    client.reply(irc.RPL_YOURHOST, f"Your host is {SERVER_HOST}, running {__version__}")
    client.reply(irc.RPL_CREATED, f"This server was created {started}")
    client.sendMessage(irc.RPL_MYINFO, SERVER_HOST, __version__, "i", "nt")
    client.reply("005", *SUPPORTED, "are supported by this server")
    queries.lusers(client, [])
    queries.motd(client, [])


def join(client: IrcConnection, params: list[str]) -> None:
    """JOIN: enter each channel of a comma list; JOIN 0 leaves them all."""
    if params[0] == "0":
        for channel in client.network.channels_of(client):
            _leave(client, channel, "leaving")
        return
    for name in params[0].split(","):
        _enter(client, name)


def _enter(client: IrcConnection, name: str) -> None:
    mine = client.network.channels_of(client)
    if not net.channel_is_valid(name):
        client.reply(irc.ERR_NOSUCHCHANNEL, name, "No such channel")
    elif len(mine) >= net.CHANNELS_PER_MEMBER:
        client.reply(irc.ERR_TOOMANYCHANNELS, name, "You have joined too many channels")
    elif client.network.channel(name) not in mine:
        channel = client.network.enter(client, name)
        if channel is None:
            client.reply(irc.ERR_UNAVAILRESOURCE, name, "The server has too many channels")
            return
        channel.tell(f":{client.mask} JOIN {channel.name}")
        if channel.topic is not None:
            queries.show_topic(client, channel)
        queries.names(client, [channel.name])


def part(client: IrcConnection, params: list[str]) -> None:
    """PART: leave each channel of a comma list."""
    why = params[1] if params[1:] else "leaving"
    for name in params[0].split(","):
        channel = _own_channel(client, name)
        if channel is not None:
            _leave(client, channel, why)


def _leave(client: IrcConnection, channel: net.Channel, why: str) -> None:
    channel.tell(f":{client.mask} PART {channel.name} :{why}")
    client.network.leave(client, channel)


def _own_channel(client: IrcConnection, name: str) -> net.Channel | None:
    """Return a channel the client is in, or tell it why there is none."""
    channel = client.network.channel(name)
    if channel is None:
        client.reply(irc.ERR_NOSUCHCHANNEL, name, "No such channel")
    elif client not in channel.members:
        client.reply(irc.ERR_NOTONCHANNEL, name, "You're not on that channel")
    else:
        return channel
    return None


def topic(client: IrcConnection, params: list[str]) -> None:
    """TOPIC: ask for a topic, or set it for all."""
    channel = _own_channel(client, params[0])
    if channel is None:
        return
    if not params[1:]:
        queries.show_topic(client, channel)
        return
    text = params[1][: net.TOPIC_CHARS]
    now_s = client.clock.seconds()
    channel.topic = net.Topic(text, client.name, now_s) if text else None
    channel.tell(f":{client.mask} TOPIC {channel.name} :{text}")


def privmsg(client: IrcConnection, params: list[str]) -> None:
    """PRIVMSG: say something to channels and nicks."""
    client.spoke_s = client.clock.seconds()
    _say(client, "PRIVMSG", params)


def notice(client: IrcConnection, params: list[str]) -> None:
    """NOTICE: the same, and nobody may answer by itself."""
    _say(client, "NOTICE", params)


def _say(client: IrcConnection, verb: str, params: list[str]) -> None:
    names, text = params[0].split(","), params[1]
    if len(names) > TARGETS:
        client.reply(irc.ERR_TOOMANYTARGETS, params[0], f"At most {TARGETS} targets")
        return
    for name in names:
        _say_to(client, verb, name, text)


def _say_to(client: IrcConnection, verb: str, name: str, text: str) -> None:
    channel = client.network.channel(name)
    member = client.network.member(name)
    if channel is not None:
        if client in channel.members:
            channel.tell(f":{client.mask} {verb} {channel.name} :{text}", but=client)
        elif verb == "PRIVMSG":
            client.reply(irc.ERR_CANNOTSENDTOCHAN, name, "Join the channel first")
    elif member is not None:
        member.tell(f":{client.mask} {verb} {member.name} :{text}")
        if member.away and verb == "PRIVMSG":
            client.reply(irc.RPL_AWAY, member.name, member.away)
    elif verb == "PRIVMSG":
        client.reply(irc.ERR_NOSUCHNICK, name, "No such nick/channel")


def go_away(client: IrcConnection, params: list[str]) -> None:
    """AWAY: set or clear the away message."""
    client.away = params[0] if params else ""
    if client.away:
        client.reply(irc.RPL_NOWAWAY, "You have been marked as being away")
    else:
        client.reply(irc.RPL_UNAWAY, "You are no longer marked as being away")


def quit_(client: IrcConnection, params: list[str]) -> None:
    """QUIT: say good-bye and close."""
    why = params[0] if params else "leaving"
    client.tell(f"ERROR :Closing link: {why}")
    client.depart(f"Quit: {why}")
    client.hang_up()


@dataclass(frozen=True, slots=True)
class Command:
    """What a verb does, with at least how many parameters, and whether before 001 too."""

    act: Callable[[IrcConnection, list[str]], None]
    least: int = 0
    early: bool = False


COMMANDS = {
    "CAP": Command(cap, 1, early=True),
    "PASS": Command(ignore, early=True),
    "NICK": Command(nick, early=True),
    "USER": Command(user, 4, early=True),
    "PING": Command(queries.ping, 1, early=True),
    "PONG": Command(ignore, early=True),
    "QUIT": Command(quit_, early=True),
    "JOIN": Command(join, 1),
    "PART": Command(part, 1),
    "TOPIC": Command(topic, 1),
    "PRIVMSG": Command(privmsg, 2),
    "NOTICE": Command(notice, 2),
    "AWAY": Command(go_away),
    "NAMES": Command(queries.names),
    "WHO": Command(queries.who),
    "WHOIS": Command(queries.whois, 1),
    "WHOWAS": Command(queries.whowas, 1),
    "MODE": Command(queries.mode, 1),
    "USERHOST": Command(queries.userhost, 1),
    "ISON": Command(queries.ison, 1),
    "LIST": Command(queries.list_channels),
    "LUSERS": Command(queries.lusers),
    "MOTD": Command(queries.motd),
    "VERSION": Command(queries.version),
    "TIME": Command(queries.time),
}
