"""How does one put faults between a page and its server?

`FaultProxy(reactor, to=("127.0.0.1", 8080), plan=Plan([...], seed=7))`; `start` it, point the
page at its port, change the plan while it runs, `stop` it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ClientEndpoint,
    connectProtocol,
)
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from sockproxy.escape import escaped
from sockproxy.faults.again import Again
from sockproxy.faults.kinds import Cut, Replay, Stall
from sockproxy.faults.passage import Passage
from sockproxy.faults.plan import Decision, Plan
from sockproxy.faults.rules import WS
from sockproxy.faults.successors import Successors
from sockproxy.faults.talk import Talk

CONNECT_TIMEOUT_S = 10.0
LINE_MAX_BYTES = 1000
LOCAL = "127.0.0.1"

# Counted when they happen; every other fault when it is decided.
_STRIKE_LATER = (Cut, Stall, Replay)


class FaultProxy:
    """A proxy that does to connections what its plan says.

    `counts` has how often each fault was applied, by verb, and besides `connections`,
    `requests`, `websockets`, `in_flight_max` (the most HTTP requests that waited for the end
    of their answers at one time), `unreachable` and `too_large`.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        to: tuple[str, int],
        plan: Plan | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self.to = to
        self.plan = plan or Plan()
        self.counts: Counter[str] = Counter()
        self.in_flight = 0
        self.successors = Successors(reactor)
        self._tell = tell or self._log
        self._listening: IListeningPort | None = None
        self._passages: set[Passage] = set()
        self._copies: set[Again] = set()
        self._connecting: set[Deferred[Any]] = set()
        self._stalled = self._stopped = False
        self._empty: Deferred[None] | None = None

    async def start(self, endpoint: IStreamServerEndpoint | None = None) -> int:
        """Listen, on a free port of this machine if nothing else is said; return the port."""
        endpoint = endpoint or TCP4ServerEndpoint(self._reactor, 0, interface=LOCAL)
        self._listening = await endpoint.listen(_Clients(self))
        return self.port

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._listening is not None, "it does not listen"
        return int(getattr(self._listening.getHost(), "port", 0))

    @property
    def host(self) -> str:
        """The address it listens on."""
        assert self._listening is not None, "it does not listen"
        return str(getattr(self._listening.getHost(), "host", LOCAL))

    @property
    def open(self) -> int:
        """How many clients are connected, and copies of requests under way."""
        return len(self._passages) + len(self._copies)

    @property
    def paused(self) -> int:
        """How many clients are not read from for now."""
        return sum(not passage.client.reading for passage in self._passages)

    async def stop(self) -> None:
        """Listen no more and reset all connections; nothing is left when this returns."""
        self._stopped = True
        if self._listening is not None:
            listening, self._listening = self._listening, None
            await maybeDeferred(listening.stopListening)
        for connecting in list(self._connecting):
            connecting.cancel()
        for copy in list(self._copies):
            copy.abort()
        self.cut_all()
        if self._passages or self._copies:
            self._empty = Deferred()
            await self._empty
        self.successors.stop()

    def set_plan(self, plan: Plan) -> None:
        """Take another plan for the requests that come from here on."""
        self.plan = plan

    def cut_all(self) -> None:
        """Reset every connection now."""
        for passage in list(self._passages):
            passage.abort()

    def stall_all(self) -> None:
        """Hold all bytes, those of connections to come as well, until `resume_all`."""
        self._stalled = True
        for passage in self._passages:
            passage.freeze()

    def resume_all(self) -> None:
        """Let go what `stall_all` holds."""
        self._stalled = False
        for passage in list(self._passages):
            passage.thaw()

    def accept(self) -> Protocol:
        """Return what speaks to one more client."""
        passage = Passage(self._reactor, self.struck)
        passage.listener = Talk(self, passage, lambda: self._gone(passage))
        self._passages.add(passage)
        self.counts["connections"] += 1
        if self._stalled:
            passage.freeze()
        self._connect(passage.server, passage.refused)
        return passage.client

    def decide(self, method: str, path: str, link: str) -> Decision:
        decision = self.plan.decide(method, path, link)
        self.counts["requests"] += 1
        self.counts["websockets"] += link == WS
        for fault in decision.faults:
            if not isinstance(fault, _STRIKE_LATER):
                self.struck(fault.verb)
        if decision.faults:
            verbs = ", ".join(fault.verb for fault in decision.faults)
            where = f"{link} {method} {path}".rstrip()
            self._say(f"request {decision.number}: {where}: {verbs}")
        return decision

    def struck(self, verb: str) -> None:
        self.counts[verb] += 1

    def again(self, request: bytes, method: str) -> None:
        if not self._stopped:
            copy = Again(request, method, self._copied)
            self._copies.add(copy)
            self._connect(copy, lambda: self._copied(copy))

    def entered(self) -> None:
        self.in_flight += 1
        self.counts["in_flight_max"] = max(self.counts["in_flight_max"], self.in_flight)

    def left(self) -> None:
        self.in_flight -= 1

    def _connect(self, protocol: Protocol, refused: Callable[[], None]) -> None:
        host, port = self.to
        way = _way(host)
        endpoint = way(self._reactor, host, port, timeout=CONNECT_TIMEOUT_S)
        connecting = connectProtocol(endpoint, protocol)
        self._connecting.add(connecting)

        def failed(failure: Failure) -> None:
            if not self._stopped:
                self.struck("unreachable")
                self._say(f"{host}:{port} cannot be reached: {failure.getErrorMessage()}")
            refused()

        connecting.addBoth(self._connected, connecting).addErrback(failed)
        connecting.addErrback(lambda failure: self.log.failure("a connection", failure=failure))

    def _connected(self, result: Any, connecting: Deferred[Any]) -> Any:
        self._connecting.discard(connecting)
        return result

    def _copied(self, copy: Again) -> None:
        self._copies.discard(copy)
        self._look()

    def _gone(self, passage: Passage) -> None:
        self._passages.discard(passage)
        self._look()

    def _look(self) -> None:
        if self._empty is not None and not self._passages and not self._copies:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def _say(self, text: str) -> None:
        self._tell(f"seed {self.plan.seed}: {text}")

    def _log(self, text: str) -> None:
        self.log.info("{text}", text=escaped(text, LINE_MAX_BYTES))


def _way(host: str) -> Any:
    """Return the endpoint for a host: a refusal by an address is known at once."""
    if isIPAddress(host):
        return TCP4ClientEndpoint
    return TCP6ClientEndpoint if isIPv6Address(host) else HostnameEndpoint


class _Clients(Factory):
    """Has one passage made for each client."""

    noisy = False

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._proxy.accept()
