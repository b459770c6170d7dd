"""Does the right frame go next, and no sooner than it must?"""

from __future__ import annotations

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.core.session import Windows
from tests.core.ends import SMALL, Ends, heard

BIG = Windows(1 << 20, 1 << 20, 8 << 20, 1 << 20)


def connected(windows: Windows = SMALL) -> tuple[Ends, int]:
    ends = Ends(windows)
    ends.connect()
    return ends, ends.open()


def kinds(message: bytes) -> list[type]:
    return [type(frame) for frame in heard(message)]


def test_a_lone_ack_waits_a_tenth_of_a_second() -> None:
    ends, stream = connected()
    ends.now += 1
    ends.exchange()
    ends.server.write(stream, b"x")
    ends.client.receive_message(ends.client_in, ends.server.next_message(ends.server_out))

    assert ends.client.next_message(ends.client_out) == b""
    due = ends.client.ack_due_s()
    assert due is not None
    assert 0 < due <= 0.1
    ends.now += 0.1
    assert kinds(ends.client.next_message(ends.client_out)) == [frames.Ack]
    assert ends.client.ack_due_s() is None


def test_an_ack_rides_on_whatever_is_sent() -> None:
    ends, stream = connected()
    ends.now += 1
    ends.exchange()
    ends.server.write(stream, b"x")
    ends.client.receive_message(ends.client_in, ends.server.next_message(ends.server_out))
    ends.client.write(stream, b"y")
    assert kinds(ends.client.next_message(ends.client_out)) == [frames.Ack, tuple]


def test_much_is_acked_at_once_and_small_frames_count_for_more() -> None:
    ends, stream = connected(BIG)
    for size, count in ((33_000, 1), (1, 500)):
        for _ in range(count):
            ends.server.write(stream, bytes(size))
            message = ends.server.next_message(ends.server_out)
            ends.client.receive_message(ends.client_in, message)
        assert ends.client.ack_due_s() == 0.0
        ends.client.next_message(ends.client_out)


def test_control_goes_before_data_and_eof_behind_it() -> None:
    ends, stream = connected()
    ends.client.write(stream, b"data")
    ends.client.write_eof(stream)
    ends.client.open("second", 0)
    said = kinds(ends.client.next_message(ends.client_out))
    assert said == [frames.Ack, frames.Open, tuple, frames.Eof]


def test_an_end_with_unsent_data_waits_and_an_abort_does_not() -> None:
    ends, stream = connected()
    for abort, expected in ((False, [tuple, frames.Closed]), (True, [frames.Closed])):
        ends.server.write(stream, b"last words")
        ends.server.finish(stream, Code.BACKEND_RESET, "gone", abort=abort)
        assert kinds(ends.server.next_message(ends.server_out))[-len(expected) :] == expected
        ends, stream = connected()


def test_big_streams_take_turns_and_a_small_one_goes_first() -> None:
    ends, first = connected(BIG)
    second, small = ends.open("second"), ends.open("small")
    ends.server.write(first, bytes(100_000))
    ends.server.write(second, bytes(100_000))
    ends.server.write(small, b"quick")

    order = []
    while message := ends.server.next_message(ends.server_out):
        order += [frame for frame in heard(message) if isinstance(frame, tuple)]

    assert order[0] == (small, b"quick")
    assert [stream for stream, _ in order[1:7]] == [first, second] * 3
    assert all(len(payload) <= 16_384 for _, payload in order[:7])


def test_a_lone_stream_of_the_server_sends_big_frames_and_the_client_never() -> None:
    ends, stream = connected(BIG)
    ends.server.write(stream, bytes(60_000))
    assert len(heard(ends.server.next_message(ends.server_out))[-1][1]) == 60_000
    ends.client.streams[stream].credit.grant(1 << 20)
    ends.client.write(stream, bytes(60_000))
    sizes = [
        len(f[1]) for f in heard(ends.client.next_message(ends.client_out)) if type(f) is tuple
    ]
    assert sizes == [16_384, 16_384, 16_384, 10_848]


def test_credit_stops_a_stream_and_more_credit_starts_it() -> None:
    ends, stream = connected()
    ends.client.write(stream, bytes(20_000))
    ends.client.next_message(ends.client_out)
    assert ends.client.queued(stream) == 20_000 - 16_384
    assert ends.client.next_message(ends.client_out) == b""
    ends.to_client(frames.Window(stream, 20_000))
    assert heard(ends.client.next_message(ends.client_out))[-1] == (stream, bytes(3616))


def test_nothing_is_numbered_while_the_log_is_full() -> None:
    ends, stream = connected(Windows(1 << 20, 1 << 20, 8 << 20, 256 * 1024))
    ends.server.write(stream, bytes(600_000))
    sent = 0
    while message := ends.server.next_message(ends.server_out):
        sent += len(message)
    assert 256 * 1024 <= sent <= 256 * 1024 + 70_000

    ends.to_server(frames.Ack(ends.server.log.next))
    assert ends.server.next_message(ends.server_out)


def test_a_new_link_repeats_the_same_frames() -> None:
    ends, stream = connected()
    ends.client.write(stream, b"one")
    first = heard(ends.client.next_message(ends.client_out))[-1]
    ends.client.write(stream, b"two")
    second = heard(ends.client.next_message(ends.client_out))[-1]

    ends.hello()
    ends.client.receive_message(ends.client_in, ends.server.next_message(ends.server_out))
    again = heard(ends.client.next_message(ends.client_out))
    assert [frame for frame in again if isinstance(frame, tuple)] == [first, second]
    assert not [frame for frame in again if isinstance(frame, frames.At)]


def test_the_window_is_told_at_half_and_the_newest_only() -> None:
    ends, stream = connected()
    ends.server.write(stream, bytes(16_384))
    ends.exchange()
    ends.client.consume(stream, 8000)
    assert ends.client.next_message(ends.client_out) == b""
    ends.client.consume(stream, 192)
    ends.client.consume(stream, 8192)
    said = [f for f in heard(ends.client.next_message(ends.client_out)) if type(f) is frames.Window]
    assert len(said) == 1
    assert said[0].max >= 32_768


def test_windows_of_a_session_grow_only_within_its_total() -> None:
    ends = Ends(Windows(16 * 1024, 1 << 20, 40 * 1024, 1 << 20))
    ends.connect()
    stream = ends.open()
    ends.client.rtt_s = 10.0
    for _ in range(4):
        ends.server.write(stream, bytes(16_384))
        ends.exchange()
        ends.client.consume(stream, ends.client.streams[stream].window.held)
        ends.exchange()
    assert ends.client.streams[stream].window.size == 32 * 1024
    assert ends.client.window_total == 32 * 1024


def test_a_ready_stream_that_was_reset_is_passed_over() -> None:
    ends, stream = connected()
    ends.client.write(stream, b"never")
    ends.client.reset(stream, Code.ABORTED)
    assert kinds(ends.client.next_message(ends.client_out)) == [frames.Ack, frames.Reset]


def test_an_old_link_goes_on_behind_what_was_acked_elsewhere() -> None:
    ends, stream = connected()
    old = ends.server_out
    ends.server.write(stream, b"x")
    ends.server.next_message(old)
    ends.to_server(frames.Ack(ends.server.log.next))
    old.cursor = 0
    ends.server.write(stream, b"y")
    assert heard(ends.server.next_message(old))[-1] == (stream, b"y")
