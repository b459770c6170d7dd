"""Does nothing start before a trusted proxy has said for whom, and is it then told of him?"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from sockproxy.door import Front
from sockproxy.proxied import HEADER_S, ProxiedFactory
from sockproxy.proxy_header import V2_MAX_BYTES
from sockproxy.settings import Service
from tests.helpers import chunkings
from tests.test_door import LIMIT, POST, HalfClosed, Told, length
from tests.test_proxy_header import LINE, MARK, V6, binary, tcp

PROXY = IPv4Address("TCP", "10.0.0.1", 50_000)
TRUSTED = (ip_network("10.0.0.0/8"),)


class Kept(Protocol):
    """Sends back what comes."""

    factory: Any
    transport: Any

    def connectionMade(self) -> None:
        self.factory.peers.append(self.transport.getPeer())

    def dataReceived(self, data: bytes) -> None:
        self.factory.said += data
        self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.lost += 1


class Inner(Factory):
    """Keeps for whom it was asked, and what came."""

    noisy = False

    def __init__(self, *, is_full: bool = False) -> None:
        self.asked_for: list[Any] = []
        self.peers: list[Any] = []
        self.said = b""
        self.lost = 0
        self._is_full = is_full

    def buildProtocol(self, addr: Any) -> Protocol | None:
        self.asked_for.append(addr)
        if self._is_full:
            return None
        kept = Kept()
        kept.factory = self
        return kept


class Held:
    """A connection of a proxy in memory, with a clock."""

    def __init__(self, peer: Any = PROXY, trusted: Any = TRUSTED, inner: Any = None) -> None:
        self.clock = Clock()
        self.inner = inner or Inner()
        factory = ProxiedFactory(self.inner, trusted, self.clock)
        self.transport = HalfClosed(peerAddress=peer)
        self.protocol = factory.buildProtocol(peer)
        self.protocol.makeConnection(self.transport)

    def say(self, *chunks: bytes) -> Held:
        for chunk in chunks:
            self.protocol.dataReceived(chunk)
        return self

    @property
    def is_cut(self) -> bool:
        return self.transport.disconnected or self.transport.disconnecting

    def ends(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))
        assert self.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (LINE, IPv4Address("TCP", "192.0.2.7", 56_324)),
        (tcp(V6, 9), IPv6Address("TCP", "2001:db8::7", 9)),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 9 443\r\n", IPv4Address("TCP", "192.0.2.7", 9)),
        (b"PROXY UNKNOWN\r\n", UNIXAddress(None)),
        (binary(0x31, bytes(216)), UNIXAddress(None)),
        (binary(0x00, b"", command=0x20), PROXY),
    ],
)
def test_what_is_behind_is_built_for_the_client(header: bytes, client: Any) -> None:
    for chunks in chunkings(header + b"hello"):
        held = Held().say(*chunks)
        assert held.inner.asked_for == held.inner.peers == [client]
        assert held.inner.said == held.transport.value() == b"hello"
        held.ends()
        assert held.inner.lost == 1


def test_nothing_starts_before_the_header_is_whole() -> None:
    held = Held().say(LINE[:-1])

    assert held.inner.asked_for == []
    held.ends()
    assert held.inner.lost == 0


def test_the_client_is_the_peer_until_the_end() -> None:
    held = Held().say(LINE, b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n")

    assert held.inner.said.startswith(b"PROXY TCP4 1.2.3.4 ")
    assert held.inner.peers == [held.protocol.getPeer()]
    assert [client.host for client in held.inner.peers] == ["192.0.2.7"]
    held.ends()


@pytest.mark.parametrize(
    ("peer", "named"),
    [
        (IPv4Address("TCP", "192.0.2.7", 1), "192.0.2.7"),
        (IPv6Address("TCP", "2001:db8::1", 1), "2001:db8::1"),
        (IPv6Address("TCP", "fe80::1%lo", 1), "fe80::1%lo"),
        (UNIXAddress("/run/gw"), "unix"),
    ],
)
def test_whoever_is_not_trusted_is_cut_unheard(peer: Any, named: str, lines: list[str]) -> None:
    held = Held(peer)
    assert held.is_cut

    held.say(LINE + b"hello")
    held.ends()
    assert held.inner.asked_for == []
    assert lines == [f"PROXY header of {named} refused: it is not in [sockproxy] trusted_proxies"]


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        (UNIXAddress("/run/gw"), ("unix",)),
        (IPv6Address("TCP", "::ffff:10.0.0.1", 1), TRUSTED),
        (IPv6Address("TCP", "fe80::1%lo", 1), (ip_network("fe80::/10"),)),
    ],
)
def test_a_trusted_proxy_is_heard_however_it_comes(peer: Any, trusted: Any) -> None:
    held = Held(peer, trusted).say(LINE)

    assert [client.host for client in held.inner.peers] == ["192.0.2.7"]
    held.ends()


def test_a_connection_without_a_header_is_cut_with_one_line(lines: list[str]) -> None:
    held = Held().say(b"GET / HTTP/1.1\r\n", b"Host: gw.example\r\n\r\n", LINE)

    assert held.is_cut
    held.ends()
    assert held.inner.asked_for == []
    assert lines == ["PROXY header of 10.0.0.1 refused: b'GET / HTTP/1' begins no PROXY header"]


def test_a_line_of_the_log_cannot_be_forged(lines: list[str]) -> None:
    Held().say(b"PROXY UNKNOWN a\nforged\x1b[0m\r\n").ends()

    assert lines == [
        "PROXY header of 10.0.0.1 refused: b'PROXY UNKNOWN a\\\\nforged\\\\x1b[0m' is no PROXY line"
    ]


def test_a_header_has_five_seconds_whatever_comes_meanwhile(lines: list[str]) -> None:
    held = Held()
    for byte in LINE[:4]:
        held.clock.advance(1)
        held.say(bytes((byte,)))
    assert not held.is_cut

    held.clock.advance(1)
    assert held.is_cut
    held.say(LINE[4:])
    held.ends()
    assert held.inner.asked_for == []
    assert lines == ["PROXY header of 10.0.0.1 refused: it does not come"]


def test_a_header_that_came_has_no_deadline_any_more() -> None:
    held = Held().say(LINE)
    held.clock.advance(HEADER_S)

    assert not held.is_cut
    held.ends()


def test_few_bytes_are_kept_for_a_header() -> None:
    longest = binary(0x00, bytes(V2_MAX_BYTES - 16))
    held = Held().say(*(longest[at : at + 100] for at in range(0, len(longest), 100)))
    assert held.inner.peers == [UNIXAddress(None)]
    held.ends()

    held = Held().say(MARK, b"\x20\x00\xff\xff")
    assert held.is_cut
    held.ends()


def test_a_client_that_nobody_takes_is_cut() -> None:
    held = Held(inner=Inner(is_full=True)).say(LINE + b"hello", b"more")

    assert held.is_cut
    assert len(held.inner.asked_for) == 1
    held.ends()


def door_for(header: bytes, *lines: bytes, trusted: Any = TRUSTED) -> tuple[Told, Held]:
    """Let a proxy bring a request to a real door."""
    told = Told()
    held = Held(trusted=trusted)
    front = Front(told, LIMIT, Service(trusted_proxies=trusted), held.clock)
    held.protocol.factory.wrappedFactory = front
    held.say(header + POST + b"".join(line + b"\r\n" for line in lines) + length(0) + b"\r\n")
    return told, held


@pytest.mark.parametrize(
    ("header", "forwarded", "client"),
    [
        (LINE, b"X-Forwarded-For: 203.0.113.9", "192.0.2.7"),
        (b"PROXY TCP4 10.9.9.9 10.0.0.2 1 2\r\n", b"X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        (b"PROXY TCP4 10.9.9.9 10.0.0.2 1 2\r\n", b"Forwarded: for=203.0.113.9", "10.9.9.9"),
        (binary(0, b"", command=0x20), b"X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
    ],
)
def test_a_forwarded_header_goes_on_from_the_proxied_address(
    header: bytes, forwarded: bytes, client: str
) -> None:
    told, held = door_for(header, forwarded)

    assert [address.host for address in told.clients] == [client]
    held.ends()


def test_a_client_without_an_address_cannot_say_that_he_has_one() -> None:
    told, held = door_for(b"PROXY UNKNOWN\r\n", b"X-Forwarded-For: 203.0.113.9")
    assert told.clients == [UNIXAddress(None)]
    held.ends()

    told, held = door_for(
        b"PROXY UNKNOWN\r\n", b"X-Forwarded-For: 203.0.113.9", trusted=(*TRUSTED, "unix")
    )
    assert [address.host for address in told.clients] == ["203.0.113.9"]
    held.ends()


def test_a_refusal_is_read_to_its_end_before_the_connection_is_reset() -> None:
    told, held = door_for(LINE, b"Host: another.example")

    assert b"HTTP/1.1 400 " in held.transport.value()
    assert held.transport.is_half_closed
    assert not held.is_cut
    held.ends()
    assert told.clients == []
