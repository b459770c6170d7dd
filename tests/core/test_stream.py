"""Does every step of a stream stand in the table, and every other one end it?"""

from __future__ import annotations

import pytest

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.core.errors import LocalError, PeerError, StreamError
from sockproxy.core.flow import ReceiveWindow, SendCredit
from sockproxy.core.stream import (
    TABLE,
    Direction,
    SendQueue,
    State,
    Step,
    Stream,
    check_client_id,
)


def stream(sends: Direction = Direction.UP, credit: int = 100) -> Stream:
    return Stream(2, SendCredit(credit), ReceiveWindow(100, 0.0), sends)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("step", list(Step))
def test_each_step_in_each_state_is_a_row_or_an_error(
    direction: Direction, state: State, step: Step
) -> None:
    made = stream()
    made.up = made.down = state
    expected = TABLE[direction].get((state, step))
    if expected is None:
        with pytest.raises(StreamError, match=f"stream 2: {step.value} in state {state.value}"):
            made.move(direction, step)
        return
    made.move(direction, step)
    assert (made.up if direction is Direction.UP else made.down) is expected


def test_an_open_stream_goes_through_its_life() -> None:
    made = stream()
    for step in (Step.OPEN, Step.OPENED):
        made.move_both(step)
    made.move(Direction.UP, Step.DATA)
    made.move(Direction.UP, Step.EOF)
    assert (made.sending, made.receiving) == (State.EOF, State.OPEN)
    made.move_both(Step.CLOSED)
    assert (made.up, made.down) == (State.CLOSED, State.CLOSED)


def test_only_the_client_sends_before_it_is_opened() -> None:
    for sends, sendable in ((Direction.UP, 5), (Direction.DOWN, 0)):
        made = stream(sends)
        made.move_both(Step.OPEN)
        made.queue.put(b"early")
        made.eof = True
        assert made.sendable == sendable
        assert made.may_send_eof is (sends is Direction.UP)
        assert made.receives is not sends


def test_nothing_is_sendable_while_its_open_waits_or_after_the_end() -> None:
    made = stream()
    made.move_both(Step.OPEN)
    made.queue.put(b"x")
    made.opening = frames.Open(2, 0, 0, "irc")
    assert made.sendable == 0
    made.opening = None
    made.move(Direction.UP, Step.EOF)
    assert made.sendable == 0


def test_a_wrong_total_is_the_streams_fault() -> None:
    made = stream()
    made.window.receive(5)
    made.check_total(5)
    with pytest.raises(StreamError, match="stream 2: EOF at 6 after 5 bytes") as caught:
        made.check_total(6)
    assert caught.value.code is Code.STREAM_PROTOCOL


@pytest.mark.parametrize("bad", [0, 1, 3, 127])
def test_a_clients_ids_are_even(bad: int) -> None:
    check_client_id(2)
    with pytest.raises(PeerError):
        check_client_id(bad)


def test_a_queue_gives_its_bytes_in_order_and_whole_chunks_uncopied() -> None:
    queue = SendQueue()
    first = b"x" * 50
    for chunk in (first, b"abc", b"defgh", b"i"):
        queue.put(chunk)
    assert queue.take(50) is first
    assert queue.take(5) == b"abcde"
    assert queue.take(2) == b"fg"
    assert queue.take(100) == b"hi"
    assert queue.size == 0
    with pytest.raises(LocalError):
        queue.take(1)


def test_a_cleared_queue_is_empty() -> None:
    queue = SendQueue()
    queue.put(b"abc")
    queue.take(1)
    queue.clear()
    queue.put(b"new")
    assert queue.take(9) == b"new"
