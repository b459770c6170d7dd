"""Who is on the embedded IRC network, under which nick, and in which channels?

Guarantees: a nick has one owner, an empty channel is gone (but the lobby), and both
tables are bounded whatever clients ask for. Knows no wire: members are told by `tell`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

LOBBY = "#sockproxy"
LOBBY_TOPIC = (
    "Welcome! You are here through a resumable WebSocket: cut the cable and nothing is lost."
)

CONNECTIONS = 256
CHANNELS = 256
CHANNELS_PER_MEMBER = 20
NICK_CHARS = 30
CHANNEL_CHARS = 50
TOPIC_CHARS = 300

_NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]*")
_CHANNEL = re.compile(r"#[^\s,:\x00-\x20\x7f]+")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Member(Protocol):
    """What the network, and members of each other, may see of a connection."""

    name: str
    username: str
    real_name: str
    away: str
    signed_on_s: float
    spoke_s: float

    @property
    def mask(self) -> str:
        """Return nick!user@host, the source of what this member says."""

    def tell(self, line: str) -> None:
        """Send one line, already formatted."""


@dataclass(slots=True)
class Topic:
    """What a channel is about, by whom and since when."""

    text: str
    author: str
    set_at_s: float


@dataclass(slots=True)
class Channel:
    """A room: members in the order they came."""

    name: str
    lasting: bool = False
    topic: Topic | None = None
    members: dict[Member, None] = field(default_factory=dict)

    def tell(self, line: str, *, but: Member | None = None) -> None:
        """Send a line to all members, except `but`."""
        tell_all((member for member in self.members if member is not but), line)


class Network:
    """Nicks and channels of one embedded server."""

    def __init__(self, host: str, now_s: float) -> None:
        self.host = host
        self.started_s = now_s
        self.connections = 0
        self._nicks: dict[str, Member] = {}
        lobby = Channel(LOBBY, lasting=True, topic=Topic(LOBBY_TOPIC, host, now_s))
        self._channels = {fold(LOBBY): lobby}

    def claim(self, member: Member, nick: str) -> bool:
        """Give `nick` to `member` in place of what it had; False if another owns it."""
        if self._nicks.get(fold(nick), member) is not member:
            return False
        self._nicks.pop(fold(member.name), None)
        self._nicks[fold(nick)] = member
        return True

    def member(self, nick: str) -> Member | None:
        """Return who answers to `nick`."""
        return self._nicks.get(fold(nick))

    def members(self) -> Iterator[Member]:
        """Return everyone with a nick."""
        return iter(self._nicks.values())

    def channel(self, name: str) -> Channel | None:
        """Return the channel if it exists."""
        return self._channels.get(fold(name))

    def channels(self) -> Iterator[Channel]:
        """Return all channels, the lobby first."""
        return iter(self._channels.values())

    def channels_of(self, member: Member) -> list[Channel]:
        """Return where `member` is."""
        return [channel for channel in self._channels.values() if member in channel.members]

    def neighbours(self, member: Member) -> dict[Member, None]:
        """Return everyone who shares a channel with `member`, each once, itself excluded."""
        seen: dict[Member, None] = {}
        for channel in self.channels_of(member):
            seen |= channel.members
        seen.pop(member, None)
        return seen

    def enter(self, member: Member, name: str) -> Channel | None:
        """Put `member` into a channel, made if need be; None when there is no room for more."""
        channel = self.channel(name)
        if channel is None:
            if len(self._channels) >= CHANNELS:
                return None
            channel = self._channels[fold(name)] = Channel(name)
        channel.members[member] = None
        return channel

    def leave(self, member: Member, channel: Channel) -> None:
        """Take `member` out; the last one closes the door."""
        channel.members.pop(member, None)
        if not channel.members and not channel.lasting:
            self._channels.pop(fold(channel.name), None)

    def forget(self, member: Member) -> None:
        """Remove every trace of `member`."""
        for channel in self.channels_of(member):
            self.leave(member, channel)
        if self.member(member.name) is member:
            del self._nicks[fold(member.name)]


def tell_all(members: Iterable[Member], line: str) -> None:
    """Send a line to each; telling may drop a member, so a copy is walked."""
    for member in list(members):
        member.tell(line)


def fold(name: str) -> str:
    """Return the form under which names are equal: CASEMAPPING=ascii."""
    return name.translate(_LOWER)


def nick_is_valid(nick: str) -> bool:
    """Return whether `nick` may be claimed."""
    return len(nick) <= NICK_CHARS and _NICK.fullmatch(nick) is not None


def channel_is_valid(name: str) -> bool:
    """Return whether `name` may be a channel."""
    return len(name) <= CHANNEL_CHARS and _CHANNEL.fullmatch(name) is not None
