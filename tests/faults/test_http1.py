"""Is every message cut where it ends, however its bytes arrive, and what is none told?"""

from __future__ import annotations

import random

import pytest

from sockproxy.faults.http1 import (
    HEAD_MAX_BYTES,
    LINE_MAX_BYTES,
    Cutter,
    End,
    Event,
    Head,
    HeadCut,
    NotHttp,
    Piece,
)

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /up HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def chunkings(data: bytes) -> list[list[bytes]]:
    dice = random.Random(7)
    cuts = sorted(dice.sample(range(1, len(data)), 5))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [[data], [bytes((byte,)) for byte in data], pieces]


def events(cutter: Cutter, pieces: list[bytes]) -> list[Event]:
    found: list[Event] = []
    for piece in pieces:
        cutter.receive(piece)
        while (event := cutter.next()) is not None:
            found.append(event)
    return found


def raw(found: list[Event]) -> bytes:
    return b"".join(event.raw for event in found if not isinstance(event, End))


def shape(found: list[Event]) -> str:
    """H for a head, E for an end, with runs of pieces as one B."""
    letters = "".join({HeadCut: "H", Piece: "B", End: "E"}[type(event)] for event in found)
    while "BB" in letters:
        letters = letters.replace("BB", "B")
    return letters


@pytest.mark.parametrize("number", range(3))
def test_requests_are_cut_where_they_end(number: int) -> None:
    data = GET + POST + CHUNKED + GET
    found = events(Cutter(requests=True), chunkings(data)[number])
    assert shape(found) == "HEHBEHBEHE"
    assert raw(found) == data
    heads = [event.head for event in found if isinstance(event, HeadCut)]
    assert [head.method for head in heads] == ["GET", "POST", "POST", "GET"]
    assert heads[0].path == "/a?b"


@pytest.mark.parametrize("number", range(3))
def test_answers_are_cut_where_they_end(number: int) -> None:
    data = INTERIM + ANSWER + EMPTY + ANSWER[:-2] + ANSWER
    cutter = Cutter(requests=False)
    cutter.methods += ["POST", "GET", "HEAD", "GET"]
    found = events(cutter, chunkings(data)[number])
    assert shape(found) == "HHBEHEHEHBE"
    assert raw(found) == data
    statuses = [event.head.status for event in found if isinstance(event, HeadCut)]
    assert statuses == [100, 200, 204, 200, 200]


def test_a_piece_ends_with_a_chunk_that_is_all_there() -> None:
    found = events(Cutter(requests=True), [CHUNKED])
    assert [event.raw for event in found if isinstance(event, Piece)] == [
        b"5;x=y\r\nhello\r\n",
        b"6\r\n world\r\n",
        b"0\r\n",
        b"Trailer: t\r\n",
        b"\r\n",
    ]


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    cutter = Cutter(requests=False)
    found = events(cutter, [b"HTTP/1.0 200\r\n\r\n", b"all", b" of it"])
    assert shape(found) == "HB"
    assert isinstance(cutter.finish(), End)
    assert cutter.finish() is None


def test_a_body_cut_short_has_no_end() -> None:
    cutter = Cutter(requests=False)
    events(cutter, [ANSWER[:-1]])
    assert cutter.finish() is None


def test_an_empty_body_ends_at_once() -> None:
    found = events(Cutter(requests=True), [b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"])
    assert shape(found) == "HE"


def test_what_is_not_cut_can_be_taken() -> None:
    cutter = Cutter(requests=False)
    events(cutter, [b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
    cutter.receive(b"HTTP/")
    assert cutter.waiting == 5
    assert cutter.rest() == b"HTTP/"
    assert cutter.waiting == 0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x16\x03\x01", "no HTTP request"),
        (b"ping", "no HTTP request"),
        (b"PING\n", "no HTTP request"),
        (b"HELLO you\r\n", "no HTTP request"),
        (b"PRI * HTTP/2.0\r\n\r\n", "the first line is 'PRI"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "a header 'no colon'"),
        (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", "a header 'A : b'"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD_MAX_BYTES, "a head of more than 65536"),
        (b"P / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "a Content-Length of '-1'"),
        (
            b"P / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "Content-Length of '1, 2",
        ),
        (b"P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "a chunk of size b'-1'"),
        (b"P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 20 + b"\r\n", "a chunk"),
        (
            b"P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * LINE_MAX_BYTES,
            "a line of more than 8192",
        ),
    ],
)
def test_what_is_no_http_is_told(said: bytes, why: str) -> None:
    with pytest.raises(NotHttp, match=why):
        events(Cutter(requests=True), [said])


@pytest.mark.parametrize("said", [b"G", b"GET", b"GET /", b"GET / HT", b"GET / HTTP/1.1\r\nHo"])
def test_what_may_become_a_request_is_waited_for(said: bytes) -> None:
    assert events(Cutter(requests=True), [said]) == []


def test_a_head_loses_a_header_and_its_name_in_connection() -> None:
    head = Head(
        "GET / HTTP/1.1",
        (("Connection", "keep-alive, Upgrade"), ("UPGRADE", "websocket"), ("X", "1")),
    )
    assert head.has("upgrade", "websocket")
    less = head.without("Upgrade")
    assert less.encoded() == b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nX: 1\r\n\r\n"
    only = Head("GET / HTTP/1.1", (("Connection", "Upgrade"), ("Upgrade", "h2c")))
    assert only.without("upgrade").encoded() == b"GET / HTTP/1.1\r\n\r\n"
