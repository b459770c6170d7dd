"""Is a head refused that two parsers could read in two ways, and every other one taken?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy import head
from sockproxy.head import BadHead, Head, hopeless, judge, refusal

GET = b"GET /sp/_/ws HTTP/1.1"
HOST = b"Host: gw.example"
POST = b"POST /sp/_/up HTTP/1.1"
MOST = 1000


def judged(*lines: bytes) -> Head:
    return judge(b"\r\n".join(lines), MOST)


def refused(*lines: bytes) -> tuple[int, str]:
    with pytest.raises(BadHead) as bad:
        judged(*lines)
    return bad.value.status, bad.value.text


def test_a_good_head_is_handed_on_as_it_came() -> None:
    lines = (POST, b"Host: GW.example:8080", b"X-Odd:\t a\tb ", b"Content-Length: 1000")

    assert judged(*lines) == Head(b"\r\n".join(lines) + b"\r\n\r\n", "gw.example", 1000)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b" GET / HTTP/1.1", 400),
        (b"get / HTTP/1.1", 400),
        (b"G(T / HTTP/1.1", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/11", 400),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/1.2", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"CONNECT irc.example:6667 HTTP/1.1", 405),
        (b"TRACE / HTTP/1.1", 405),
        (b"OPTIONS * HTTP/1.1", 400),
        (b"GET http://gw.example/ HTTP/1.1", 400),
        (b"GET /#a HTTP/1.1", 400),
        (b"GET /\xc3\xa9 HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /" + b"a" * 8191 + b" HTTP/1.1", 200),
        (b"GET /" + b"a" * 8192 + b" HTTP/1.1", 414),
    ],
)
def test_the_first_line_has_one_form(line: bytes, status: int) -> None:
    if status == 200:
        assert judged(line, HOST).body_bytes == 0
    else:
        assert refused(line, HOST)[0] == status


@pytest.mark.parametrize(
    "field",
    [
        b"no colon",
        b": no name",
        b"X-A : space before the colon",
        b" folded: line",
        b"\tfolded: line",
        b"X(A): no token",
        b"X-A: bare \n LF",
        b"X-A: bare \r CR",
        b"X-A: nul \x00",
        b"X-A: \x7f",
        b"X\xc3\xa9: name",
        b"X" * 257 + b": long name",
    ],
)
def test_a_header_has_one_form(field: bytes) -> None:
    assert refused(GET, HOST, field)[0] == 400


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        (HOST, HOST),
        (b"Host:",),
        (b"Host: a b",),
        (b"Host: user@gw.example",),
        (b"Host: gw.example/path",),
        (b"Host: gw.example,evil.example",),
        (b"Host: gw.example:",),
        (b"Host: gw.example:65536",),
        (b"Host: gw.example:080808",),
        (b"Host: [::1",),
        (b"Host: .gw.example",),
    ],
)
def test_there_is_one_host_and_it_is_one(hosts: tuple[bytes, ...]) -> None:
    assert refused(GET, *hosts)[0] == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((b"Content-Length: 5", b"Content-Length: 5"), 400),
        ((b"Content-Length: 5, 5",), 400),
        ((b"Content-Length: +5",), 400),
        ((b"Content-Length: -5",), 400),
        ((b"Content-Length: 0x5",), 400),
        ((b"Content-Length: 1_0",), 400),
        ((b"Content-Length:",), 400),
        ((b"Content-Length: 1001",), 413),
        ((b"Content-Length: " + b"9" * 500,), 413),
        ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        ((b"Transfer-Encoding: chunked",), 411),
        ((b"Transfer-Encoding: Chunked",), 411),
        ((b"Transfer-Encoding: identity",), 400),
        ((b"Transfer-Encoding: gzip, chunked",), 400),
        ((b"Transfer-Encoding: chunked,",), 400),
        ((b"Transfer-Encoding: \tchunked\t",), 411),
        ((b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        ((b"Transfer-Encoding:",), 400),
    ],
)
def test_a_body_has_one_length(fields: tuple[bytes, ...], status: int) -> None:
    assert refused(POST, HOST, *fields)[0] == status


def test_no_body_is_coded_for_an_old_client() -> None:
    assert refused(b"POST / HTTP/1.0", HOST, b"Transfer-Encoding: chunked")[0] == 400


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
def test_a_method_without_a_meaning_for_bodies_has_none(method: bytes) -> None:
    line = method + b" / HTTP/1.1"

    assert refused(line, HOST, b"Content-Length: 1") == (
        400,
        f"{method.decode()} with a body of 1 bytes",
    )
    assert judged(line, HOST, b"Content-Length: 0").body_bytes == 0


def test_headers_are_counted() -> None:
    many = [b"X-%d: a" % number for number in range(head.HEADERS_MAX)]

    assert judged(GET, HOST, *many[1:]).host == "gw.example"
    assert refused(GET, HOST, *many) == (431, "101 headers, above 100")


@pytest.mark.parametrize("name", sorted(head.READ - {b"host", b"transfer-encoding"}))
def test_a_byte_above_7f_in_what_we_read_is_refused(name: bytes) -> None:
    assert refused(POST, HOST, name + b": a\x85b")[0] == 400


def test_any_other_header_with_such_a_byte_is_left_out_and_the_rest_goes_on() -> None:
    cookie = "Cookie: name=J\u00fcrgen".encode()

    kept = judged(GET, HOST, cookie, b"X-B: kept").raw
    assert kept == b"\r\n".join((GET, HOST, b"X-B: kept", b"", b""))


@pytest.mark.parametrize("byte", [*range(9), *range(10, 32), 127])
def test_no_header_holds_a_control_byte(byte: int) -> None:
    for name in (b"Cookie", b"X-A", b"User-Agent", b"Origin", b"Sec-WebSocket-Protocol"):
        assert refused(GET, HOST, name + b": a" + bytes((byte,)) + b"b")[0] == 400


@pytest.mark.parametrize("partial", [b"", GET, GET + b"\r", GET + b"\r\nHost", b"\r\n"])
def test_what_may_still_become_a_head_is_waited_for(partial: bytes) -> None:
    hopeless(partial)


@pytest.mark.parametrize(
    ("partial", "status"),
    [(b"GET / HTTP/1.1\nHost: a\n\n", 400), (b"\n", 400), (b"a" * 16_385, 431)],
)
def test_what_cannot_is_not(partial: bytes, status: int) -> None:
    with pytest.raises(BadHead) as bad:
        hopeless(partial)
    assert bad.value.status == status


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_whatever_comes_is_judged_or_refused_and_never_changed(line: bytes, field: bytes) -> None:
    """What is handed on has as many lines as were judged, and no byte of its own."""
    for raw in (line + b"\r\n" + HOST + b"\r\n" + field, b"\r\n".join((GET, HOST, field))):
        try:
            found = judge(raw, MOST)
        except BadHead:
            continue
        lines = found.raw.removesuffix(head.END).split(b"\r\n")
        assert all(kept in raw.split(b"\r\n") for kept in lines)
        assert len(found.raw.splitlines()) == len(lines) + 1


def test_a_head_that_asks_for_an_upgrade_says_so() -> None:
    assert judged(GET, HOST, b"Upgrade: websocket").upgrades
    assert not judged(GET, HOST).upgrades


def test_a_refusal_is_a_whole_answer_that_ends_the_connection() -> None:
    assert refusal(BadHead(431, "too much")) == (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"X-Content-Type-Options: nosniff\r\n"
        b"Content-Length: 9\r\n"
        b"Connection: close\r\n\r\n"
        b"too much\n"
    )
    assert b"\r\nRetry-After: 2\r\n\r\nfull\n" in refusal(BadHead(503, "full", 2))
