"""Do the verbs of a session do what they say, and refuse what makes no sense?"""

from __future__ import annotations

import pytest

from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.core.errors import LocalError, PeerError
from sockproxy.core.pipe import Inbound
from tests.core import make_posts, make_traces
from tests.core.ends import Ends, heard


def connected() -> tuple[Ends, int]:
    ends = Ends()
    ends.connect()
    return ends, ends.open()


def test_only_a_client_opens() -> None:
    with pytest.raises(LocalError):
        Ends().server.open("irc", 0)


def test_the_lowest_free_id_is_used_again() -> None:
    ends, first = connected()
    second = ends.open("second")
    assert (first, second) == (2, 4)
    ends.server.finish(first, Code.REFUSED)
    ends.exchange()
    assert ends.client.open("third", 0) == 2


def test_writing_behind_an_eof_is_our_own_fault() -> None:
    ends, stream = connected()
    ends.client.write_eof(stream)
    with pytest.raises(LocalError, match=f"stream {stream}: write in state open"):
        ends.client.write(stream, b"x")
    ends.exchange()
    with pytest.raises(LocalError, match=f"stream {stream}: write in state eof"):
        ends.client.write(stream, b"x")


def test_writing_nothing_is_nothing() -> None:
    ends, stream = connected()
    ends.now += 1
    ends.exchange()
    ends.client.write(stream, b"")
    assert ends.client.next_message(ends.client_out) == b""


def test_an_eof_may_drop_what_waits() -> None:
    ends, stream = connected()
    ends.client.write(stream, b"never mind")
    ends.client.write_eof(stream, discard=True)
    assert heard(ends.client.next_message(ends.client_out))[-1] == frames.Eof(stream, 0)


def test_progress_names_the_streams_whose_bytes_went() -> None:
    ends, stream = connected()
    ends.client.write(stream, b"x")
    assert ends.client.take_progress() == set()
    ends.client.next_message(ends.client_out)
    assert ends.client.take_progress() == {stream}
    assert ends.client.take_progress() == set()


def test_a_stream_that_has_ended_queues_and_consumes_nothing() -> None:
    ends, _ = connected()
    assert ends.client.queued(98) == 0
    ends.client.consume(98, 5)


def test_consuming_behind_the_end_gives_no_credit() -> None:
    ends, stream = connected()
    ends.server.write(stream, bytes(16_000))
    ends.server.write_eof(stream)
    ends.exchange()
    ends.now += 1
    ends.exchange()
    ends.client.consume(stream, 16_000)
    assert ends.client.next_message(ends.client_out) == b""


def test_stopping_twice_or_behind_the_end_says_it_once_or_not() -> None:
    ends, stream = connected()
    ends.client.stop(stream)
    ends.client.stop(stream)
    said = heard(ends.client.next_message(ends.client_out))
    assert [frame for frame in said if isinstance(frame, frames.Stop)] == [frames.Stop(stream)]

    ends, stream = connected()
    ends.server.write_eof(stream)
    ends.exchange()
    ends.client.stop(stream)
    said = heard(ends.client.next_message(ends.client_out))
    assert not [frame for frame in said if isinstance(frame, frames.Stop)]


def test_losing_the_server_ends_what_it_may_have_heard_of() -> None:
    ends, heard_of = connected()
    ends.client.write(heard_of, b"12345")
    ends.client.next_message(ends.client_out)
    waiting = ends.client.open("later", 0)

    assert ends.client.lose() == [
        events.StreamClosed(heard_of, Code.LOST, "session lost", 0),
    ]
    assert list(ends.client.streams) == [waiting]


def test_lost_streams_tell_what_arrived_for_sure() -> None:
    ends, stream = connected()
    ends.client.write(stream, b"12345")
    ends.exchange()
    ends.now += 0.2
    ends.exchange()
    ends.client.write(stream, b"67")
    ends.client.next_message(ends.client_out)
    assert ends.client.lose()[0].acked == 5


def test_events_before_a_fault_are_not_lost() -> None:
    ends, stream = connected()
    said = frames.encode_data(stream, b"good") + b"\x82"
    with pytest.raises(PeerError, match="message ends inside a frame"):
        ends.server.receive_message(ends.server_in, said)
    assert ends.server.take_events() == [events.DataReceived(stream, b"good")]


def test_a_ping_carries_the_clock() -> None:
    ends, _ = connected()
    ends.now = 2**30 / 1000 + 1.5
    assert ends.client.token() == 1500
    ends.client.ping()
    assert frames.Ping(1500) in heard(ends.client.next_message(ends.client_out))


def test_a_body_may_be_cut_where_a_message_may_not() -> None:
    ends, stream = connected()
    body = frames.encode_data(stream, b"whole") + frames.encode_data(stream, b"cut")[:3]
    assert ends.server.receive(ends.server_in, body) == [events.DataReceived(stream, b"whole")]


def test_the_traces_that_javascript_replays_are_those_of_this_core() -> None:
    assert make_traces.FILE.read_text(encoding="utf-8") == make_traces.text()
    assert make_posts.FILE.read_text(encoding="utf-8") == make_posts.text()


def test_a_reply_begins_with_how_far_we_heard() -> None:
    ends, stream = connected()
    ends.server.attach(None)
    assert heard(ends.server.reply()) == [frames.Ack(ends.server.rx)]
    said = frames.encode(frames.Ping(5)) + frames.encode_data(stream, b"x")
    ends.to_server(said)

    reply = heard(ends.server.reply())
    assert reply == [frames.Ack(ends.server.rx), frames.Pong(5, ends.server.rx - 3)]
    assert ends.server.ack_due_s() is None
    assert heard(ends.server.reply()) == [frames.Ack(ends.server.rx)]


def test_what_was_acknowledged_elsewhere_is_not_acknowledged_again() -> None:
    ends, stream = connected()
    ends.server.write(stream, bytes(16_000))
    ends.exchange()
    ends.client.consume(stream, 100)
    assert ends.client.ack_due_s() is not None
    ends.client.acked()
    ends.now += 1

    assert ends.client.ack_due_s() is None
    assert ends.client.next_message(ends.client_out) == b""


def test_an_answer_counts_up_to_its_last_whole_frame() -> None:
    ends, stream = connected()
    rx, data = ends.client.rx, frames.encode_data(stream, b"one")
    said = frames.encode(frames.At(rx)) + data + frames.encode_data(stream, b"two")[:-1]
    pipe = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_DOWN)

    assert ends.client.receive(pipe, said) == [events.DataReceived(stream, b"one")]
    assert ends.client.rx == rx + len(data)


def test_an_ack_in_time_breaks_no_silence() -> None:
    ends, stream = connected()
    ends.to_server(frames.encode_data(stream, b"x"))
    assert ends.server.ack_due_s()
    assert ends.server.silent

    ends.server.ping()
    assert not ends.server.silent
