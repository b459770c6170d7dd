"""Are a request's head and body read only where no two parsers could differ, and in bounds?"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.test.requesthelper import DummyChannel
from zope.interface import implementer

from sockproxy.front import BadHead, Front, Visitor, one_header, visitor
from tests import loopback


def request(*lines: tuple[str, bytes], peer: Any = None) -> Request:
    channel: Any = DummyChannel()
    made = Request(channel, False)
    made.client = peer or IPv4Address("TCP", "192.0.2.1", 50_000)
    for name, value in (("Host", b"gw.example"), *lines):
        made.requestHeaders.addRawHeader(name.encode(), value)
    return made


def test_a_visitor_is_what_the_head_says() -> None:
    found = visitor(
        request(
            ("Origin", b"https://app.example"),
            ("Sec-WebSocket-Protocol", b"binary, mqtt"),
            ("Sec-WebSocket-Protocol", b"irc"),
            ("X-Forwarded-For", b"198.51.100.1"),
        )
    )

    assert found == Visitor(
        origin="https://app.example",
        host="gw.example",
        peer="192.0.2.1",
        offered=("binary", "mqtt", "irc"),
    )


def test_an_origin_is_as_long_as_a_name_may_be() -> None:
    longest = b"https://" + b"a" * 292
    assert visitor(request(("Origin", longest))).origin == longest.decode()
    with pytest.raises(BadHead, match="an Origin of 301 bytes is above 300"):
        visitor(request(("Origin", longest + b"a")))


def test_what_is_not_there_is_none() -> None:
    assert visitor(request()) == Visitor(None, "gw.example", "192.0.2.1", ())


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        (IPv6Address("TCP", "2001:db8::1", 50_000), "2001:db8::1"),
        (UNIXAddress("/run/gw.sock"), "unix"),
    ],
)
def test_a_peer_is_an_address_or_the_unix_socket(peer: Any, shown: str) -> None:
    assert visitor(request(peer=peer)).peer == shown


@pytest.mark.parametrize("host", [b"gw.example:8080", b"GW.example", b"127.0.0.1", b"[::1]:8080"])
def test_a_host_may_have_a_port(host: bytes) -> None:
    made = request()
    made.requestHeaders.setRawHeaders(b"Host", [host])

    assert visitor(made).host == host.decode()


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b"gw.example", b"gw.example"],
        [b""],
        [b"a b"],
        [b"gw.example:port"],
        [b"gw.example/path"],
        [b"user@gw.example"],
        [b"[::1"],
        [b"gw.example\x0b"],
    ],
)
def test_exactly_one_valid_host_is_needed(hosts: list[bytes]) -> None:
    made = request()
    made.requestHeaders.setRawHeaders(b"Host", hosts)

    with pytest.raises(BadHead) as bad:
        visitor(made)
    assert bad.value.status == 400


@pytest.mark.parametrize("odd", [b"\x00", b"\x0b", b"\x0c", b"\x1c", b"\x1e", b"\x7f", b"\x85"])
@pytest.mark.parametrize("name", ["Origin", "Sec-WebSocket-Protocol"])
def test_a_byte_that_another_parser_may_split_at_is_refused(name: str, odd: bytes) -> None:
    with pytest.raises(BadHead) as bad:
        visitor(request((name, b"https://app.example" + odd + b"Origin: https://evil.example")))

    assert bad.value.text == f"{name.lower()} holds a byte outside 20..7e"


def test_a_second_origin_is_refused_even_if_it_is_the_same() -> None:
    twice = ("Origin", b"https://app.example")

    with pytest.raises(BadHead, match="origin stands 2 times"):
        visitor(request(twice, twice))


@pytest.mark.parametrize("offered", [b"", b"a,,b", b"a b", b"a/b", b'"a"'])
def test_an_offered_subprotocol_is_a_token(offered: bytes) -> None:
    with pytest.raises(BadHead, match="is no token"):
        visitor(request(("Sec-WebSocket-Protocol", offered)))


def test_a_header_that_is_not_read_may_hold_what_it_likes() -> None:
    made = request(("Cookie", b"name=\xc3\xa9\x85"))

    assert visitor(made).origin is None
    assert one_header(made, "x-missing") is None


LIMIT = 100_001
POST = b"POST / HTTP/1.1\r\nHost: gw.example\r\n"


class Told(Resource):
    """A resource that keeps what it was asked, and says how long the body was."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.args: list[dict[bytes, list[bytes]]] = []

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        self.bodies.append(request.content.read())
        self.args.append(request.args)
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
    front = Front(told, LIMIT, 60)
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


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged during the test."""
    caught: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        caught.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield caught
    globalLogPublisher.removeObserver(observe)


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
