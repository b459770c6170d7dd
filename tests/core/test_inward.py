"""Does each frame do its one thing, and each lie end just what it must?"""

from __future__ import annotations

from typing import Any

import pytest

from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.core.errors import LinkError, PeerError
from sockproxy.core.inward import MAX_BUSY_IDS
from tests.core.ends import Ends, heard


def connected() -> tuple[Ends, int]:
    ends = Ends()
    ends.connect()
    stream = ends.open()
    ends.up_events.clear()
    ends.down_events.clear()
    return ends, stream


def fault(ends: Ends, *said: frames.Frame | bytes, client: bool = False) -> PeerError:
    with pytest.raises(PeerError) as caught:
        (ends.to_client if client else ends.to_server)(*said)
    return caught.value


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ((frames.Ack(10**6),), "ack 1000000 beyond"),
        ((frames.Pong(0, 10**6),), "ack 1000000 beyond"),
        ((frames.At(5),), "AT 5 behind"),
        ((frames.encode_data(2, b"xx")[:3],), "message ends inside a frame"),
        ((frames.encode_data(0, b"x"),), "stream 0 was never opened"),
        ((frames.encode_data(3, b"x"),), "stream 3 was never opened"),
        ((frames.encode_data(4, b"x"),), "stream 4 was never opened"),
        ((frames.Open(2, 0, 0, "irc"),), "stream 2: OPEN while it is in use"),
        ((frames.Open(3, 0, 0, "irc"),), "stream 3: a client's ids are even"),
        ((frames.Opened(2, 0, "", 0, "", 0),), "frame 0x11 is not for this end"),
        ((frames.Closed(2, 0, 0, 0, ""),), "frame 0x16 is not for this end"),
        ((b"\x19\x01\x02",), "frame 0x19 is not for this end"),
        ((b"\x3f\x00",), "frame 0x3f is not for this end"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lie_to_the_server_ends_the_session(said: tuple[Any, ...], text: str) -> None:
    ends, _ = connected()
    error = fault(ends, *said)
    assert error.code is Code.PROTOCOL
    assert text in error.text


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ((frames.encode_data(4, b"x"),), "stream 4 was never opened"),
        ((frames.Open(2, 0, 0, "irc"),), "frame 0x10 is not for this end"),
        ((frames.Reset(2, 0, ""),), "frame 0x13 is not for this end"),
        ((frames.Opened(2, 0, "", 0, "", 0),), "stream 2: OPENED in state open"),
        ((frames.Closed(2, 8, 0, 5, ""),), "stream 2: CLOSED at 5 after 0 bytes"),
        ((frames.Closed(2, 0, 5, 0, ""),), "stream 2: clean end at 5 of 0 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lie_to_the_client_ends_the_session(said: tuple[Any, ...], text: str) -> None:
    ends, _ = connected()
    assert text in fault(ends, *said, client=True).text


def test_a_stream_whose_open_is_still_here_was_never_opened() -> None:
    ends, _ = connected()
    waiting = ends.client.open("irc", 0)
    error = fault(ends, frames.encode_data(waiting, b"x"), client=True)
    assert "was never opened" in error.text


def test_a_hole_is_the_links_fault() -> None:
    ends, stream = connected()
    with pytest.raises(LinkError):
        ends.to_server(frames.At(10**6), frames.encode_data(stream, b"x"))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (lambda stream: frames.encode_data(stream, bytes(16_384)) * 2, Code.FLOW),
        (lambda stream: frames.encode(frames.Eof(stream, 5)), Code.STREAM_PROTOCOL),
        (
            lambda stream: frames.encode(frames.Eof(stream, 0)) + frames.encode_data(stream, b"x"),
            Code.STREAM_PROTOCOL,
        ),
        (
            lambda stream: frames.encode(frames.Eof(stream, 0)) * 2,
            Code.STREAM_PROTOCOL,
        ),
    ],
    ids=["credit", "wrong total", "data behind the end", "two ends"],
)
def test_a_streams_fault_ends_that_stream_only(said: Any, code: Code) -> None:
    ends, stream = connected()
    other = ends.open("other")

    found = ends.to_server(said(stream), frames.encode_data(other, b"goes on"))

    resets = [event for event in found if isinstance(event, events.ResetReceived)]
    assert [(event.stream, event.code) for event in resets] == [(stream, code)]
    assert found[-1] == events.DataReceived(other, b"goes on")


def test_what_follows_a_fault_on_its_stream_is_ignored() -> None:
    ends, stream = connected()
    found = ends.to_server(
        frames.Eof(stream, 9), frames.encode_data(stream, b"x"), frames.Eof(stream, 1)
    )
    assert len(found) == 1


def test_a_servers_fault_on_a_stream_makes_the_client_reset_it() -> None:
    ends, stream = connected()
    assert ends.to_client(frames.Eof(stream, 9)) == []
    assert heard(ends.client.next_message(ends.client_out))[-1] == frames.Reset(
        stream, Code.STREAM_PROTOCOL, f"stream {stream}: EOF at 9 after 0 bytes"
    )


def test_frames_for_a_closed_id_may_cross_its_end() -> None:
    ends, stream = connected()
    ends.server.finish(stream, Code.REFUSED, abort=True)
    ends.server.next_message(ends.server_out)

    found = ends.to_server(
        frames.encode_data(stream, b"x"),
        frames.Window(stream, 10**6),
        frames.Eof(stream, 1),
        frames.Stop(stream),
        frames.Reset(stream, 1, ""),
    )
    assert found == []


def test_frames_that_cross_a_closing_are_ignored_too() -> None:
    ends, stream = connected()
    ends.server.finish(stream, Code.REFUSED)

    found = ends.to_server(
        frames.encode_data(stream, b"x"), frames.Stop(stream), frames.Reset(stream, 1, "")
    )
    assert found == []


def test_an_id_is_free_again_when_its_end_is_acked() -> None:
    ends, stream = connected()
    ends.server.finish(stream, Code.REFUSED)
    closing = ends.server.next_message(ends.server_out)
    with pytest.raises(PeerError, match="OPEN while it is in use"):
        ends.to_server(frames.Open(stream, 0, 0, "irc"))

    ends.client.receive_message(ends.client_in, closing)
    again = ends.client.open("again", 0)
    message = ends.client.next_message(ends.client_out)
    assert again == stream
    kinds = [type(frame) for frame in heard(message)]
    assert kinds.index(frames.Ack) < kinds.index(frames.Open)


def test_so_many_ids_may_be_busy_and_no_more() -> None:
    ends, _ = connected()
    for number in range(MAX_BUSY_IDS - 1):
        ends.to_server(frames.Open(4 + 2 * number, 0, 0, "irc"))
    error = fault(ends, frames.Open(1000, 0, 0, "irc"))
    assert error.code is Code.FLOW


def test_ids_whose_end_was_acked_are_forgotten_in_order() -> None:
    ends = Ends()
    ends.connect()
    for _ in range(200):
        stream = ends.open()
        ends.server.finish(stream, Code.BACKEND_RESET)
        ends.exchange()
    assert len(ends.server.busy) <= 2


def test_unknown_types_are_skipped_where_the_protocol_says_so() -> None:
    ends, stream = connected()
    before = ends.server.rx
    found = ends.to_server(b"\x0f\x02??", b"\x40\x03new", frames.encode_data(stream, b"x"))
    assert found == [events.DataReceived(stream, b"x")]
    assert ends.server.rx == before + 5 + 3


def test_a_ticket_is_shown_and_answered_and_nothing_of_it_is_numbered() -> None:
    ends, _ = connected()
    before = ends.server.rx
    assert ends.to_server(frames.Auth("t")) == [events.AuthReceived("t")]
    assert ends.to_client(frames.AuthResult(Code.TICKET_REFUSED, 0)) == [
        events.AuthResult(Code.TICKET_REFUSED, 0)
    ]
    assert ends.server.rx == before
    assert "canary" not in repr(events.AuthReceived("canary"))


def test_only_the_page_shows_tickets_and_only_the_server_answers() -> None:
    ends, _ = connected()
    assert ends.to_client(frames.Auth("t")) == []
    assert ends.to_server(frames.AuthResult(Code.CLEAN, 60)) == []


def test_of_what_is_said_of_tickets_the_newest_counts() -> None:
    ends, _ = connected()
    ends.client.auth("old")
    ends.client.auth("new")
    ends.server.auth_result(Code.TICKET_REFUSED, 0)
    ends.server.auth_result(Code.CLEAN, 60)

    assert frames.Auth("new") in heard(ends.client.next_message(ends.client_out))
    said = heard(ends.server.next_message(ends.server_out))
    results = [frame for frame in said if isinstance(frame, frames.AuthResult)]
    assert results == [frames.AuthResult(Code.CLEAN, 60)]


def test_a_ping_is_answered_with_the_newest_token_only() -> None:
    ends, _ = connected()
    ends.to_server(frames.Ping(1), frames.Ping(2))
    said = heard(ends.server.next_message(ends.server_out))
    assert [frame for frame in said if isinstance(frame, frames.Pong)] == [
        frames.Pong(2, ends.server.rx)
    ]


def test_the_round_trip_is_smoothed_and_survives_the_clocks_wrap() -> None:
    ends, _ = connected()
    ends.client.rtt_s = None
    ends.now = 100.5
    ends.to_client(frames.Pong(100_000, 0))
    assert ends.client.rtt_s == pytest.approx(0.5)
    ends.to_client(frames.Pong(100_400, 0))
    assert ends.client.rtt_s == pytest.approx(0.5 + (0.1 - 0.5) / 8)

    ends.client.rtt_s = None
    ends.now = 2**30 / 1000 + 0.25
    ends.to_client(frames.Pong(2**30 - 250, 0))
    assert ends.client.rtt_s == pytest.approx(0.5, abs=0.01)


def test_ends_and_byes_are_told() -> None:
    ends, _ = connected()
    assert ends.to_server(frames.End(0x29, "restart"), frames.Bye(0, "done")) == [
        events.LinkEnded(0x29, "restart"),
        events.SessionEnded(0, "done"),
    ]


def test_welcome_and_refuse_mean_nothing_to_a_server() -> None:
    ends, _ = connected()
    assert ends.to_server(frames.Welcome(1, 0, 0, b""), frames.Refuse(1, 0, "")) == []


def test_bytes_that_nobody_wants_are_counted_and_dropped() -> None:
    ends, stream = connected()
    ends.client.reset(stream, Code.ABORTED)
    ends.server.write(stream, b"crossing")
    down = ends.server.next_message(ends.server_out)
    assert ends.client.receive_message(ends.client_in, down) == []
    ends.server.write_eof(stream)
    ends.exchange()
    assert ends.up_events == [events.ResetReceived(stream, Code.ABORTED, "")]
    ends.server.finish(stream, Code.ABORTED, abort=True)
    ends.exchange()
    assert ends.down_events[-1] == events.StreamClosed(stream, Code.ABORTED, "", 0)


def test_an_opened_that_crosses_a_reset_is_no_event() -> None:
    ends = Ends()
    ends.connect()
    stream = ends.client.open("irc", 0)
    ends.exchange()
    ends.server.opened(stream, ("irc", 1), ("", 0))
    opened = ends.server.next_message(ends.server_out)
    ends.client.reset(stream, Code.ABORTED)
    assert ends.client.receive_message(ends.client_in, opened) == []


def test_stop_is_told_once_and_ends_the_servers_half() -> None:
    ends, stream = connected()
    ends.server.write(stream, b"queued")
    ends.to_server(frames.Stop(stream), frames.Stop(stream))
    ends.server.write(stream, b"thrown away")
    ends.server.write_eof(stream)
    said = heard(ends.server.next_message(ends.server_out))
    assert said[-1] == frames.Eof(stream, 0)
    assert not [frame for frame in said if isinstance(frame, tuple)]


def test_stop_behind_the_servers_end_adds_no_second_one() -> None:
    ends, stream = connected()
    ends.server.write_eof(stream)
    ends.exchange()
    assert ends.to_server(frames.Stop(stream)) == [events.StopReceived(stream)]
    assert not [
        f for f in heard(ends.server.next_message(ends.server_out)) if type(f) is frames.Eof
    ]


def test_an_end_that_waits_for_credit_does_not_wait_for_a_reader_who_left() -> None:
    for leave in ("stop", "reset"):
        ends, stream = connected()
        ends.server.write(stream, bytes(50_000))
        ends.server.finish(stream, Code.BACKEND_RESET, "gone")
        ends.exchange()
        assert stream in ends.client.streams, "no credit for the rest"

        if leave == "stop":
            ends.client.stop(stream)
        else:
            ends.client.reset(stream, Code.ABORTED)
        ends.exchange()

        assert ends.down_events[-1].code == Code.BACKEND_RESET


def test_going_away_is_told() -> None:
    ends, _ = connected()
    ends.server.go_away(Code.RESTART, 5000)
    ends.exchange()
    assert ends.down_events == [events.GoingAway(Code.RESTART, 5000)]


def test_an_open_that_crosses_it_was_never_tried() -> None:
    ends, _ = connected()
    late = ends.client.open("late", 0)
    ends.server.go_away(Code.RESTART, 5000)
    ends.exchange()
    assert ends.up_events == []
    assert [(e.stream, e.code) for e in ends.down_events if type(e) is events.StreamClosed] == [
        (late, Code.BUSY)
    ]
