"""Is one WebSocket one TCP stream, up to the last byte and the right close code?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sockproxy import ini, site
from sockproxy.codes import Code
from sockproxy.dialects.raw import PENDING_MAX_BYTES, RawPeer, choose, greeter
from sockproxy.front import Visitor
from sockproxy.hub import Hub
from sockproxy.policy.descriptors import Descriptors
from sockproxy.service import shared_by_all
from sockproxy.upgrade import Refusal, SocketFactory
from tests import loopback
from tests.application import Application
from tests.helpers import result
from tests.links.ticketed import FORWARD, TICKETS
from tests.loopback import head, masked
from tests.memory import INI, Server
from tests.tickets import SHARED, mint

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
    hub = Hub(shared_by_all(settings, reactor, reactor.nameResolver, Descriptors()), os.urandom)
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


class PlainSocket:
    """A socket that remembers what was done to it."""

    def __init__(self) -> None:
        self.writable = True
        self.reading = True
        self.sent: list[bytes] = []
        self.close_code = 0

    def send(self, data: bytes, *, text: bool = False) -> None:
        self.sent.append(data)

    def close(self, code: int, reason: str = "") -> None:
        self.close_code = self.close_code or code

    def abort(self) -> None:
        """Nothing to cut."""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


VISITOR = Visitor("https://app.example", "gw.example", "192.0.2.1", ())


def opened(server: Server) -> tuple[RawPeer, PlainSocket]:
    peer = result(greeter("irc", server.hub)(VISITOR))
    assert isinstance(peer, RawPeer)
    socket = PlainSocket()
    peer.opened(socket)
    return peer, socket


def test_a_browser_is_read_until_much_waits_for_the_connection() -> None:
    server = Server()
    peer, socket = opened(server)

    peer.message(bytes(PENDING_MAX_BYTES), text=False)
    assert socket.reading
    peer.message(b"more", text=False)
    assert not socket.reading

    backend = server.backend()
    assert socket.reading
    assert len(backend.value()) == PENDING_MAX_BYTES + 4
    peer.closed(1000, "")


def test_a_browser_is_not_held_by_a_backend_that_is_gone() -> None:
    server = Server()
    peer, socket = opened(server)
    peer.message(bytes(PENDING_MAX_BYTES + 1), text=False)

    server.reactor.advance(10.1)

    assert socket.close_code == 1011
    assert socket.reading, "its answer to the close frame is to be heard"
    peer.message(bytes(PENDING_MAX_BYTES + 1), text=False)
    assert socket.reading
    peer.closed(1011, "")
    assert not server.reactor.getDelayedCalls()


def test_a_full_browser_pauses_its_backend_until_it_has_drained() -> None:
    server = Server()
    peer, socket = opened(server)
    backend = server.backend()

    socket.writable = False
    backend.protocol.dataReceived(b"last read")
    assert backend.producerState == "paused"
    socket.writable = True
    peer.drained()
    assert backend.producerState == "producing"
    assert socket.sent == [b"last read"]
    peer.closed(1006, "")
    assert backend.aborted


def test_a_browser_that_leaves_ends_the_attempt_to_connect() -> None:
    server = Server()
    peer, _ = opened(server)

    peer.closed(1001, "")

    assert server.reactor.connectors[0].stoppedConnecting
    assert not server.reactor.getDelayedCalls()


def greeted(server: Server, ticket: str, *offered: str) -> Any:
    asked = Visitor("https://app.example", "gw.example", "192.0.2.1", offered, ticket)
    return result(greeter("told", server.hub)(asked))


@pytest.fixture
def ticketed(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("SOCKPROXY_TEST_KEY", SHARED.decode())
    return Server(TICKETS)


def test_a_ticket_opens_one_socket(ticketed: Server) -> None:
    peer = greeted(ticketed, mint(exp=60), "binary")

    assert isinstance(peer, RawPeer)
    assert peer.subprotocol == "binary"
    assert greeted(ticketed, mint(exp=60)) == Refusal(403, "the ticket has been used before")


@pytest.mark.parametrize(
    ("ticket", "text"),
    [
        ("", "backend told: a ticket is needed"),
        ("x", "the ticket is no JWT in its compact form"),
        (mint(exp=60, sub="carol"), "backend told: not open to carol"),
    ],
)
def test_without_a_good_ticket_there_is_no_socket(ticketed: Server, ticket: str, text: str) -> None:
    assert greeted(ticketed, ticket) == Refusal(403, text)


def test_a_socket_ends_with_its_ticket(ticketed: Server) -> None:
    peer, socket = greeted(ticketed, mint(exp=60)), PlainSocket()
    peer.opened(socket)
    backend = ticketed.backend()
    ticketed.reactor.advance(65)
    ticketed.hub.sweep()

    assert socket.close_code == 1008
    assert backend.aborted
    assert len(ticketed.shared.auth) == 0


def test_a_socket_that_is_gone_is_not_watched(ticketed: Server) -> None:
    peer = greeted(ticketed, mint(exp=60))
    peer.opened(PlainSocket())
    ticketed.backend()
    peer.closed(1000, "")

    assert len(ticketed.shared.auth) == 0


def test_an_application_that_is_away_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Application()
    monkeypatch.setattr("sockproxy.service.asking_agent", lambda *_, **__: agent)
    server = Server(FORWARD)
    asked = Visitor("https://app.example", "gw.example", "192.0.2.1", (), "opaque")
    answers: list[Any] = []
    greeting: Any = greeter("told", server.hub)(asked)
    Deferred.fromCoroutine(greeting).addCallback(answers.append)
    agent.refuse()

    assert answers == [Refusal(503, "who you are cannot be found out now", 2)]


def test_a_browser_for_whose_backend_there_is_no_descriptor_may_try_again() -> None:
    server = Server(descriptors=Descriptors(limit=16))
    _, socket = opened(server)

    assert socket.close_code == 1013
    assert server.reactor.tcpClients == []


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("streams_per_address = 1", "more than 1 streams from one address"),
        ("address_opens_per_s = 0.1", "more than 0.1 opens a second from one address"),
    ],
)
def test_one_websocket_too_many_is_told_before_the_upgrade_when_to_come_back(
    limit: str, text: str
) -> None:
    server = Server(f"{INI}[limits]\n{limit}\n")
    peer, _ = opened(server)

    assert result(greeter("irc", server.hub)(VISITOR)) == Refusal(503, text, retry_after_s=2)

    peer.closed(1000, "")
    server.reactor.advance(10)
    opened(server)[0].closed(1000, "")
    assert len(server.hub.usage.streams) == 0


def test_a_short_memory_takes_no_new_websocket() -> None:
    server = Server()
    server.hub.usage.weigh(server.settings.limits.memory)

    answer = result(greeter("irc", server.hub)(VISITOR))

    assert isinstance(answer, Refusal)
    assert (answer.status, answer.retry_after_s) == (503, 2)


def test_a_websocket_that_carried_its_bytes_may_come_again_later() -> None:
    server = Server(INI.replace("[backend told]", "max_bytes = 100B\n[backend told]"))
    peer, socket = opened(server)
    backend = server.backend()

    backend.protocol.dataReceived(bytes(101))

    assert (socket.sent, socket.close_code) == ([], 1013)
    assert backend.aborted
    peer.closed(1013, "")


def test_a_websocket_that_is_too_fast_is_read_slowly() -> None:
    server = Server(f"{INI}[limits]\nbytes_per_s = 64KiB\n")
    peer, socket = opened(server)
    server.backend()
    peer.message(bytes(PENDING_MAX_BYTES + 1), text=False)
    peer.message(bytes(PENDING_MAX_BYTES), text=False)
    assert not socket.reading

    server.reactor.pump([0.1] * 11)

    assert socket.reading
    peer.closed(1000, "")


def test_a_service_that_stops_leaves_no_timer_for_a_slowed_websocket() -> None:
    server = Server(f"{INI}[limits]\nbytes_per_s = 1KiB\n")
    peer, _ = opened(server)
    server.backend()
    peer.message(bytes(PENDING_MAX_BYTES), text=False)
    assert server.reactor.getDelayedCalls()

    server.hub.stop(Code.KILLED, "stopping")

    assert not server.reactor.getDelayedCalls()
    peer.closed(1001, "")
