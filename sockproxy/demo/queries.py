"""What does the embedded IRC server answer to the questions that change nothing?

Ordinary clients ask most of these on their own (MODE, WHO, USERHOST, ISON after a join):
each gets its complete, boring answer, so that no client window fills with errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import gmtime, strftime

from twisted.words.protocols import irc

from sockproxy import __version__
from sockproxy.demo.connection import SERVER_HOST, USER_HOST, IrcConnection
from sockproxy.demo.network import LOBBY, Channel, Member

NAMES_CHARS = 300
USERHOSTS = 5
ISONS = 20
MOTD = (
    "An IRC server inside the sockproxy demo. It forgets everything when it stops.",
    f"Join {LOBBY} and open a second tab to have somebody to talk to.",
)


def motd(client: IrcConnection, params: list[str]) -> None:
    """MOTD: the message of the day."""
    client.reply(irc.RPL_MOTDSTART, f"- {SERVER_HOST} Message of the day -")
    for line in MOTD:
        client.reply(irc.RPL_MOTD, f"- {line}")
    client.reply(irc.RPL_ENDOFMOTD, "End of /MOTD command.")


def lusers(client: IrcConnection, params: list[str]) -> None:
    """LUSERS: how many are here."""
    users = sum(1 for _ in client.network.members())
    client.reply(irc.RPL_LUSERCLIENT, f"There are {users} users and 0 invisible on 1 servers")


def version(client: IrcConnection, params: list[str]) -> None:
    """VERSION."""
    client.reply(irc.RPL_VERSION, f"sockproxy-{__version__}", SERVER_HOST, "the demo")


def time(client: IrcConnection, params: list[str]) -> None:
    """TIME: the clock of the server."""
    client.reply(irc.RPL_TIME, SERVER_HOST, utc(client.clock.seconds()))


def ping(client: IrcConnection, params: list[str]) -> None:
    """PING."""
    client.tell(f":{SERVER_HOST} PONG {SERVER_HOST} :{params[0]}")


def names(client: IrcConnection, params: list[str]) -> None:
    """NAMES: the nicks in the channels asked for."""
    for name in params[0].split(",") if params else [LOBBY]:
        channel = client.network.channel(name)
        for words in _packed(m.name for m in channel.members) if channel else ():
            client.reply(irc.RPL_NAMREPLY, "=", name, words)
        client.reply(irc.RPL_ENDOFNAMES, name, "End of /NAMES list.")


def who(client: IrcConnection, params: list[str]) -> None:
    """WHO: one line for each member of a channel, or for one nick."""
    mask = params[0] if params else "*"
    channel = client.network.channel(mask)
    member = client.network.member(mask)
    found = list(channel.members) if channel else [member] if member else []
    for one in found:
        flag = "G" if one.away else "H"
        client.reply(
            irc.RPL_WHOREPLY,
            *(channel.name if channel else "*", one.username, USER_HOST, SERVER_HOST),
            *(one.name, flag, f"0 {one.real_name}"),
        )
    client.reply(irc.RPL_ENDOFWHO, mask, "End of /WHO list.")


def whois(client: IrcConnection, params: list[str]) -> None:
    """WHOIS: all there is to know about a nick."""
    nick = params[-1].split(",")[0]
    member = client.network.member(nick)
    if member is None:
        client.reply(irc.ERR_NOSUCHNICK, nick, "No such nick")
    else:
        _describe(client, member)
    client.reply(irc.RPL_ENDOFWHOIS, nick, "End of /WHOIS list.")


def _describe(client: IrcConnection, member: Member) -> None:
    nick = member.name
    idle_s = int(client.clock.seconds() - member.spoke_s)
    client.reply(irc.RPL_WHOISUSER, nick, member.username, USER_HOST, "*", member.real_name)
    for words in _packed(c.name for c in client.network.channels_of(member)):
        client.reply(irc.RPL_WHOISCHANNELS, nick, words)
    client.reply(irc.RPL_WHOISSERVER, nick, SERVER_HOST, "the sockproxy demo")
    if member.away:
        client.reply(irc.RPL_AWAY, nick, member.away)
    signed_on = str(int(member.signed_on_s))
    client.reply(irc.RPL_WHOISIDLE, nick, str(idle_s), signed_on, "seconds idle, signon time")


def whowas(client: IrcConnection, params: list[str]) -> None:
    """WHOWAS: nobody is remembered."""
    client.reply(irc.ERR_WASNOSUCHNICK, params[0], "There was no such nickname")
    client.reply(irc.RPL_ENDOFWHOWAS, params[0], "End of WHOWAS")


def mode(client: IrcConnection, params: list[str]) -> None:
    """MODE: nobody has power here, so modes are told and never changed."""
    target, *modes = params
    channel = client.network.channel(target)
    if channel is not None:
        _channel_mode(client, channel, modes)
    elif target.startswith("#"):
        client.reply(irc.ERR_NOSUCHCHANNEL, target, "No such channel")
    elif client.network.member(target) is not client:
        client.reply(irc.ERR_USERSDONTMATCH, "Modes of others are none of your business")
    elif not modes:
        client.reply(irc.RPL_UMODEIS, "+")


def _channel_mode(client: IrcConnection, channel: Channel, modes: list[str]) -> None:
    if not modes:
        client.reply(irc.RPL_CHANNELMODEIS, channel.name, "+nt")
        client.reply("329", channel.name, str(int(client.network.started_s)))
    elif modes[0].strip("+") == "b":
        client.reply(irc.RPL_ENDOFBANLIST, channel.name, "End of channel ban list")
    else:
        client.reply(irc.ERR_CHANOPRIVSNEEDED, channel.name, "There are no operators here")


def userhost(client: IrcConnection, params: list[str]) -> None:
    """USERHOST: where some nicks are."""
    found = filter(None, map(client.network.member, params[:USERHOSTS]))
    answers = (f"{m.name}={'-' if m.away else '+'}{m.username}@{USER_HOST}" for m in found)
    client.reply(irc.RPL_USERHOST, " ".join(answers))


def ison(client: IrcConnection, params: list[str]) -> None:
    """ISON: which of these nicks are here."""
    asked = " ".join(params).split()[:ISONS]
    found = filter(None, map(client.network.member, asked))
    client.reply(irc.RPL_ISON, " ".join(m.name for m in found))


def list_channels(client: IrcConnection, params: list[str]) -> None:
    """LIST: all channels with their size and topic."""
    client.reply(irc.RPL_LISTSTART, "Channel", "Users  Name")
    for channel in client.network.channels():
        topic = channel.topic.text if channel.topic else ""
        client.reply(irc.RPL_LIST, channel.name, str(len(channel.members)), topic)
    client.reply(irc.RPL_LISTEND, "End of /LIST")


def show_topic(client: IrcConnection, channel: Channel) -> None:
    """Tell the topic of a channel, who set it and when."""
    topic = channel.topic
    if topic is None:
        client.reply(irc.RPL_NOTOPIC, channel.name, "No topic is set")
        return
    client.reply(irc.RPL_TOPIC, channel.name, topic.text)
    client.reply("333", channel.name, topic.author, str(int(topic.set_at_s)))


def utc(at_s: float) -> str:
    """Return a time as people read it."""
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(at_s))


def _packed(words: Iterable[str]) -> Iterator[str]:
    """Join words into lines that are never cut."""
    line = ""
    for word in words:
        if line and len(line) + len(word) >= NAMES_CHARS:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    if line:
        yield line
