"""Does only a valid upgrade become a WebSocket, and does a bad one end with a name?"""

from __future__ import annotations

import sys
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from sockproxy.front import Visitor
from sockproxy.upgrade import (
    CLOSE_TIMEOUT_S,
    FAREWELL_MAX_BYTES,
    FRAGMENTS_MAX,
    MESSAGE_MAX_BYTES,
    PINGS_BURST,
    Connection,
    Peer,
    Refusal,
    Socket,
    SocketFactory,
    UpgradeResource,
)
from tests import loopback
from tests.loopback import head, masked


class Echo:
    """A peer that answers what it hears."""

    subprotocol: str | None = None
    pings = False

    def __init__(self) -> None:
        self.socket: Socket | None = None
        self.ends: list[int] = []
        self.drains = 0

    def opened(self, socket: Socket) -> None:
        self.socket = socket

    def message(self, data: bytes, text: bool) -> None:
        assert self.socket is not None
        if data == b"fail":
            raise ValueError("a fault of ours")
        self.socket.send(data, text=text)

    def drained(self) -> None:
        self.drains += 1

    def closed(self, code: int, reason: str) -> None:
        self.ends.append(code)


def tree(peer: Echo, close_timeout_s: float = CLOSE_TIMEOUT_S) -> Resource:
    async def greet(visitor: Visitor) -> Peer | Refusal:
        if visitor.origin == "https://evil.example":
            return Refusal(403, "not you")
        peer.subprotocol = visitor.offered[0] if visitor.offered else None
        return peer

    root = Resource()
    root.putChild(b"ws", UpgradeResource(greet, SocketFactory(loopback.reactor, close_timeout_s)))
    return root


@pytest_twisted.ensureDeferred
async def test_messages_go_both_ways_whole() -> None:
    peer = Echo()
    async with loopback.site(tree(peer)) as port, loopback.wire(port) as wire:
        wire.send(head("/ws", "Sec-WebSocket-Protocol: binary, other"))
        status, answer = await wire.answer()
        assert status == 101
        assert b"Sec-WebSocket-Protocol: binary" in answer
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer, "the accept key of RFC 6455"
        for size in (0, 1, 125, 126, 65_535, 65_536):
            wire.send(masked(2, bytes(size)))
            assert (await wire.frame()).payload == bytes(size)
        wire.send(masked(1, "größe".encode()))
        assert await wire.frame() == loopback.Frame(1, "größe".encode())
        wire.send(masked(8, (1000).to_bytes(2, "big")))
        assert (await wire.frame()).close_code == 1000
        await wire.gone()
    assert peer.ends == [1000]


@pytest_twisted.ensureDeferred
async def test_bytes_in_the_segment_of_the_upgrade_are_not_lost() -> None:
    async with loopback.site(tree(Echo())) as port, loopback.wire(port) as wire:
        wire.send(head("/ws") + masked(2, b"at once"))
        await wire.answer()
        assert (await wire.frame()).payload == b"at once"


@pytest_twisted.ensureDeferred
async def test_a_message_cut_at_every_byte_arrives_whole() -> None:
    async with loopback.site(tree(Echo())) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        wire.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        for byte in masked(2, b"byte by byte") + masked(9, b"ping between"):
            wire.send(bytes((byte,)))
        assert (await wire.frame()).payload == b"byte by byte"
        assert await wire.frame() == loopback.Frame(10, b"ping between")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (head("/ws", without="Upgrade"), 426),
        (head("/ws", without="Connection"), 426),
        (head("/ws", without="Sec-WebSocket-Key"), 400),
        (head("/ws", without="Sec-WebSocket-Version"), 426),
        (head("/ws", without="Host"), 400),
        (head("/ws", "Host: again"), 400),
        (head("/ws", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (head("/ws", "Origin: a", "Origin: b"), 400),
        (head("/ws", "Origin: https://\x85app.example"), 400),
        (head("/ws", "Origin: https://evil.example"), 403),
        (head("/ws", "Sec-WebSocket-Protocol: a b"), 400),
        (head("/ws").replace(b"Key: dGhl", b"Key: dG"), 400),
        (head("/ws").replace(b"Version: 13", b"Version: 8"), 426),
        (head("/ws").replace(b"GET", b"POST"), 400),
        (head("/ws").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_bad_upgrade_gets_a_status_and_no_peer(request_bytes: bytes, status: int) -> None:
    peer = Echo()
    async with loopback.site(tree(peer)) as port, loopback.wire(port) as wire:
        wire.send(request_bytes)
        assert (await wire.answer())[0] == status
    assert peer.socket is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(2, b"x", mask=False), 1002),
        (b"\xc2\x80\x00\x00\x00\x00", 1002),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (masked(0, b"continues nothing"), 1002),
        (masked(1, b"\xff\xfe"), 1007),
        (b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4), 1009),
        (b"\x82\xff" + (MESSAGE_MAX_BYTES + 1).to_bytes(8, "big") + bytes(4), 1009),
        (masked(2, bytes(MESSAGE_MAX_BYTES), final=False) + masked(0, b"x"), 1009),
        (masked(9, bytes(126)), 1002),
        (masked(2, b"", final=False) + masked(0, b"", final=False) * FRAGMENTS_MAX, 1009),
        (b"\xc2" + masked(2, b"deflated")[1:], 1002),
    ],
    ids=[
        "unmasked",
        "reserved bit",
        "reserved opcode",
        "continuation of nothing",
        "text that is not UTF-8",
        "length of 2^62",
        "frame over the limit",
        "fragments over the limit",
        "long ping",
        "fragments without end",
        "a compressed message",
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_bad_frame_gets_a_close_code(data: bytes, code: int) -> None:
    peer = Echo()
    async with loopback.site(tree(peer)) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        wire.send(data)
        found = await wire.frame()
        assert (found.opcode, found.close_code) == (8, code)
        wire.send(masked(8, found.payload[:2]))
        await wire.gone()
        await loopback.settle(lambda: len(peer.ends) == 1)


@pytest.mark.parametrize(
    "way", ["permessage-deflate", "permessage-deflate; client_max_window_bits"]
)
@pytest_twisted.ensureDeferred
async def test_no_compression_is_agreed_on(way: str) -> None:
    """What is as short as its like betrays a secret that stands beside it."""
    async with loopback.site(tree(Echo())) as port, loopback.wire(port) as wire:
        wire.send(head("/ws", f"Sec-WebSocket-Extensions: {way}"))
        status, answer = await wire.answer()
        wire.send(masked(2, bytes(100)))

        assert status == 101
        assert b"extensions" not in answer.lower()
        assert (await wire.frame()).payload == bytes(100)


@pytest_twisted.ensureDeferred
async def test_a_fault_of_the_peer_is_logged_and_told(logged_errors: Any) -> None:
    async with loopback.site(tree(Echo())) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        wire.send(masked(2, b"fail"))
        assert (await wire.frame()).close_code == 1011
    assert len(logged_errors.flush(ValueError)) == 1


@pytest_twisted.ensureDeferred
async def test_a_socket_says_when_it_is_full_and_when_it_has_drained() -> None:
    peer = Echo()
    async with loopback.site(tree(peer)) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        wire.transport.pauseProducing()  # type: ignore[union-attr]
        assert peer.socket is not None
        sent = 0
        while peer.socket.writable:
            peer.socket.send(bytes(60_000))
            sent += 60_000
        assert sent < 16 * 1024 * 1024
        wire.transport.resumeProducing()  # type: ignore[union-attr]
        await loopback.settle(lambda: peer.drains > 0)
        assert peer.socket.writable


@pytest_twisted.ensureDeferred
async def test_reading_can_be_paused() -> None:
    peer = Echo()
    async with loopback.site(tree(peer)) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        assert peer.socket is not None
        peer.socket.pause_reading()
        wire.send(masked(2, b"later"))
        peer.socket.resume_reading()
        assert (await wire.frame()).payload == b"later"


@pytest_twisted.ensureDeferred
async def test_closing_says_the_code() -> None:
    peer = Echo()
    async with loopback.site(tree(peer)) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        assert peer.socket is not None
        peer.socket.close(4038, "superseded" * 30)
        peer.socket.close(4038, "twice is harmless")
        found = await wire.frame()
        assert found.close_code == 4038
        assert len(found.payload) <= 125
        wire.send(masked(8, found.payload[:2]))
        await wire.gone()
        await loopback.settle(lambda: peer.ends == [4038])


@pytest_twisted.ensureDeferred
async def test_aborting_says_nothing() -> None:
    peer = Echo()
    async with loopback.site(tree(peer)) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        assert peer.socket is not None
        peer.socket.abort()
        await wire.gone()
        assert wire.received == b""
        await loopback.settle(lambda: peer.ends == [1006])


@pytest.mark.parametrize("reads_on", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_slow_reader_gets_the_last_byte_but_not_for_ever(reads_on: bool) -> None:
    peer, timeout_s = Echo(), 0.05
    async with loopback.site(tree(peer, timeout_s)) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        assert peer.socket is not None
        wire.transport.pauseProducing()  # type: ignore[union-attr]
        sent = 0
        while peer.socket.writable:
            peer.socket.send(bytes(60_000))
            sent += 1
            await loopback.turn()
        peer.socket.close(1000)
        if not reads_on:
            await loopback.settle(lambda: peer.ends == [1006])
            return
        await deferLater(loopback.reactor, 10 * timeout_s)
        assert peer.ends == []
        wire.transport.resumeProducing()  # type: ignore[union-attr]
        for _ in range(sent):
            assert len((await wire.frame()).payload) == 60_000
        assert (await wire.frame()).close_code == 1000


@pytest_twisted.ensureDeferred
async def test_a_browser_that_does_not_read_its_last_words_is_cut() -> None:
    peer = Echo()
    async with loopback.site(tree(peer, 0.05)) as port, loopback.wire(port) as wire:
        wire.send(head("/ws"))
        await wire.answer()
        assert peer.socket is not None
        wire.transport.pauseProducing()  # type: ignore[union-attr]
        while peer.socket.writable:
            peer.socket.send(bytes(60_000))
            await loopback.turn()
        wire.send(masked(8, b""))
        await loopback.settle(lambda: peer.ends == [1005])


def connected(peer: Echo) -> tuple[Connection, StringTransport]:
    """Return a WebSocket in memory."""
    connection, transport = Connection(peer, Clock().seconds), StringTransport()
    connection.factory = SocketFactory(loopback.reactor)
    connection.makeConnection(transport)
    transport.registerProducer(connection, True)
    connection.dataReceived(head("/"))
    transport.clear()
    return connection, transport


def test_a_socket_that_we_do_not_read_is_not_taken_for_dead() -> None:
    peer = Echo()
    connection, transport = connected(peer)

    connection.pause_reading()
    connection.onAutoPingTimeout()
    assert transport.value().startswith(b"\x89"), "another ping"
    assert peer.ends == []

    connection.resume_reading()
    connection.onAutoPingTimeout()
    assert transport.disconnecting
    connection.connectionLost()
    assert peer.ends == [1006]


def test_a_message_may_come_in_so_many_fragments_again_and_again() -> None:
    peer = Echo()
    connection, transport = connected(peer)
    heard: list[bytes] = []
    peer.message = lambda data, text: heard.append(data)  # type: ignore[method-assign]

    message = masked(2, b"a", final=False) + masked(0, b"b", final=False) * (FRAGMENTS_MAX - 2)
    for _ in range(3):
        connection.dataReceived(message + masked(9, b"between") + masked(0, b"c"))

    assert heard == [b"a" + b"b" * (FRAGMENTS_MAX - 2) + b"c"] * 3
    assert transport.value() == loopback.masked(10, b"between", mask=False) * 3
    connection.dropConnection(abort=True)
    connection.connectionLost()


def test_a_browser_that_reads_no_pong_gets_the_last_one_only() -> None:
    """A peer may answer only the newest of many pings (RFC 6455 section 5.5.3)."""
    connection, transport = connected(Echo())

    connection.dataReceived(masked(9, b"first"))
    connection.pauseProducing()
    for number in range(100):
        connection.dataReceived(masked(9, b"%d" % number))
    assert transport.value() == masked(10, b"first", mask=False)

    connection.resumeProducing()
    connection.resumeProducing()
    assert transport.value() == masked(10, b"first", mask=False) + masked(10, b"99", mask=False)
    connection.dropConnection(abort=True)
    connection.connectionLost()


def test_a_flood_of_pings_ends_a_websocket_and_a_ping_now_and_then_does_not() -> None:
    peer = Echo()
    connection, transport = connected(peer)
    for _ in range(PINGS_BURST):
        connection.dataReceived(masked(9, b""))
    assert transport.value().endswith(masked(10, b"", mask=False))
    connection.dataReceived(masked(9, b"one too many"))

    assert (1008).to_bytes(2, "big") in transport.value()[-40:]
    connection.dropConnection(abort=True)
    connection.connectionLost()
    assert peer.ends == [1006]


@pytest.mark.parametrize("opcode", [2, 9])
def test_nothing_is_kept_of_what_follows_a_bad_frame(opcode: int) -> None:
    connection, transport = connected(Echo())
    endless = bytes((0x80 | opcode, 0xFF)) + (2**62).to_bytes(8, "big") + bytes(4)

    connection.dataReceived(endless)
    assert transport.value()[:1] == b"\x88"
    for _ in range(50):
        connection.dataReceived(bytes(100_000))

    kept = [*(connection.control_frame_data or []), *(connection.frame_data or [])]
    assert len(connection.data) + sum(map(len, kept)) <= FAREWELL_MAX_BYTES
    connection.dropConnection(abort=True)
    connection.connectionLost()


def test_nothing_is_kept_of_what_follows_the_end() -> None:
    connection, transport = connected(Echo())
    connection.dataReceived(masked(8, b""))
    assert transport.value()[:1] == b"\x88"

    for _ in range(50):
        connection.dataReceived(bytes(100_000))

    assert connection.data == b""
    connection.connectionLost()


def calls(act: Any) -> int:
    """Count the Python calls that `act` makes."""
    count = 0

    def see(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(see)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def test_browsers_that_do_not_answer_a_close_do_not_fill_the_log(lines: list[str]) -> None:
    for _ in range(600):
        connection, _ = connected(Echo())
        connection.onCloseHandshakeTimeout()
        connection.connectionLost()

    assert 0 < len(lines) <= 500


def test_a_message_costs_few_calls() -> None:
    peer = Echo()
    connection, _ = connected(peer)
    peer.message = lambda data, text: None  # type: ignore[method-assign]
    whole = masked(2, bytes(100))
    connection.dataReceived(whole)

    assert calls(lambda: connection.dataReceived(whole)) <= 45
    assert peer.socket is not None
    sink = peer.socket
    assert calls(lambda: sink.send(bytes(100))) <= 12
    connection.dropConnection(abort=True)
    connection.connectionLost()
