"""Is a request let in whole, in time, and as one, or not at all?"""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource

from sockproxy.door import Front
from sockproxy.settings import Service
from tests import loopback

LIMIT = 100_001
POST = b"POST / HTTP/1.1\r\nHost: gw.example\r\n"


class Told(Resource):
    """A resource that keeps what it was asked, and says how long the body was."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.args: list[dict[bytes, list[bytes]]] = []
        self.clients: list[Any] = []

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        self.bodies.append(request.content.read())
        self.args.append(request.args)
        self.clients.append(request.getClientAddress())
        return b"%d bytes\n" % len(self.bodies[-1])

    def render_GET(self, request: Request) -> bytes:
        return b"no bytes\n"


class Door:
    """A wire to a front, and what is behind it."""

    def __init__(self, wire: loopback.Wire, told: Told) -> None:
        self.wire = wire
        self.told = told

    async def refused(self, said: bytes) -> tuple[int, bytes]:
        """Return the status of the one answer that comes before the connection ends."""
        self.wire.send(said)
        await self.wire.gone()
        answer = self.wire.received
        assert answer.count(b"HTTP/1.1 ") == 1, answer
        assert self.told.bodies == []
        return int(answer.split()[1]), answer

    async def taken(self, said: bytes) -> bytes:
        """Return the answer to a request that is good."""
        self.wire.send(said)
        await self.wire.until(lambda: self.wire.received.endswith(b" bytes\n"))
        return self.wire.received


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    told = Told()
    front = Front(told, LIMIT, Service(), loopback.reactor)
    port = loopback.reactor.listenTCP(0, front, interface="127.0.0.1")
    try:
        async with loopback.wire(port.getHost().port) as wire:
            yield Door(wire, told)
    finally:
        await port.stopListening()


def length(count: int) -> bytes:
    return b"Content-Length: %d\r\n" % count


@pytest.fixture
def no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no body touch a disk."""

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)


@pytest.mark.parametrize("announced", [LIMIT + 1, 100_000_000, 10**30])
@pytest_twisted.ensureDeferred
async def test_a_body_above_the_limit_is_refused_before_it_is_sent(announced: int) -> None:
    async with door() as there:
        status, answer = await there.refused(POST + length(announced) + b"\r\n")

    assert status == 413
    assert b"Connection: close" in answer
    assert answer.endswith(f"a body of {announced} bytes is above {LIMIT}\n".encode())


@pytest.mark.parametrize(
    "body", [b"", b"3\r\nabc\r\n0\r\n\r\n", b"not a chunk\r\n", b"ffffffffffffff\r\n"]
)
@pytest_twisted.ensureDeferred
async def test_a_body_that_does_not_say_its_length_is_refused(body: bytes) -> None:
    async with door() as there:
        status, _ = await there.refused(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)

    assert status == 411


@pytest.mark.parametrize(
    "lines",
    [
        length(3) + length(3),
        length(3) + b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\n" + length(3),
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Length: -3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length: 3, 3\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_length_that_two_parsers_could_read_in_two_ways_is_refused(lines: bytes) -> None:
    async with door() as there:
        assert (await there.refused(POST + lines + b"\r\nabc"))[0] == 400


@pytest.mark.parametrize(
    ("lines", "status"),
    [(length(LIMIT + 1), 413), (b"Transfer-Encoding: chunked\r\n", 411)],
)
@pytest_twisted.ensureDeferred
async def test_who_waits_for_100_is_not_told_to_go_on_and_then_refused(
    lines: bytes, status: int
) -> None:
    async with door() as there:
        said = POST + lines + b"Expect: 100-continue\r\n\r\n"
        assert (await there.refused(said))[0] == status


@pytest_twisted.ensureDeferred
async def test_who_waits_for_100_is_told_to_go_on() -> None:
    async with door() as there:
        there.wire.send(POST + length(3) + b"Expect: 100-continue\r\n\r\n")
        assert (await there.wire.answer())[0] == 100
        assert (await there.taken(b"abc")).endswith(b"3 bytes\n")


@pytest.mark.usefixtures("no_file")
@pytest_twisted.ensureDeferred
async def test_a_body_of_exactly_the_limit_stays_in_memory() -> None:
    """From 100,000 bytes on, twisted.web by itself would use a file."""
    body = bytes(range(256)) * 391
    async with door() as there:
        answer = await there.taken(POST + length(LIMIT) + b"\r\n" + body[:LIMIT])

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert there.told.bodies == [body[:LIMIT]]
    assert LIMIT > 100_000


@pytest.mark.usefixtures("no_file")
@pytest.mark.parametrize(
    "kind", [b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"]
)
@pytest_twisted.ensureDeferred
async def test_a_form_is_bytes_like_any_other(kind: bytes) -> None:
    form = b"a=1&b=2" if b"url" in kind else b"--x\r\nno part of a form"
    head = POST + b"Content-Type: %s\r\n" % kind + length(len(form)) + b"\r\n"
    async with door() as there:
        assert (await there.taken(head + form)).startswith(b"HTTP/1.1 200 ")

    assert there.told.bodies == [form]
    assert there.told.args == [{}]


@pytest.mark.parametrize(
    "refused",
    [
        length(LIMIT + 1) + b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_pipelined_behind_a_refused_request_is_not_answered(refused: bytes) -> None:
    async with door() as there:
        await there.refused(POST + refused + (POST + length(3) + b"\r\nabc") * 3)


@pytest_twisted.ensureDeferred
async def test_an_answer_is_loaded_by_no_other_site_as_part_of_its_page() -> None:
    async with door() as there:
        answer = await there.taken(b"GET / HTTP/1.1\r\nHost: gw.example\r\n\r\n")

    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer
    assert b"\r\nCross-Origin-Resource-Policy: same-origin\r\n" in answer


@pytest_twisted.ensureDeferred
async def test_good_requests_share_a_connection() -> None:
    async with door() as there:
        there.wire.send(b"".join(POST + length(n) + b"\r\n" + bytes(n) for n in range(20)))
        await there.wire.until(lambda: there.wire.received.count(b" bytes\n") == 20)

    assert [len(body) for body in there.told.bodies] == list(range(20))


@pytest_twisted.ensureDeferred
async def test_requests_that_carry_a_session_fill_no_log(lines: list[str]) -> None:
    async with door() as there:
        there.wire.send((POST + length(3) + b"\r\nabc") * 5)
        await there.wire.until(lambda: there.wire.received.count(b" bytes\n") == 5)
        assert not [line for line in lines if "HTTP/1.1" in line]
        there.wire.received = b""
        await there.taken(b"GET / HTTP/1.1\r\nHost: gw.example\r\n\r\n")

    assert len([line for line in lines if '"GET / HTTP/1.1" 200 ' in line]) == 1


@pytest_twisted.ensureDeferred
async def test_a_line_of_a_request_holds_no_query_and_no_referer(lines: list[str]) -> None:
    async with door() as there:
        asked = b"GET /a%0ab?ticket=secret HTTP/1.1\r\nHost: gw.example\r\n"
        more = b'Referer: https://a.example/?secret\r\nUser-Agent: a" 200 "b\r\n\r\n'
        await there.taken(asked + more)

    (line,) = [line for line in lines if "HTTP/1.1" in line]
    assert re.fullmatch(r'127\.0\.0\.1 "GET /a%0ab HTTP/1\.1" 200 [0-9]+ "a\\" 200 \\"b"', line)


class HalfClosed(StringTransport):
    """A transport that may be closed one way."""

    def loseWriteConnection(self) -> None:
        self.is_half_closed = True


class Held:
    """A channel in memory, with a clock."""

    def __init__(self, peer: Any = None, **options: Any) -> None:
        self.clock = Clock()
        self.told = Told()
        self.transport = HalfClosed(peerAddress=peer)
        front = Front(self.told, LIMIT, Service(**options), self.clock)
        self.channel: Any = front.buildProtocol(self.transport.getPeer())
        self.channel.makeConnection(self.transport)

    def answers(self) -> list[int]:
        heads = self.transport.value().split(b"HTTP/1.1 ")[1:]
        return [int(head.split()[0]) for head in heads]

    def passes(self, seconds: float) -> list[int]:
        """Let time pass, then say what was answered; a cut connection is told."""
        self.clock.advance(seconds)
        return self.answers()

    @property
    def is_cut(self) -> bool:
        return self.transport.disconnected or self.transport.disconnecting

    def ends(self) -> None:
        self.channel.connectionLost(Failure(ConnectionDone()))
        assert self.clock.getDelayedCalls() == []


def test_no_request_is_answered_on_top_of_answers_that_nobody_reads() -> None:
    """A segment of requests for a file would else be a thousand copies of it in memory."""
    held = Held()
    get = b"GET / HTTP/1.1\r\nHost: gw.example\r\n\r\n"

    held.channel.pauseProducing()  # as its transport does, where too much is unsent
    held.channel.dataReceived(3 * get)
    assert held.answers() == []

    held.channel.resumeProducing()
    assert held.answers() == [200, 200, 200]
    held.ends()


def test_a_head_has_ten_seconds_whatever_comes_meanwhile() -> None:
    held = Held()
    for byte in b"GET / HTT":
        assert held.passes(1) == []
        held.channel.dataReceived(bytes((byte,)))

    assert held.passes(1) == [408]
    held.channel.dataReceived(b"P/1.1\r\nHost: gw.example\r\n\r\n")
    assert held.answers() == [408]
    held.ends()


def test_a_body_has_twenty_seconds_whatever_comes_meanwhile() -> None:
    held = Held()
    held.channel.dataReceived(POST + length(100) + b"\r\n")
    for _ in range(19):
        assert held.passes(1) == []
        held.channel.dataReceived(b"a")

    assert held.passes(1) == [408]
    assert held.told.bodies == []
    held.ends()


def test_the_next_head_has_ten_seconds_from_its_first_byte() -> None:
    held = Held()
    held.channel.dataReceived(POST + length(0) + b"\r\n")
    assert held.passes(15) == [200]
    held.channel.dataReceived(b"P")
    assert held.passes(9) == [200]
    assert held.passes(1) == [200, 408]
    held.ends()


def test_a_connection_that_asks_nothing_more_is_closed_after_a_minute() -> None:
    held = Held()
    held.channel.dataReceived(POST + length(0) + b"\r\n")
    held.passes(20)
    assert held.passes(39) == [200]
    assert not held.is_cut
    held.passes(1)
    assert held.is_cut
    held.ends()


def test_a_client_that_takes_no_answer_is_cut_after_twenty_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sockproxy.door.unsent_bytes", lambda transport: 1)
    held = Held()
    held.channel.dataReceived(POST + length(0) + b"\r\n")
    held.passes(19)
    assert not held.is_cut
    held.passes(1)
    assert held.is_cut
    held.ends()


@pytest.mark.parametrize("said", [b"Connection: close\r\n", b""])
def test_a_connection_that_ends_with_its_answer_does_end(said: bytes) -> None:
    held = Held()
    version = b"1.1" if said else b"1.0"
    held.channel.dataReceived(POST.replace(b"1.1", version) + said + length(0) + b"\r\n")

    (deadline,) = held.clock.getDelayedCalls()
    assert deadline.getTime() == 20
    assert held.is_cut
    held.ends()


def test_a_host_that_is_not_listed_is_misdirected() -> None:
    held = Held(hosts=("gw.example",))
    held.channel.dataReceived(POST.replace(b"gw.", b"evil.") + length(0) + b"\r\n")

    assert held.answers() == [421]
    assert b"421 Misdirected Request" in held.transport.value()
    assert b"Host evil.example is not served here; [sockproxy] hosts" in held.transport.value()
    held.passes(2)
    assert held.is_cut
    held.ends()


def test_one_empty_line_before_a_request_is_forgiven() -> None:
    for blanks, answer in ((b"\r\n", 200), (b"\r\n\r\n\r\n", 400)):
        held = Held()
        for byte in blanks + POST + length(0) + b"\r\n":
            held.channel.dataReceived(bytes((byte,)))
        assert held.answers() == [answer]
        held.ends()


def test_no_http_2_is_agreed_on() -> None:
    assert Held().channel.site.acceptableProtocols() == [b"http/1.1"]


NEAR = IPv4Address("TCP", "10.0.0.1", 50_000)
PROXIES = (ip_network("10.0.0.0/8"),)


def said_by(peer: Any, line: bytes, **options: Any) -> Held:
    held = Held(peer, **options)
    held.channel.dataReceived(POST + line + b"\r\n" + length(0) + b"\r\n")
    held.ends()
    return held


@pytest.mark.parametrize(
    ("header", "line", "client"),
    [
        ("X-Forwarded-For", b"X-Forwarded-For: 1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("X-Forwarded-For", b"Forwarded: for=198.51.100.1", "10.0.0.1"),
        ("Forwarded", b'Forwarded: for=1.2.3.4, for="[2001:db8::7]:80"', "2001:db8::7"),
        ("Forwarded", b"X-Forwarded-For: 198.51.100.1", "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_says_who_the_client_is(header: str, line: bytes, client: str) -> None:
    held = said_by(NEAR, line, trusted_proxies=PROXIES, client_header=header)

    assert [address.host for address in held.told.clients] == [client]


def test_a_trusted_proxy_that_says_nonsense_is_refused() -> None:
    held = said_by(NEAR, b"X-Forwarded-For: unknown", trusted_proxies=PROXIES)

    assert held.answers() == [400]
    assert b"X-Forwarded-For: 'unknown' is no address of a client" in held.transport.value()


def test_each_request_of_a_proxy_has_its_own_client() -> None:
    held = Held(NEAR, trusted_proxies=PROXIES)
    for client in (b"198.51.100.1", b"198.51.100.2"):
        held.channel.dataReceived(
            POST + b"X-Forwarded-For: " + client + b"\r\n" + length(0) + b"\r\n"
        )
    held.channel.dataReceived(POST + length(0) + b"\r\n")

    found = [address.host for address in held.told.clients]
    assert found == ["198.51.100.1", "198.51.100.2", "10.0.0.1"]
    held.ends()


def test_whom_nobody_trusts_is_warned_of_once(lines: list[str]) -> None:
    held = Held(NEAR)
    for _ in range(3):
        held.channel.dataReceived(POST + b"X-Forwarded-For: 1.2.3.4\r\n" + length(0) + b"\r\n")

    assert {address.host for address in held.told.clients} == {"10.0.0.1"}
    assert [line for line in lines if "trusted_proxies" in line] == [
        "X-Forwarded-For from 10.0.0.1 is not believed: if that is your proxy, write"
        " trusted_proxies = 10.0.0.1 into [sockproxy]"
    ]
    held.ends()


def test_a_unix_socket_is_trusted_where_it_is_said_so() -> None:
    line = b"X-Forwarded-For: 198.51.100.1"

    (believed,) = said_by(UNIXAddress("/run/gw"), line, trusted_proxies=("unix",)).told.clients
    (other,) = said_by(UNIXAddress("/run/gw"), line, trusted_proxies=PROXIES).told.clients
    assert believed.host == "198.51.100.1"
    assert other == UNIXAddress("/run/gw")
