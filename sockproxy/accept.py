"""Is a connection taken, before anything is parsed, and when is none?

Around whatever serves a listener: each connection is counted from its first moment to its last,
whatever becomes of it meanwhile; what the entrance does not let in is told so in one write, as
HTTP where that is what is spoken, and never comes to a parser. Where descriptors run out, the
listeners are not read: who comes waits with the kernel, which costs nothing, and the loop is not
woken for what it could not take. Only who comes in the same turn of the accept loop as the last
one cannot wait any more, and is cut.
"""

from __future__ import annotations

import os
import resource
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Port
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from sockproxy.head import SERVICE_UNAVAILABLE, BadHead, refusal
from sockproxy.logs import Logger
from sockproxy.policy.descriptors import UNLIMITED, Descriptors, Taken
from sockproxy.policy.entrance import TELL_EVERY_S, Entrance, Entry, TurnedAway
from sockproxy.policy.forwarded import UNIX
from sockproxy.policy.tally import Seldom

RETRY_S = 2
# What is opened behind the count: for the name service, and what Twisted keeps for accept.
OPENED_LATER = 4
# For a client to read why it is refused; with too many of them, the next are cut.
FAREWELL_S = 2.0
FAREWELLS_MAX = 128
FAREWELLS_PER_DESCRIPTOR = 1 / 16

log = Logger(__name__)


def tell(address: str, text: str, more: int) -> None:
    """Log that somebody was not let in."""
    log.warn("refused {peer}: {text}; {more} more since", peer=address, text=text, more=more)


def descriptors(listeners: int) -> Descriptors:
    """Return the count of this process, with what it holds by now and will for listening."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit in (resource.RLIM_INFINITY, -1):
        limit = UNLIMITED
    return Descriptors(limit, len(os.listdir("/dev/fd")) + listeners + OPENED_LATER)


class Gate:
    """What the listeners of a service have in common."""

    def __init__(self, entrance: Entrance, descriptors: Descriptors, clock: IReactorTime) -> None:
        self.entrance = entrance
        self.descriptors = descriptors
        self.clock = clock
        self.farewells = 0
        most = int(descriptors.limit * FAREWELLS_PER_DESCRIPTOR)
        self.farewells_max = min(FAREWELLS_MAX, most)
        self._ports: list[Port] = []
        self._paused = Seldom(TELL_EVERY_S, 1)
        descriptors.when_full = self._pause
        descriptors.when_room = self._resume

    def around(
        self,
        factory: IProtocolFactory,
        *,
        plain: bool = True,
        named: bool = True,
    ) -> Accepting:
        """Return `factory` behind this gate.

        It is `plain` where HTTP is spoken from the first byte on, and `named` where the peer of
        a connection is known by its socket; else who learns it lets its entry `belong` to it.
        """
        return Accepting(self, factory, plain, named)

    def watch(self, endpoint: IStreamServerEndpoint) -> IStreamServerEndpoint:
        """Return an endpoint whose listening pauses where there are no descriptors."""
        return Watched(self, endpoint)

    def watched(self, port: IListeningPort) -> IListeningPort:
        if isinstance(port, Port):  # not one in memory
            self._ports.append(port)
        return port

    def _pause(self) -> None:
        more = self._paused.due("paused", self.clock.seconds())
        if more is not None:
            log.warn(
                "accepting pauses: {taken} of {limit} descriptors are taken; {more} more since",
                taken=self.descriptors.taken,
                limit=self.descriptors.limit,
                more=more,
            )
        for port in self._ports:
            port.pauseProducing()

    def _resume(self) -> None:
        for port in self._ports:
            port.numberAccepts = 1  # in the next turn; the others wait rather than being cut
            port.resumeProducing()


@implementer(IStreamServerEndpoint)
class Watched:
    """An endpoint whose port is known to the gate."""

    def __init__(self, gate: Gate, endpoint: IStreamServerEndpoint) -> None:
        self._gate = gate
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        listening: Deferred[IListeningPort] = self._endpoint.listen(protocolFactory)
        return listening.addCallback(self._gate.watched)


@implementer(IProtocolFactory)
class Accepting(Factory):
    """The factory of a listener."""

    noisy = False

    def __init__(self, gate: Gate, inner: IProtocolFactory, plain: bool, named: bool) -> None:
        self._gate = gate
        self._inner = inner
        self._plain = plain
        self._named = named

    def logPrefix(self) -> str:
        inner = self._inner
        return inner.logPrefix() if hasattr(inner, "logPrefix") else type(inner).__name__

    def doStart(self) -> None:
        self._inner.doStart()

    def doStop(self) -> None:
        self._inner.doStop()

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """Return what serves a connection; without one it is closed before the next is accepted."""
        gate = self._gate
        was_full, taken = gate.descriptors.full, gate.descriptors.take()
        if was_full:
            taken.give_back()
            return None
        peer = getattr(addr, "host", UNIX) if self._named else None
        try:
            entry = gate.entrance.admit(peer)
        except TurnedAway as full:
            if self._plain and gate.farewells < gate.farewells_max:
                return Farewell(gate, taken, full)
            taken.give_back()
            return None
        return Accepted(self._inner.buildProtocol(addr), entry, taken)


class Accepted(ProtocolWrapper):
    """A connection that is counted; what is in it speaks to the transport itself."""

    wrappedProtocol: Any

    def __init__(self, inner: Any, entry: Entry, taken: Taken) -> None:
        self.wrappedProtocol = inner
        self.entry = entry
        self._taken = taken

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.wrappedProtocol.makeConnection(transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.entry.leave()
        self._taken.give_back()
        inner, self.wrappedProtocol = self.wrappedProtocol, None
        inner.connectionLost(reason)


class Farewell(Protocol):
    """A connection that is told to come again, and has a moment to read it.

    Closing at once would be a reset where its request is on the way, and a reset takes back
    what was said.
    """

    transport: Any

    def __init__(self, gate: Gate, taken: Taken, full: TurnedAway) -> None:
        self._gate = gate
        self._taken = taken
        self._full = full
        self._late: IDelayedCall | None = None
        gate.farewells += 1

    def connectionMade(self) -> None:
        self.transport.write(refusal(unavailable(self._full)))
        self.transport.loseWriteConnection()
        self._late = self._gate.clock.callLater(FAREWELL_S, self._abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gate.farewells -= 1
        self._taken.give_back()
        if self._late is not None:
            self._late.cancel()

    def _abort(self) -> None:
        self._late = None
        self.transport.abortConnection()


def unavailable(full: TurnedAway) -> BadHead:
    """Return how HTTP says that there is no room."""
    return BadHead(SERVICE_UNAVAILABLE, full.text, RETRY_S)


def entry_of(transport: Any) -> Entry | None:
    """Return the entry of a connection, from any layer of transports on it."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    held = getattr(transport, "protocol", None)
    while isinstance(held, ProtocolWrapper):
        if isinstance(held, Accepted):
            return held.entry
        held = held.wrappedProtocol
    return None
