"""Does the log keep exactly what the peer does not hold?"""

from __future__ import annotations

import pytest

from sockproxy.codes import Code
from sockproxy.core.errors import PeerError
from sockproxy.core.flow import ReceiveWindow, SendCredit
from sockproxy.core.log import FRAME_CHARGE_BYTES, INITIAL_WINDOW_BYTES, Log
from sockproxy.core.stream import Direction, Stream


def three() -> Log:
    log = Log(1 << 20)
    for data in (b"one", b"two!", b"three"):
        log.append(data)
    return log


def test_an_ack_drops_whole_frames_and_an_older_one_nothing() -> None:
    log = three()
    log.acknowledge(7)
    assert (log.base, log.next, log.first, log.end) == (7, 12, 2, 3)
    assert log.entry(2).data == b"three"
    log.acknowledge(3)
    assert log.base == 7


@pytest.mark.parametrize(("rx", "text"), [(13, "ack 13 beyond 12"), (5, "ack 5 inside a frame")])
def test_a_lie_about_what_came_is_refused(rx: int, text: str) -> None:
    with pytest.raises(PeerError, match=text) as caught:
        three().acknowledge(rx)
    assert caught.value.code is Code.PROTOCOL


def test_acked_payload_is_counted_for_its_stream() -> None:
    stream = Stream(2, SendCredit(0), ReceiveWindow(1, 0.0), Direction.UP)
    log = Log(1 << 20)
    log.append(b"hdr" + b"x" * 10, stream, 10)
    log.append(b"control")
    log.acknowledge(13)
    assert stream.acked == 10


def test_each_frame_is_charged_besides_its_bytes() -> None:
    log = three()
    assert log.charged == 12 + 3 * FRAME_CHARGE_BYTES


def test_the_window_doubles_when_acks_follow_a_wait() -> None:
    log = Log(4 * INITIAL_WINDOW_BYTES)
    log.append(bytes(INITIAL_WINDOW_BYTES))
    assert log.full
    log.acknowledge(log.next)
    assert log.window == 2 * INITIAL_WINDOW_BYTES
    log.append(b"x")
    assert not log.full
    log.acknowledge(log.next)
    assert log.window == 2 * INITIAL_WINDOW_BYTES


def test_the_window_never_passes_what_the_peer_allows() -> None:
    log = Log(4 * INITIAL_WINDOW_BYTES)
    log.limit(1000)
    assert log.window == 1000
    log.append(bytes(2000))
    assert log.full
    log.acknowledge(2000)
    assert log.window == 1000


def test_boundaries_are_the_ends_of_frames() -> None:
    log = three()
    assert [rx for rx in range(15) if log.has_boundary(rx)] == [0, 3, 7, 12]
