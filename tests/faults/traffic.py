"""What do a page and its backends write, read and see end, while the network misbehaves?

Every byte that arrives is compared with the one that was written in its place; `check`
looks at the invariants of docs/protocol.md that both cores can show.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from sockproxy.codes import Code
from sockproxy.core import events
from sockproxy.core.outward import next_message
from sockproxy.core.pipe import Outbound
from sockproxy.core.session import Session
from tests.faults.network import Network
from tests.memory import BackendTransport

FRAME_MAX = 64 * 1024 + 80
SETTLE_TURNS = 5000
SETTLE_S = 0.05


@dataclass
class Half:
    """One direction of a stream."""

    written: bytearray = field(default_factory=bytearray)
    delivered: int = 0
    eof: bool = False

    def deliver(self, data: bytes) -> None:
        end = self.delivered + len(data)
        assert self.written[self.delivered : end] == data, "I1: not what was written"
        self.delivered = end

    @property
    def whole(self) -> bool:
        return self.delivered == len(self.written)


@dataclass
class Life:
    """One stream from its OPEN to its CLOSED."""

    id: int
    transport: BackendTransport | None = None
    up: Half = field(default_factory=Half)
    down: Half = field(default_factory=Half)
    # Whether the page reads what comes.
    reads: bool = True
    unread: int = 0
    ended: list[int] = field(default_factory=list)

    @property
    def backend(self) -> BackendTransport:
        assert self.transport is not None, "its backend was not asked for"
        return self.transport


class Traffic:
    """The streams of one page."""

    def __init__(self, net: Network, count: int = 0) -> None:
        self.net = net
        self.random = random.Random(11)
        self.lives: list[Life] = []
        self.by_id: dict[int, Life] = {}
        self.told: list[Any] = []
        self.acked = {True: 0, False: 0}
        self.offsets: dict[tuple[bool, int], bytes] = {}
        self.answered = len(net.server.reactor.tcpClients)
        for _ in range(count):
            self.open()

    def open(self, name: str = "irc") -> Life:
        life = Life(self.net.page.core.open(name, 0))
        assert life.id not in self.by_id, "I13: an id in use was given again"
        self.lives.append(life)
        self.by_id[life.id] = life
        return life

    def accept(self) -> None:
        """Let the backends answer that were asked for, in the order of the OPENs."""
        clients = self.net.server.reactor.tcpClients
        waiting = [life for life in self.lives if life.transport is None and not life.ended]
        for life in waiting[: len(clients) - self.answered]:
            life.transport = self.net.server.backend(self.answered)
            self.answered += 1

    def page_says(self, life: Life, data: bytes) -> None:
        life.up.written += data
        self.net.page.core.write(life.id, data)

    def backend_says(self, life: Life, data: bytes) -> None:
        life.down.written += data
        life.backend.protocol.dataReceived(data)

    def some(self, size: int) -> bytes:
        return self.random.randbytes(size)

    def say(self, direction: str, size: int) -> None:
        """Let each stream carry `size` more bytes in these directions."""
        for life in self.lives:
            if life.ended:
                continue
            if direction in ("up", "both"):
                self.page_says(life, self.some(size))
            if direction in ("down", "both"):
                self.backend_says(life, self.some(size))

    def look(self) -> None:
        """Compare what has arrived and let the page read it."""
        happened, self.net.page.happened = self.net.page.happened, []
        for event in happened:
            match event:
                case events.DataReceived():
                    life = self.by_id[event.stream]
                    life.down.deliver(event.data)
                    life.unread += len(event.data)
                case events.EofReceived():
                    self.by_id[event.stream].down.eof = True
                case events.StreamClosed():
                    self._ended(event)
            if not isinstance(event, events.DataReceived):
                self.told.append(event)
        for life in self.lives:
            if life.transport is not None and life.transport.io.tell():
                life.up.deliver(life.transport.value())
                life.transport.clear()
        for life in list(self.by_id.values()):
            if life.reads and life.unread:
                count, life.unread = life.unread, 0
                self.net.page.core.consume(life.id, count)

    def _ended(self, event: events.StreamClosed) -> None:
        life = self.by_id.pop(event.stream)
        life.ended.append(event.code)
        assert len(life.ended) == 1, "I3: a stream ends once"
        assert event.acked <= len(life.up.written)
        if event.code == Code.CLEAN:
            assert life.down.whole, "I4: a clean end is behind the last byte"

    def settle(self, *, fresh: bool = True) -> None:
        """Carry and read until all that was written is delivered: I2, I10."""
        for _ in range(SETTLE_TURNS):
            if self.net.way.gone:
                self.net.recover(fresh)
            self.net.exchange()
            self.accept()
            self.look()
            if not self.net.way.gone and not self.busy and self.whole:
                self.check_backends()
                return
            self.net.server.reactor.advance(SETTLE_S)
        raise AssertionError("I2, I10: what was written does not arrive")

    @property
    def whole(self) -> bool:
        """Whether all that was written is delivered, but where a stream was broken off."""
        going_on = [life for life in self.lives if life.ended in ([], [Code.CLEAN])]
        return all(life.up.whole and life.down.whole for life in going_on)

    @property
    def busy(self) -> bool:
        """Whether an end does not know yet that the other one holds what it said."""
        live = self.net.server.hub._live.get(self.net.page.attach.sid)
        return bool(self.net.page.core.log.entries or (live and live.core.log.entries))

    def start(self) -> None:
        """Connect the page, its streams and their backends."""
        self.net.connect()
        self.settle()
        assert all(life.transport is not None for life in self.lives)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    # Invariants.

    def check(self) -> None:
        page, server = self.net.page.core, self.net.live.core
        self.check_end(page, True)
        self.check_end(server, False)
        assert server.rx <= page.log.next
        assert page.rx <= server.log.next

    def check_backends(self) -> None:
        """When nothing waits, every backend may speak."""
        for life in self.by_id.values():
            held = life.transport is not None and life.transport.producerState != "producing"
            assert not held or life.down.eof, "I10: a backend was left paused"

    def check_end(self, core: Session, up: bool) -> None:
        log = core.log
        assert log.charged <= log.window + FRAME_MAX, "I5: the log is bounded"
        assert log.base >= self.acked[up], "I7: acks go forward"
        self.acked[up] = log.base
        start = log.base
        for entry in log.entries:
            known = self.offsets.setdefault((up, start), entry.data)
            assert known is entry.data, "I8: an offset denotes the same bytes for ever"
            start = entry.end
        for stream in core.streams.values():
            assert stream.credit.sent <= stream.credit.max, "I6: the sender's bound"
            assert stream.window.received <= stream.window.max, "I6: the receiver's bound"


def number(core: Session) -> None:
    """Number what waits without saying it, so that the next message has one frame more."""
    next_message(core, Outbound(None, core.log.end), FRAME_MAX)
