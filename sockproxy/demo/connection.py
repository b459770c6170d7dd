"""How is one IRC client held on its wire: lines in, lines out, gone once?

A twisted.words IRCUser for the wire format of replies. Its login, realm and handlers are
not used: as they stand they want a password, die on unknown commands and comma lists,
and know no change of nick. What a message does is decided by the `obey` it is given.
Guarantees: a client that does not read loses its connection once OUTBOX_BYTES wait for
it; it is taken off the network exactly once, and those who can see it are told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.words.service import IRCUser
from zope.interface import implementer

from sockproxy.demo.lines import LineCutter, Message, cut, parse
from sockproxy.demo.network import Network, tell_all

if TYPE_CHECKING:
    from twisted.internet.tcp import Connection

SERVER_HOST = "irc.sockproxy.demo"
USER_HOST = "sockproxy.demo"
OUTBOX_BYTES = 256 * 1024


@implementer(IPushProducer)
class IrcConnection(IRCUser):
    """One client: a `network.Member` with a wire."""

    transport: Connection
    name = "*"
    username = ""
    real_name = ""
    away = ""

    def __init__(
        self,
        network: Network,
        clock: IReactorTime,
        obey: Callable[[IrcConnection, Message], None],
    ) -> None:
        self.network = network
        self.signed_on_s = self.spoke_s = clock.seconds()
        self.registered = False
        self.negotiating = False
        self.clock = clock
        self._obey = obey
        self._cutter = LineCutter()
        self._leaving = False
        self._muted = False
        self._paused = False
        self._outbox_bytes = 0

    def connectionMade(self) -> None:
        self.hostname = SERVER_HOST
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        for line in self._cutter.feed(data):
            message = parse(line)
            if message is not None and not self._muted:
                self._obey(self, message)

    def sendLine(self, line: str) -> None:
        if self._muted:
            return
        data = cut(line) + b"\r\n"
        if self._paused:
            self._outbox_bytes += len(data)
            if self._outbox_bytes > OUTBOX_BYTES:
                # Others may be telling us right now, so they hear of it in connectionLost.
                self._muted = True
                self.transport.abortConnection()
                return
        self.transport.write(data)

    tell = sendLine

    def pauseProducing(self) -> None:
        """Stop listening to a client that does not read, so its own requests cannot pile up."""
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on: all that waited has left."""
        self._paused = False
        self._outbox_bytes = 0
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Nothing to do: connectionLost follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.depart("Send queue exceeded" if self._muted else "Connection closed")
        self.network.connections -= 1

    def depart(self, why: str) -> None:
        """Leave the network, once, and tell those who can see it."""
        if self._leaving:
            return
        self._leaving = self._muted = True
        if self.registered:
            tell_all(self.network.neighbours(self), f":{self.mask} QUIT :{why}")
        self.network.forget(self)

    @property
    def mask(self) -> str:
        """Return nick!user@host."""
        return f"{self.name}!{self.username}@{USER_HOST}"

    def reply(self, numeric: str, *params: str) -> None:
        """Send a numeric; the last parameter may hold spaces."""
        *words, text = params
        self.sendMessage(numeric, *words, f":{text}")

    def hang_up(self) -> None:
        """Close once everything is written."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()
