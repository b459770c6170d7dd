"""How does a test stand up the server without a network?

A hub over a reactor in memory: backends are `StringTransport`s that the test plays, links
are lists of what was said, pages are client cores.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.python.failure import Failure

from sockproxy import ini
from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.core.attach import ClientAttach
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.session import Role, Session, Windows
from sockproxy.hub import Hub, who
from sockproxy.live import LiveSession
from sockproxy.policy.access import Allow, Asker
from sockproxy.policy.descriptors import Descriptors
from sockproxy.policy.quota import UNCAPPED
from sockproxy.service import shared_by_all
from sockproxy.settings import Limits
from sockproxy.usage import Seat, Usage

ORIGIN = "https://app.example"
ASKER = Asker(origin=ORIGIN, principal=None, peer="192.0.2.1")

INI = f"""
[listen web]
endpoint = tcp:8080

[backend irc]
target = tcp:127.0.0.1:6667
origins = {ORIGIN}

[backend told]
target = tcp:127.0.0.1:6668
origins = {ORIGIN}
reveal_address = yes
"""


class BackendTransport(StringTransportWithDisconnection):
    """A backend's connection that remembers how it was ended."""

    protocol: Any
    producer: Any

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.half_closed = False
        self.closing = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def loseWriteConnection(self) -> None:
        self.half_closed = True
        self.protocol.writeConnectionLost()

    def loseConnection(self) -> None:
        if not self.closing:
            self.closing = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def pauseProducing(self) -> None:
        self.producerState = "paused"

    def resumeProducing(self) -> None:
        self.producerState = "producing"


def seat(allow: Allow, usage: Usage | None = None) -> Seat:
    """Return a place for what was allowed, where there is enough for everybody."""
    found = (usage or Usage(Clock(), Limits())).alone(who(ASKER)).seat(allow, UNCAPPED)
    assert isinstance(found, Seat)
    return found


class PlainLink:
    """A link that remembers what was said on it."""

    def __init__(self) -> None:
        self.writable = True
        self.sent: list[bytes] = []
        self.last_word: tuple[str, Code] | None = None

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def end(self, code: Code, text: str) -> None:
        self.last_word = ("end", code)

    def bye(self, code: Code, text: str) -> None:
        self.last_word = ("bye", code)

    def abort(self) -> None:
        self.last_word = ("abort", Code.CLEAN)

    def tick(self, now: float) -> None:
        pass

    def take(self) -> bytes:
        sent, self.sent = self.sent, []
        return b"".join(sent)


class Server:
    """A hub in memory."""

    def __init__(
        self,
        text: str = INI,
        resolver: IHostnameResolver | None = None,
        descriptors: Descriptors | None = None,
    ) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.settings = ini.loads(text).settings
        names = resolver or self.reactor.nameResolver
        self.descriptors = descriptors or Descriptors()
        self.shared = shared_by_all(self.settings, self.reactor, names, self.descriptors)
        self.policy = self.shared.policy
        self.hub = Hub(self.shared, random.Random(1).randbytes)
        self.backends: list[BackendTransport] = []

    def backend(self, number: int = -1) -> BackendTransport:
        """Let a pending connection to a backend succeed and return it."""
        factory = self.reactor.tcpClients[number][2]
        transport = BackendTransport()
        protocol = factory.buildProtocol(None)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        self.backends.append(transport)
        return transport


@dataclass
class Page:
    """A page: the client's core and the link it uses now."""

    server: Server
    asker: Asker = ASKER
    seed: int = 7
    ticket: str = ""
    happened: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = self.server.reactor.seconds
        self.core = Session(Role.CLIENT, Windows(), clock)
        self.attach = ClientAttach(self.core, random.Random(self.seed).randbytes)
        self.link = PlainLink()
        self.live: LiveSession | None = None
        self._inbound: Inbound | None = None
        self._outbound: Outbound | None = None

    def connect(self) -> LiveSession:
        """Attach by a new link, as a WebSocket link would do it."""
        self.link = PlainLink()
        self._inbound, self._outbound = self.attach.hello()
        message = self.core.next_message(self._outbound)
        raw = frames.first(message, frames.MAX_CLIENT_DATA_BYTES)
        assert raw is not None
        hello = frames.parse(raw)
        assert isinstance(hello, frames.Hello)
        self.live = self.server.hub.attach(hello, self.link, self.asker)
        if message[raw.size :]:
            self.live.received(self.link, message[raw.size :])
        self.exchange()
        return self.live

    def exchange(self) -> None:
        """Carry bytes both ways until nobody has any."""
        assert self.live is not None
        while True:
            down = self.link.take()
            if down and self._inbound is not None:
                self.happened += self.core.receive(self._inbound, down)
            up = self.core.next_message(self._outbound) if self._outbound else b""
            if up:
                self.live.received(self.link, up)
            if not up and not down:
                return

    def say(self, data: bytes) -> None:
        """Send what no honest page would."""
        assert self.live is not None
        self.live.received(self.link, data)

    def lose_link(self) -> None:
        assert self.live is not None
        self.live.lost(self.link)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.happened if isinstance(event, kind)]
