"""Is one WebSocket one TCP stream, up to the last byte and the right close code?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sockproxy import ini, site
from sockproxy.backends.opening import Opening
from sockproxy.dialects.raw import choose
from sockproxy.hub import Hub
from sockproxy.policy.access import Policy
from sockproxy.streams import Shared
from sockproxy.upgrade import SocketFactory
from tests import loopback
from tests.loopback import head, masked

ORIGIN = "Origin: https://app.example"


@implementer(IHalfCloseableProtocol)
class Backend(Protocol):
    """A backend that a test plays."""

    latest: Backend

    def __init__(self) -> None:
        Backend.latest = self
        self.received = b""
        self.half_closed = False
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.answer(data)

    def answer(self, data: bytes) -> None:
        """Say nothing."""

    def readConnectionLost(self) -> None:
        self.half_closed = True
        assert self.transport is not None
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Ours went first."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Echo(Backend):
    def answer(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


@asynccontextmanager
async def service(port: int, extra: str = "") -> AsyncIterator[int]:
    """Serve /raw/there, on a backend at `port`."""
    text = f"""
[listen web]
endpoint = tcp:8080
[backend there]
target = tcp:127.0.0.1:{port}
origins = https://app.example
{extra}
"""
    settings = ini.loads(text).settings
    reactor: Any = loopback.reactor
    opening = Opening(reactor, reactor.nameResolver)
    hub = Hub(Shared(reactor, Policy(settings), opening, settings.limits), os.urandom)
    async with loopback.site(site.root(settings, hub, SocketFactory(reactor))) as web:
        yield web


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((), None), (("base64", "binary"), "binary"), (("mqtt",), "mqtt"), (("a", "b"), "a")],
)
def test_the_subprotocol_is_one_that_was_offered(
    offered: tuple[str, ...], chosen: str | None
) -> None:
    assert choose(offered) == chosen


@pytest_twisted.ensureDeferred
async def test_megabytes_come_back_as_they_went() -> None:
    data = os.urandom(2 * 1024 * 1024)
    async with (
        loopback.backend(Echo) as port,
        service(port) as web,
        loopback.wire(web) as wire,
    ):
        wire.send(head("/raw/there", ORIGIN, "Sec-WebSocket-Protocol: binary"))
        assert (await wire.answer())[0] == 101
        for at in range(0, len(data), 65_536):
            wire.send(masked(2, data[at : at + 65_536]))
        back = hashlib.sha256()
        size = 0
        while size < len(data):
            frame = await wire.frame()
            assert frame.opcode in (2, 9)
            if frame.opcode == 2:
                back.update(frame.payload)
                size += len(frame.payload)
    assert back.digest() == hashlib.sha256(data).digest()


@pytest_twisted.ensureDeferred
async def test_text_is_taken_as_utf8_and_answered_in_binary() -> None:
    async with (
        loopback.backend(Echo) as port,
        service(port) as web,
        loopback.wire(web) as wire,
    ):
        wire.send(head("/raw/there", ORIGIN) + masked(1, "größe".encode()))
        await wire.answer()
        assert await data_frame(wire) == loopback.Frame(2, "größe".encode())


@pytest_twisted.ensureDeferred
async def test_text_frames_never_cut_a_character() -> None:
    async with (
        loopback.backend(Backend) as port,
        service(port, "frames = text") as web,
        loopback.wire(web) as wire,
    ):
        wire.send(head("/raw/there", ORIGIN) + masked(1, b"hello"))
        await wire.answer()
        await loopback.settle(lambda: getattr(Backend, "latest", None) is not None)
        await loopback.settle(lambda: Backend.latest.received == b"hello")
        transport: Any = Backend.latest.transport
        transport.write(b"gr\xc3")
        assert await data_frame(wire) == loopback.Frame(1, b"gr")
        transport.write(b"\xb6\xff")
        assert await data_frame(wire) == loopback.Frame(1, "ö\ufffd".encode())


async def data_frame(wire: loopback.Wire) -> loopback.Frame:
    """Return the next frame that is no ping."""
    while True:
        frame = await wire.frame()
        if frame.opcode != 9:
            return frame


@pytest_twisted.ensureDeferred
async def test_the_backends_end_is_1000_behind_its_last_byte() -> None:
    async with (
        loopback.backend(Backend) as port,
        service(port) as web,
        loopback.wire(web) as wire,
    ):
        wire.send(head("/raw/there", ORIGIN) + masked(2, b"bye"))
        await wire.answer()
        await loopback.settle(lambda: Backend.latest.received == b"bye")
        transport: Any = Backend.latest.transport
        transport.write(b"last")
        transport.loseConnection()
        assert (await data_frame(wire)).payload == b"last"
        assert (await data_frame(wire)).close_code == 1000


@pytest_twisted.ensureDeferred
async def test_the_browsers_close_is_a_fin_behind_its_last_byte() -> None:
    async with (
        loopback.backend(Backend) as port,
        service(port) as web,
        loopback.wire(web) as wire,
    ):
        wire.send(head("/raw/there", ORIGIN) + masked(2, b"one"))
        await wire.answer()
        await loopback.settle(lambda: Backend.latest.received == b"one")
        wire.send(masked(2, b" two") + masked(8, (1000).to_bytes(2, "big")))
        await loopback.settle(lambda: Backend.latest.lost is not None)
        assert Backend.latest.received == b"one two"
        assert Backend.latest.half_closed


@pytest_twisted.ensureDeferred
async def test_a_refused_connection_is_1011() -> None:
    async with loopback.backend(Backend) as port:
        closed_port = port
    async with service(closed_port) as web, loopback.wire(web) as wire:
        wire.send(head("/raw/there", ORIGIN))
        assert (await wire.answer())[0] == 101
        frame = await data_frame(wire)
        assert frame.close_code == 1011
        assert b"refused" in frame.payload


@pytest.mark.parametrize(
    ("path", "line", "status"),
    [
        ("/raw/there", "Origin: https://evil.example", 403),
        ("/raw/there", "Origin: null", 403),
        ("/raw/there", "X-Nothing: here", 403),
        ("/raw/nowhere", ORIGIN, 403),
        ("/raw/no%20name", ORIGIN, 404),
        ("/raw/%ff", ORIGIN, 404),
    ],
)
@pytest_twisted.ensureDeferred
async def test_who_may_not_is_told_before_the_upgrade(path: str, line: str, status: int) -> None:
    async with service(1) as web, loopback.wire(web) as wire:
        wire.send(head(path, line))
        assert (await wire.answer())[0] == status


@pytest_twisted.ensureDeferred
async def test_a_backend_that_does_not_read_stops_the_browser() -> None:
    async with (
        loopback.backend(Backend) as port,
        service(port) as web,
        loopback.wire(web) as wire,
    ):
        wire.send(head("/raw/there", ORIGIN) + masked(2, b"x"))
        await wire.answer()
        await loopback.settle(lambda: Backend.latest.received == b"x")
        transport: Any = Backend.latest.transport
        transport.pauseProducing()
        page: Any = wire.transport
        full: list[bool] = []

        class Pushing:
            def pauseProducing(self) -> None:
                full.append(True)

            def resumeProducing(self) -> None:
                """It may go on."""

            def stopProducing(self) -> None:
                """It is over."""

        page.registerProducer(Pushing(), True)
        sent = 1
        chunk = masked(2, bytes(65_536))
        for _ in range(1000):
            wire.send(chunk)
            sent += 65_536
            await loopback.turn()
            if full:
                break
        assert full, "64 MB went in without a stop"
        transport.resumeProducing()
        await loopback.settle(lambda: len(Backend.latest.received) == sent)
