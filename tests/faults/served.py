"""How does a test put a fault proxy before a real small server on loopback?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from sockproxy.faults import FaultProxy, Plan
from tests import loopback
from tests.loopback import Wire, reactor

CHUNKS = (b"first,", b"second,", b"third")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@dataclass
class Server(Resource):
    """Answers every request with what it got, and remembers it.

    `/stream` is answered with chunks that the test lets go, `/never` not at all.
    """

    isLeaf = True
    got: list[tuple[str, str, bytes]] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    open: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def render(self, request: Request) -> Any:
        assert request.content is not None
        body = request.content.read()
        self.got.append((request.method.decode(), request.uri.decode(), body))
        headers = request.requestHeaders.getAllRawHeaders()
        self.heads.append({name.decode(): values[0].decode() for name, values in headers})
        if request.uri == b"/never" or request.uri == b"/stream":
            self.open.append(request)
            request.notifyFinish().addErrback(lambda _: self.open.remove(request))
            if request.uri == b"/stream":
                request.write(CHUNKS[0])
            return NOT_DONE_YET
        answer = b"got " + body
        request.setHeader(b"content-length", b"%d" % len(answer))
        return b"" if request.method == b"HEAD" else answer

    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.got]


@implementer(IHalfCloseableProtocol)
class Echo(Protocol):
    """Takes an upgrade, or anything, and sends back what comes."""

    def __init__(self) -> None:
        self._head = b""
        self._raw = False

    def dataReceived(self, data: bytes) -> None:
        wire: Any = self.transport
        if not self._raw:
            self._head += data
            if self._head[:1] != b"G":
                self._raw, data = True, self._head
            elif b"\r\n\r\n" in self._head:
                self._raw, data = True, self._head.partition(b"\r\n\r\n")[2]
                wire.write(SWITCH)
            else:
                return
        wire.write(data)

    def readConnectionLost(self) -> None:
        wire: Any = self.transport
        wire.loseConnection()

    def writeConnectionLost(self) -> None:
        """Never half closed from here."""


@asynccontextmanager
async def proxy(to: int, *rules: str, seed: int = 7) -> AsyncIterator[FaultProxy]:
    """Run a fault proxy before a port; nothing of it is left behind."""
    made = FaultProxy(reactor, ("127.0.0.1", to), Plan(rules, seed))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        assert made.open == made.in_flight == 0
        assert not made.successors


@asynccontextmanager
async def http(*rules: str, seed: int = 7) -> AsyncIterator[tuple[FaultProxy, Server]]:
    """Run a fault proxy before an HTTP server."""
    server = Server()
    async with loopback.site(server) as port, proxy(port, *rules, seed=seed) as made:
        yield made, server


@asynccontextmanager
async def echo(*rules: str, seed: int = 7) -> AsyncIterator[FaultProxy]:
    """Run a fault proxy before an echo."""
    async with loopback.backend(Echo) as port, proxy(port, *rules, seed=seed) as made:
        yield made


@asynccontextmanager
async def wires(made: FaultProxy, number: int) -> AsyncIterator[list[Wire]]:
    """Connect several times."""
    opened: list[Wire] = []
    contexts = [loopback.wire(made.port) for _ in range(number)]
    try:
        for context in contexts:
            opened.append(await context.__aenter__())
        yield opened
    finally:
        for context in contexts[: len(opened)]:
            await context.__aexit__(None, None, None)


def request(path: str = "/", body: bytes = b"", method: str = "POST", *more: str) -> bytes:
    """Return a request that keeps the connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def upgrade(path: str = "/ws") -> bytes:
    return loopback.head(path)


async def said(wire: Wire, wanted: bytes) -> None:
    """Wait until a wire has heard something, and take it."""
    await wire.until(lambda: wanted in wire.received or wire.lost is not None)
    assert wanted in wire.received, wire.received
    wire.received = wire.received.partition(wanted)[2]


async def answered(wire: Wire, body: bytes) -> int:
    """Wait for an answer with this body; return its status."""
    status, _ = await wire.answer()
    await said(wire, body)
    return status


def broken(wire: Wire) -> bool:
    """Return whether a connection was reset, not closed."""
    return wire.lost is not None and "non-clean" in wire.lost.getErrorMessage()


@asynccontextmanager
async def by_hand(*rules: str) -> AsyncIterator[tuple[FaultProxy, list[Wire]]]:
    """Run a fault proxy before a server whose connections the test speaks for."""
    peers: list[Wire] = []

    class Peer(Wire):
        def connectionMade(self) -> None:
            peers.append(self)

    async with loopback.backend(Peer) as port, proxy(port, *rules) as made:
        yield made, peers


async def peer(peers: list[Wire], number: int = 1) -> Wire:
    """Wait for the n-th connection to the server."""
    await loopback.settle(lambda: len(peers) >= number)
    return peers[number - 1]
