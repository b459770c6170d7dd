"""Does a link join the right session at the right place, whatever was lost before?"""

from __future__ import annotations

from typing import Any

import pytest

from sockproxy.codes import Code, WelcomeTlv
from sockproxy.core import events, frames
from sockproxy.core.attach import ServerAttach, check_hello
from sockproxy.core.errors import LinkError, PeerError
from tests.core.ends import Ends, heard


def said_hello(ends: Ends) -> frames.Hello:
    _, outbound = ends.attach.hello()
    hello = heard(ends.client.next_message(outbound))[0]
    assert isinstance(hello, frames.Hello)
    return hello


def test_a_new_session_sends_its_first_bytes_with_hello() -> None:
    ends = Ends()
    stream = ends.client.open("irc", 0)
    ends.client.write(stream, b"early")

    _, outbound = ends.attach.hello()
    hello, at, opened, data = heard(ends.client.next_message(outbound))

    assert (hello.flags, hello.link, hello.rx) == (frames.FLAG_CREATE, 1, 0)
    assert at == frames.At(0)
    assert opened.host == "irc"
    assert data == (stream, b"early")


def test_a_lost_welcome_costs_nothing_but_another_link() -> None:
    ends = Ends()
    stream = ends.client.open("irc", 0)
    ends.client.write(stream, b"early")
    ends.hello()
    ends.connect()

    kinds = [type(event) for event in ends.up_events]
    assert kinds == [events.OpenRequested, events.DataReceived]
    assert ends.down_events == [events.Welcomed(2, True)]
    assert ends.attach.known
    assert ends.gate.confirmed


def test_a_resume_waits_for_welcome_and_goes_on_where_the_server_is() -> None:
    ends = Ends()
    ends.connect()
    stream = ends.open()
    ends.client.write(stream, b"lost on the way")
    ends.client.next_message(ends.client_out)

    inbound, outbound = ends.attach.hello()
    assert [type(frame) for frame in heard(ends.client.next_message(outbound))] == [frames.Hello]
    del inbound
    ends.connect()

    assert ends.up_events[-1] == events.DataReceived(stream, b"lost on the way")


def test_the_client_goes_on_behind_what_it_sent_early() -> None:
    ends = Ends()
    stream = ends.client.open("irc", 0)
    ends.hello()
    ends.client.write(stream, b"before welcome")
    early = ends.client.next_message(ends.client_out)
    assert heard(early) == [(stream, b"before welcome")]
    ends.up_events += ends.server.receive_message(ends.server_in, early)
    ends.exchange()
    ends.client.write(stream, b"after")
    ends.exchange()

    received = [e.data for e in ends.up_events if isinstance(e, events.DataReceived)]
    assert received == [b"before welcome", b"after"]


def test_at_is_said_only_where_the_peer_could_not_know() -> None:
    ends = Ends()
    stream = ends.client.open("irc", 0)
    ends.client.write(stream, b"12345")
    ends.hello()
    # The first link's bytes arrived, its WELCOME did not: the second says them again
    # from 0, and the server is ahead of what it hears.
    ends.hello()
    position = ends.client_out.position
    assert position is not None
    ends.exchange()
    ends.client.write(stream, b"more")
    assert heard(ends.client.next_message(ends.client_out))[-1] == (stream, b"more")


def test_only_so_many_streams_open_before_welcome() -> None:
    ends = Ends()
    streams = [ends.client.open(f"n{n}", 0) for n in range(10)]
    ends.client.reset(streams[9], Code.ABORTED)
    ends.hello()
    assert len(ends.up_events) == 8

    ends.exchange()
    assert [event.stream for event in ends.up_events] == streams[:9]


def test_a_stream_reset_while_its_open_waits_is_not_opened() -> None:
    ends = Ends()
    streams = [ends.client.open(f"n{n}", 0) for n in range(10)]
    ends.hello()
    end = ends.client.reset(streams[8], Code.ABORTED, "never mind")
    assert end == events.StreamClosed(streams[8], Code.ABORTED, "never mind", 0)

    ends.exchange()
    assert [e.stream for e in ends.up_events if isinstance(e, events.OpenRequested)] == [
        *streams[:8],
        streams[9],
    ]


def test_early_bytes_stay_within_what_any_server_takes() -> None:
    ends = Ends()
    stream = ends.client.open("irc", 0)
    ends.client.write(stream, bytes(100_000))
    ends.hello()
    assert sum(len(e.data) for e in ends.up_events if isinstance(e, events.DataReceived)) == 16_384


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (frames.Ack(0), "byte 0x01 is not the server's"),
        (b"\x82\x01x", "byte 0x82 is not the server's"),
        (b"<\x01!", "byte 0x3c is not the server's"),
        (b"\x00\x00\x82\x01x", "before WELCOME"),
        (frames.Welcome(9, 0, 0, bytes(32)), "WELCOME to link 9 on link 1"),
    ],
    ids=["ack", "data", "captive portal", "data behind padding", "another link's"],
)
def test_what_comes_before_welcome_is_no_data(frame: Any, text: str) -> None:
    ends = Ends()
    ends.hello()
    with pytest.raises(LinkError, match=text):
        ends.to_client(frame)


def test_a_second_welcome_is_none() -> None:
    ends = Ends()
    ends.connect()
    with pytest.raises(LinkError, match="where none was due"):
        ends.to_client(frames.Welcome(1, 0, 0, bytes(32)))


def test_refusals_and_ends_may_come_first() -> None:
    ends = Ends()
    ends.hello()
    found = ends.to_client(
        frames.Pad(b"xx"), frames.Refuse(0x28, 500, "busy"), frames.End(0x26, "newer")
    )
    assert found == [events.Refused(0x28, 500, "busy"), events.LinkEnded(0x26, "newer")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, Code.STALE_LINK),
        ({"link": 2, "secret": b"x" * 32}, Code.SESSION_UNKNOWN),
        ({"link": 2, "rx": 10**6}, Code.SESSION_UNKNOWN),
        ({"link": 2, "rx": 1}, Code.SESSION_UNKNOWN),
    ],
    ids=["same link", "wrong secret", "rx ahead", "rx inside a frame"],
)
def test_what_may_not_attach_changes_nothing(changes: dict[str, Any], code: Code) -> None:
    ends = Ends()
    ends.client.open("irc", 0)
    hello = said_hello(ends)
    ends.gate.admit(hello, bytes(32), {})
    ends.server.log.append(b"a frame")
    before = (ends.gate.ring.link, ends.server.log.base)

    fields = {name: getattr(hello, name) for name in ("version", "flags", "request", "sid")}
    fields |= {"link": 1, "rx": 0, "secret": hello.secret} | changes

    assert ends.gate.judge(frames.Hello(**fields)) is code
    assert (ends.gate.ring.link, ends.server.log.base) == before


def test_a_retired_secret_is_recognised() -> None:
    ends = Ends()
    stolen = ends.attach._secret
    ends.connect()
    ends.connect()

    hello = frames.Hello(1, 0, 9, 0, 0, ends.attach.sid, stolen)
    assert ends.gate.judge(hello) is Code.SECRET_REUSE


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (frames.Hello(2, 0, 1, 0, 0, bytes(16), bytes(32)), Code.VERSION),
        (frames.Hello(1, 0, 0, 0, 0, bytes(16), bytes(32)), Code.PROTOCOL),
        (frames.Hello(1, 0, 1, 0, 0, b"", bytes(32)), Code.PROTOCOL),
        (frames.Hello(1, 0, 1, 0, 0, bytes(16), b""), Code.PROTOCOL),
    ],
)
def test_a_hello_without_its_parts_is_refused(hello: frames.Hello, code: Code) -> None:
    with pytest.raises(PeerError) as caught:
        check_hello(hello)
    assert caught.value.code is code


def test_welcome_tells_the_client_its_limits() -> None:
    ends = Ends()
    hello = said_hello(ends)
    gate = ServerAttach(ends.server, hello.sid)
    tlvs = {
        WelcomeTlv.STREAM_WINDOW: 50_000,
        WelcomeTlv.SESSION_WINDOW_UP: 90_000,
        WelcomeTlv.PING_MS: 25_000,
        WelcomeTlv.LINGER_S: 60,
    }
    _, out = gate.admit(hello, bytes(32), tlvs)
    inbound, _ = ends.attach.hello()
    ends.attach.link = 1
    ends.client.receive_message(inbound, ends.server.next_message(out))

    assert (ends.client.initial_credit, ends.client.log.window_max) == (50_000, 90_000)
    assert (ends.attach.linger_s, ends.attach.ping_ms) == (60, 25_000)


def request_of(ends: Ends, **changes: Any) -> frames.Hello:
    """Return the HELLO of a request that goes on with the newest link."""
    (said,) = heard(ends.attach.short(2))
    for name, value in changes.items():
        setattr(said, name, value)
    assert isinstance(said, frames.Hello)
    return said


def test_a_request_goes_on_with_the_secret_that_attached() -> None:
    ends = Ends()
    first = ends.attach._secret
    ends.connect()
    ends.open()
    said = heard(ends.attach.short(3, {5: b"\x01"}))[0]

    assert (said.secret, said.link, said.request, said.flags) == (first, 1, 3, 0)
    assert (said.rx, said.sid, said.tlvs) == (ends.client.rx, ends.attach.sid, {5: b"\x01"})
    assert ends.client.rx > 0
    assert ends.gate.judge_request(said) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"request": 10**6, "rx": 10**6}, None),
        ({"secret": b"x" * 32}, Code.SESSION_UNKNOWN),
        ({"secret": b""}, Code.SESSION_UNKNOWN),
        ({"link": 1}, Code.STALE_LINK),
        ({"link": 0}, Code.STALE_LINK),
        ({"link": 3}, Code.SECRET_REUSE),
        ({"link": 3, "secret": "next"}, Code.STALE_LINK),
        ({"link": 2, "secret": "next"}, Code.STALE_LINK),
        ({"link": 2, "secret": "retired"}, Code.STALE_LINK),
        ({"link": 3, "secret": "retired"}, Code.SECRET_REUSE),
    ],
    ids=str,
)
def test_only_requests_of_the_newest_link_go_on(changes: dict[str, Any], code: Code | None) -> None:
    ends = Ends()
    retired = ends.attach._secret
    ends.connect()
    ends.connect()
    ends.gate.ring.confirm()
    secrets = {"next": ends.attach._secret, "retired": retired}
    secret = changes.get("secret", ends.attach._attaching)
    said = request_of(ends, **changes | {"secret": secrets.get(secret, secret)})

    assert ends.gate.judge_request(said) is code


def test_a_request_shows_that_its_page_holds_the_welcome() -> None:
    ends = Ends()
    ends.hello()
    assert not ends.gate.confirmed
    assert ends.gate.judge_request(request_of(ends, secret=b"x" * 32)) is Code.SESSION_UNKNOWN
    assert not ends.gate.confirmed

    assert ends.gate.judge_request(request_of(ends)) is None
    assert ends.gate.confirmed
    again = request_of(ends, link=2)
    assert ends.gate.judge(again) is Code.SECRET_REUSE


def test_a_down_carries_the_log_from_where_it_says() -> None:
    ends = Ends()
    ends.connect()
    ends.server.log.append(b"12345")
    base = ends.server.log.base
    out = ends.gate.go_on(request_of(ends, rx=base))
    assert ends.server.next_message(out)[-5:] == b"12345"

    out = ends.gate.go_on(request_of(ends, rx=base + 5))
    assert ends.server.next_message(out) == b""
    assert (ends.server.log.base, out.position) == (base + 5, base + 5)


@pytest.mark.parametrize(
    ("off", "text"),
    [(-5, "DOWN at 5, 10 was acknowledged"), (2, "inside a frame"), (6, "ack 16 beyond 15")],
)
def test_a_down_from_where_the_page_cannot_be_is_a_lie(off: int, text: str) -> None:
    ends = Ends()
    ends.connect()
    for data in (b"12345", b"67890", b"abcde"):
        ends.server.log.append(data)
    ends.server.log.acknowledge(10)

    with pytest.raises(PeerError, match=text) as caught:
        ends.gate.go_on(request_of(ends, rx=10 + off))
    assert caught.value.code is Code.PROTOCOL


def test_a_page_that_leaves_may_end_its_session_and_nobody_else() -> None:
    ends = Ends()
    ends.connect()
    said, bye = heard(ends.attach.farewell(Code.ABORTED, "é" * 300))

    assert (bye.code, bye.text) == (Code.ABORTED, "é" * 100)
    assert (said.link, said.secret) == (2, ends.attach._secret)
    assert ends.gate.may_end(said)
    assert ends.gate.may_end(request_of(ends))
    assert not ends.gate.may_end(request_of(ends, link=0))
    assert not ends.gate.may_end(request_of(ends, link=2, secret=b"x" * 32))
    ends.gate.ring.confirm()
    assert not ends.gate.may_end(request_of(ends, link=2))
