"""Is HELLO cut off the front of a request, in its size, and is a no said so that it fits?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from sockproxy.auth.shown import Shown
from sockproxy.codes import Code, HelloTlv
from sockproxy.core import frames, varint
from sockproxy.front import Visitor
from sockproxy.links import hello
from sockproxy.policy.entrance import Entrance
from sockproxy.policy.tally import Rates
from sockproxy.refused import Refused
from sockproxy.settings import Limits

VISITOR = Visitor("https://app.example", "gw.example", "192.0.2.1", ("sockproxy.v1",))
HELLO = frames.Hello(1, 1, 3, 2, 99, b"i" * 16, b"s" * 32, {5: b"\x01"})


def refused(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        hello.cut(data)
    return caught.value


def test_what_follows_hello_stays_as_it_was() -> None:
    rest = frames.encode(frames.At(99)) + b"\x82\x80 cut where a proxy liked"

    assert hello.cut(frames.encode(HELLO) + rest) == (HELLO, rest)
    assert hello.cut(frames.encode(HELLO)) == (HELLO, b"")


@pytest.mark.parametrize("length", range(len(frames.encode(HELLO))))
def test_a_hello_cut_anywhere_is_none(length: int) -> None:
    assert refused(frames.encode(HELLO)[:length]).code is Code.PROTOCOL


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frames.encode(frames.Ping(1)), Code.PROTOCOL),
        (frames.encode(frames.Ping(1)) + frames.encode(HELLO), Code.PROTOCOL),
        (frames.encode_data(2, b"x"), Code.PROTOCOL),
        (b"\x3e\x00", Code.PROTOCOL),
        (b"GET / HTTP/1.1\r\n", Code.PROTOCOL),
        (frames.encode(HELLO)[:1] + varint.encode(2**20), Code.TOO_BIG),
    ],
    ids=["ping", "ping before it", "data", "unknown", "http", "huge"],
)
def test_what_begins_otherwise_is_refused_by_name(data: bytes, code: Code) -> None:
    assert refused(data).code is code


@pytest.mark.parametrize("length", [1, 15, 17])
def test_a_truncated_session_id_is_refused(length: int) -> None:
    short = frames.encode(frames.Hello(1, 0, 1, 1, 0, b"i" * length, b"s" * 32))

    assert refused(short).code is Code.PROTOCOL


@pytest.mark.parametrize("length", [1, 31, 33])
def test_a_truncated_secret_is_refused_and_not_repeated(length: int) -> None:
    no = refused(frames.encode(frames.Hello(1, 0, 1, 1, 0, b"i" * 16, b"s" * length)))

    assert no.code is Code.PROTOCOL
    assert "sss" not in no.text


def test_8_kib_are_the_limit() -> None:
    def of(filler: int) -> bytes:
        return frames.encode(frames.Hello(1, 1, 1, 0, 0, bytes(16), bytes(32), {9: bytes(filler)}))

    most = 4000 + hello.HELLO_MAX_BYTES - len(of(4000))
    assert len(of(most)) == hello.HELLO_MAX_BYTES
    assert hello.cut(of(most))[1] == b""
    assert refused(of(most + 1)).code is Code.TOO_BIG


def test_what_a_page_shows_is_its_ticket_and_its_cookies() -> None:
    visited = Visitor("https://app.example", "gw.example", "192.0.2.1", (), cookies=(("a", "1"),))
    said = frames.Hello(1, 0, 1, 0, 0, b"", b"", {HelloTlv.TICKET: b"a.b.c"})

    assert hello.shown(said, visited) == Shown("a.b.c", (("a", "1"),))
    said.tlvs = {HelloTlv.TICKET: b"\xff"}
    assert hello.shown(said, visited).ticket == "\ufffd"


def test_a_no_says_code_time_and_as_much_text_as_fits() -> None:
    (raw,) = frames.Decoder(1000).feed(hello.refusal(Refused(Code.BUSY, "ä" * 500, 2000)))
    said = frames.parse(raw)

    assert said == frames.Refuse(Code.BUSY, 2000, "ä" * 100)


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        (Code.ORIGIN, True),
        (Code.PROTOCOL, True),
        (Code.SECRET_REUSE, True),
        (Code.SESSION_UNKNOWN, False),
        (Code.BUSY, False),
        (Code.STALE_LINK, False),
    ],
)
def test_a_no_counts_as_a_failure_where_no_honest_page_gets_it(code: Code, counts: bool) -> None:
    failures = Rates(rate_per_s=1, burst=2)
    entrance = Entrance(Limits(), (), failures, lambda: 0.0, lambda *_: None)
    visitor = replace(VISITOR, entry=entrance.admit(VISITOR.peer))
    for _ in range(2):
        hello.note(Refused(code, "no"), visitor)

    assert failures.spent(VISITOR.peer, 0.0) is counts
