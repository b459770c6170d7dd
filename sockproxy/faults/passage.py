"""How are a client and the server joined: two transports, two lanes, and how both end?

An end of one side is told to the other in its place behind the bytes: a FIN as a FIN, a
break as a break. A cut is both at once. What the bytes mean is the listener's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sockproxy.faults.lane import Lane

BACKLOG_BYTES = 64 * 1024


class Listener(Interface):
    """What understands the bytes of a passage."""

    @property
    def backlog_bytes(self) -> int:
        """How much of the client's bytes waits to be understood."""

    def came_up(self, data: bytes) -> None:
        """Bytes of the client."""

    def came_down(self, data: bytes) -> None:
        """Bytes of the server."""

    def ended_up(self) -> None:
        """The client sends no more."""

    def ended_down(self) -> None:
        """The server sends no more."""

    def closed(self) -> None:
        """Both are gone: once, last."""


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """One of the two transports."""

    def __init__(self, passage: Passage, *, client: bool) -> None:
        self._passage = passage
        self.client = client
        self.hears = True  # not told yet that the peer sends no more
        self.speaks = True  # has not told the peer so
        self.gone = False
        self.reading = True

    def connectionMade(self) -> None:
        self._wire.setTcpNoDelay(True)  # no delay but those that are asked for
        self._passage.joined(self)

    def dataReceived(self, data: bytes) -> None:
        self._passage.came(self, data)

    def readConnectionLost(self) -> None:
        self.hears = False
        self._passage.ended(self)
        self._both()

    def writeConnectionLost(self) -> None:
        """We have said so ourselves."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone = True
        self._passage.lost(self, broken=reason.check(ConnectionDone) is None)

    def read(self, wanted: bool) -> None:
        """Take more from the peer, or do not."""
        if self.hears and not self.gone and wanted != self.reading:
            self.reading = wanted
            (self._wire.resumeProducing if wanted else self._wire.pauseProducing)()

    def finish(self) -> None:
        """Tell the peer that no more comes."""
        if self.speaks and not self.gone:
            self.speaks = False
            self._wire.unregisterProducer()
            if self.hears:
                self._wire.loseWriteConnection()
            self._both()

    def close(self) -> None:
        """Send what waits, then close."""
        self.hears = self.speaks = False
        if self._there:
            self._wire.unregisterProducer()
            self._wire.loseConnection()

    def abort(self) -> None:
        """Reset the connection."""
        self.hears = self.speaks = False
        if self._there:
            self._wire.abortConnection()

    def abort_behind(self) -> None:
        """Send what waits, then reset the connection."""
        self.hears = self.speaks = False
        if self._there:
            self._wire.unregisterProducer()
            self._wire.registerProducer(_Last(self.abort), False)
            self._wire.startWriting()

    def _both(self) -> None:
        if not self.hears and not self.speaks and self._there:
            self._wire.loseConnection()

    @property
    def _there(self) -> bool:
        return self.transport is not None and not self.gone

    @property
    def _wire(self) -> Any:
        return self.transport


class _Last:
    """A pull producer: asked once when it is registered, then when nothing waits any more."""

    def __init__(self, sent: Callable[[], None]) -> None:
        self._sent = sent
        self._registered = False

    def resumeProducing(self) -> None:
        if self._registered:
            self._sent()
        self._registered = True

    def stopProducing(self) -> None:
        """The connection went before."""


class Passage:
    """A client's connection and its own connection to the server."""

    def __init__(self, clock: IReactorTime, struck: Callable[[str], None]) -> None:
        self._clock = clock
        self.struck = struck
        self.up = Lane(clock, self)
        self.down = Lane(clock, self)
        self.client = End(self, client=True)
        self.server = End(self, client=False)
        self.listener: Listener | None = None
        self.over = False
        self._age: IDelayedCall | None = None

    def joined(self, end: End) -> None:
        if self.over:
            end.abort()
            return
        (self.down if end.client else self.up).open(end.transport)
        self.flow()

    def came(self, end: End, data: bytes) -> None:
        if self.listener is not None:
            (self.listener.came_up if end.client else self.listener.came_down)(data)
            self.flow()

    def ended(self, end: End) -> None:
        if self.listener is not None:
            (self.listener.ended_up if end.client else self.listener.ended_down)()

    def finish_up(self) -> None:
        """Tell the server, behind what waits, that no more comes."""
        self.up.finish(self.server.finish)

    def finish_down(self) -> None:
        """Tell the client, behind what waits, that no more comes."""
        self.down.finish(self.client.finish)

    def lost(self, end: End, *, broken: bool) -> None:
        other = self.server if end.client else self.client
        ours, theirs = (self.up, self.down) if end.client else (self.down, self.up)
        theirs.stop()
        if broken and not self.over:
            if ours.prompt:
                other.abort()
            else:
                ours.finish(other.abort_behind)
        self._look()

    def refused(self) -> None:
        """The server cannot be had."""
        self.server.gone = True
        self.cut(self.down, reset=True)
        self._look()

    def cut(self, lane: Lane, *, reset: bool) -> None:
        """End both connections; what `lane` has delivered is sent first."""
        last, other = (
            (self.client, self.server) if lane is self.down else (self.server, self.client)
        )
        self._stop()
        if reset:
            last.abort_behind()
            other.abort()
        else:
            last.close()
            other.close()

    def cut_in(self, seconds: float, *, verb: str, reset: bool) -> None:
        """Cut later, unless `calm` comes first."""
        self.calm()
        self._age = self._clock.callLater(seconds, self._aged, verb, reset)

    def calm(self) -> None:
        if self._age is not None:
            self._age.cancel()
            self._age = None

    def abort(self) -> None:
        """Reset both connections now."""
        self._stop()
        self.client.abort()
        self.server.abort()

    def freeze(self) -> None:
        """Hold both directions until `thaw`."""
        self.up.freeze()
        self.down.freeze()

    def thaw(self) -> None:
        self.up.thaw()
        self.down.thaw()

    def flow(self) -> None:
        """Read from each side as long as the other takes it."""
        if self.over:
            return
        backlog = self.listener.backlog_bytes if self.listener is not None else 0
        if self.client.transport is not None:
            self.client.read(not self.up.full and backlog < BACKLOG_BYTES)
        if self.server.transport is not None:
            self.server.read(not self.down.full)

    def _aged(self, verb: str, reset: bool) -> None:
        self._age = None
        self.struck(verb)
        self.cut(self.down, reset=reset)

    def _stop(self) -> None:
        self.over = True
        self.calm()
        self.up.stop()
        self.down.stop()

    def _look(self) -> None:
        if self.client.gone and self.server.gone and self.listener is not None:
            self._stop()
            listener, self.listener = self.listener, None
            listener.closed()
