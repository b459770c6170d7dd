"""Does an ordinary WebSocket client reach an ordinary TCP service through a real site?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest_twisted
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import ssl
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from sockproxy import ini, site
from sockproxy.hub import Hub
from sockproxy.policy.descriptors import Descriptors
from sockproxy.service import shared_by_all
from sockproxy.upgrade import SocketFactory
from tests import loopback
from tests.backends.test_opening import tls_backend
from tests.certificates import Authority

ORIGIN = "https://app.example"
BINARY = 2
PING = 9
FLOOD_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
KERNELS_BYTES = 24 * 1024 * 1024


@implementer(IPullProducer)
class Pushing:
    """Says far more than anybody takes, as fast as the connection lets it."""

    def __init__(self, page: Browser) -> None:
        self.said = 0
        self._page = page

    def resumeProducing(self) -> None:
        if self.said < FLOOD_BYTES:
            self.said += CHUNK_BYTES
            self._page.say(bytes(CHUNK_BYTES))
        else:
            self._page.transport.unregisterProducer()

    def stopProducing(self) -> None:
        """The connection is over."""


@implementer(IHalfCloseableProtocol)
class Backend(Protocol):
    """A TCP service that a test plays."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False
        self.lost: Failure | None = None

    @property
    def wire(self) -> Any:
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.ended = True
        self.wire.loseConnection()

    def writeConnectionLost(self) -> None:
        """Ours went first."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Echo(Backend):
    def connectionMade(self) -> None:
        self.wire.registerProducer(self.wire, True)

    def dataReceived(self, data: bytes) -> None:
        self.wire.write(data)

    def readConnectionLost(self) -> None:
        self.wire.unregisterProducer()
        self.wire.loseConnection()


@implementer(IPullProducer)
class Flood(Backend):
    """Says far more than anybody reads, as fast as its transport lets it."""

    said = 0

    def connectionMade(self) -> None:
        self.wire.registerProducer(self, False)

    def resumeProducing(self) -> None:
        if self.said < FLOOD_BYTES:
            self.said += CHUNK_BYTES
            self.wire.write(bytes(CHUNK_BYTES))
        else:
            self.wire.unregisterProducer()

    def stopProducing(self) -> None:
        """Nobody listens any more."""


class Backends(ServerFactory):
    """Keeps what it made."""

    noisy = False

    def __init__(self, kind: type[Backend]) -> None:
        self.kind = kind
        self.made: list[Backend] = []

    def buildProtocol(self, addr: object) -> Backend:
        self.made.append(self.kind())
        return self.made[-1]

    async def first(self) -> Backend:
        await loopback.settle(lambda: bool(self.made))
        return self.made[0]


class Browser(WebSocketClientProtocol):  # type: ignore[misc]  # autobahn is untyped
    """A WebSocket client that keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.open = False
        self.received = bytearray()
        self.digest = hashlib.sha256()
        self.size = 0
        self.code: int | None = None
        self.reason = ""

    def onOpen(self) -> None:
        self.open = True

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        assert isBinary
        self.size += len(payload)
        self.digest.update(payload)
        if self.size < 65_536:
            self.received += payload

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.code, self.reason = code or 0, reason or ""

    def say(self, data: bytes) -> None:
        self.sendMessage(data, isBinary=True)

    def ended_with(self, code: int) -> Callable[[], bool]:
        return lambda: self.code == code


@asynccontextmanager
async def listening(kind: type[Backend]) -> AsyncIterator[tuple[Backends, int]]:
    factory = Backends(kind)
    port = loopback.reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        yield factory, port.getHost().port
    finally:
        await port.stopListening()
        for backend in factory.made:
            if backend.lost is None:
                backend.wire.abortConnection()


def served(*targets: str) -> Resource:
    """Return a site with `/raw/b0`, `/raw/b1` ... for these targets."""
    sections = [
        f"[backend b{number}]\ntarget = {target}\norigins = {ORIGIN}\n"
        for number, target in enumerate(targets)
    ]
    settings = ini.loads("[listen web]\nendpoint = tcp:8080\n" + "".join(sections)).settings
    reactor = loopback.reactor
    shared = shared_by_all(settings, reactor, reactor.nameResolver, Descriptors())
    return site.root(settings, Hub(shared, os.urandom), SocketFactory(reactor))


def gateway(*targets: str) -> AbstractAsyncContextManager[int]:
    return loopback.site(served(*targets))


@asynccontextmanager
async def browser(port: int, path: str = "/raw/b0", origin: str = ORIGIN) -> AsyncIterator[Browser]:
    factory = WebSocketClientFactory(
        f"ws://127.0.0.1:{port}{path}",
        origin=origin,
        protocols=["binary"],
        reactor=loopback.reactor,
    )
    factory.protocol = Browser
    factory.noisy = False
    factory.setProtocolOptions(openHandshakeTimeout=5, closeHandshakeTimeout=5)
    endpoint = TCP4ClientEndpoint(loopback.reactor, "127.0.0.1", port)
    connected: Any = await endpoint.connect(factory)
    await loopback.settle(lambda: connected.open or connected.code is not None)
    try:
        yield connected
    finally:
        if connected.code is None:
            connected.transport.abortConnection()
            await loopback.settle(lambda: connected.code is not None)


async def quiet(measure: Callable[[], int]) -> int:
    """Return what `measure` says once it says the same for a while."""
    same, last = 0, -1
    while same < 20:
        now = measure()
        same, last = (same + 1 if now == last else 0), now
        await deferLater(loopback.reactor, 0.01)
    return last


@pytest_twisted.ensureDeferred
async def test_eight_mebibytes_come_back_as_they_went() -> None:
    data = os.urandom(8 * 1024 * 1024)
    async with (
        listening(Echo) as (_, port),
        gateway(f"tcp:127.0.0.1:{port}") as web,
        browser(web) as page,
    ):
        for at in range(0, len(data), CHUNK_BYTES):
            page.say(data[at : at + CHUNK_BYTES])
        await loopback.settle(lambda: page.size == len(data))
        assert page.digest.digest() == hashlib.sha256(data).digest()
        page.sendClose(1000)
        await loopback.settle(page.ended_with(1000))


@pytest_twisted.ensureDeferred
async def test_what_a_page_says_before_it_knows_of_the_backends_end_arrives() -> None:
    async with (
        listening(Backend) as (backends, port),
        gateway(f"tcp:127.0.0.1:{port}") as web,
        browser(web) as page,
    ):
        backend = await backends.first()
        page.transport.pauseProducing()
        backend.wire.write(b"that is all")
        backend.wire.loseWriteConnection()
        await deferLater(loopback.reactor, 0.05)
        page.say(b"one more thing")
        page.transport.resumeProducing()

        await loopback.settle(page.ended_with(1000))
        await loopback.settle(lambda: backend.lost is not None)

    assert page.received == b"that is all"
    assert backend.received == b"one more thing"
    assert backend.ended
    assert backend.lost is not None
    assert backend.lost.check(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_the_pages_close_is_a_fin_and_its_loss_a_reset() -> None:
    async with (
        listening(Backend) as (backends, port),
        gateway(f"tcp:127.0.0.1:{port}") as web,
        browser(web) as leaving,
        browser(web) as lost,
    ):
        await loopback.settle(lambda: len(backends.made) == 2)
        leaving.say(b"whole")
        lost.say(b"half")
        await loopback.settle(lambda: all(backend.received for backend in backends.made))
        whole, half = sorted(backends.made, key=lambda b: bytes(b.received), reverse=True)

        leaving.sendClose()
        lost.transport.abortConnection()

        await loopback.settle(lambda: whole.ended)
        await loopback.settle(lambda: half.lost is not None)
        assert not half.ended
        assert whole.received == b"whole"
        assert half.received == b"half"


@pytest_twisted.ensureDeferred
async def test_a_page_that_does_not_read_pauses_its_own_backend_only() -> None:
    async with (
        listening(Flood) as (floods, flood_port),
        listening(Echo) as (_, echo_port),
        gateway(f"tcp:127.0.0.1:{flood_port}", f"tcp:127.0.0.1:{echo_port}") as web,
        browser(web) as slow,
        browser(web, "/raw/b1") as quick,
    ):
        slow.transport.pauseProducing()
        flood = await floods.first()
        assert isinstance(flood, Flood)

        said = await quiet(lambda: flood.said)

        assert said < KERNELS_BYTES, f"{said} bytes taken for a page that reads nothing"
        quick.say(b"hello")
        await loopback.settle(lambda: quick.received == b"hello")
        slow.transport.resumeProducing()
        await loopback.settle(lambda: slow.size == FLOOD_BYTES)


@pytest_twisted.ensureDeferred
async def test_a_backend_that_does_not_read_stops_its_own_page_only() -> None:
    async with (
        listening(Backend) as (backends, port),
        listening(Echo) as (_, echo_port),
        gateway(f"tcp:127.0.0.1:{port}", f"tcp:127.0.0.1:{echo_port}") as web,
        browser(web) as stuck,
        browser(web, "/raw/b1") as quick,
    ):
        backend = await backends.first()
        backend.wire.pauseProducing()
        pushing = Pushing(stuck)
        stuck.transport.registerProducer(pushing, False)

        said = await quiet(lambda: pushing.said)

        assert said < KERNELS_BYTES, f"{said} bytes taken for a backend that reads nothing"
        quick.say(b"hello")
        await loopback.settle(lambda: quick.received == b"hello")
        backend.wire.resumeProducing()
        await loopback.settle(lambda: len(backend.received) == FLOOD_BYTES)


@pytest_twisted.ensureDeferred
async def test_a_closed_port_is_1011_and_a_foreign_page_403() -> None:
    async with listening(Backend) as (_, port):
        closed = port
    async with gateway(f"tcp:127.0.0.1:{closed}") as web:
        async with browser(web) as page:
            await loopback.settle(page.ended_with(1011))
            assert page.reason == "b0: connection refused"
        async with loopback.wire(web) as wire:
            wire.send(loopback.head("/raw/b0", "Origin: https://evil.example"))
            status, _ = await wire.answer()
            assert status == 403
            await wire.until(lambda: b"origins = https://evil.example" in wire.received)


@pytest_twisted.ensureDeferred
async def test_a_tls_backend_is_verified_by_name_and_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(tls_backend(authority.server("localhost")))
        base = f"tls:127.0.0.1:{port}"
        web = await stack.enter_async_context(
            gateway(
                f"{base}:ca={authority.file}:name=localhost",
                f"{base}:ca={authority.file}:name=other.example",
                f"{base}:name=localhost",
            )
        )
        trusted = await stack.enter_async_context(browser(web, "/raw/b0"))
        trusted.say(b"hello")
        await loopback.settle(lambda: trusted.received == b"hello")
        for path in ("/raw/b1", "/raw/b2"):
            page = await stack.enter_async_context(browser(web, path))
            await loopback.settle(page.ended_with(1011))
            assert "TLS" in page.reason


@pytest_twisted.ensureDeferred
async def test_a_unix_backend_carries_bytes(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    port = loopback.reactor.listenUNIX(str(path), Backends(Echo))
    try:
        async with gateway(f"unix:{path}") as web, browser(web) as page:
            page.say(b"hello")
            await loopback.settle(lambda: page.received == b"hello")
            page.sendClose(1000)
            await loopback.settle(page.ended_with(1000))
    finally:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_the_site_itself_may_be_behind_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with listening(Echo) as (_, port), AsyncExitStack() as stack:
        tree = served(f"tcp:127.0.0.1:{port}")
        secure = loopback.reactor.listenSSL(
            0, Site(tree), authority.server("localhost"), interface="127.0.0.1"
        )
        stack.push_async_callback(secure.stopListening)
        trusted = ssl.Certificate.loadPEM(Path(authority.file).read_bytes())
        endpoint = wrapClientTLS(
            ssl.optionsForClientTLS("localhost", trustRoot=trusted),
            TCP4ClientEndpoint(loopback.reactor, "127.0.0.1", secure.getHost().port),
        )
        wire = await connectProtocol(endpoint, loopback.Wire())
        stack.push_async_callback(wire.close)
        wire.send(loopback.head("/raw/b0", f"Origin: {ORIGIN}") + loopback.masked(2, b"hello"))
        assert (await wire.answer())[0] == 101
        frames = [await wire.frame(), await wire.frame()]
        assert {frame.opcode for frame in frames} == {BINARY, PING}
        assert b"hello" in [frame.payload for frame in frames]
        wire.send(loopback.masked(8, b""))
        await wire.gone()
