"""Do bytes, marks and faults keep their order in a lane, to the byte and to the second?"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from sockproxy.faults.lane import Lane
from sockproxy.faults.plan import Plan
from sockproxy.faults.shape import ROOM_BYTES, shape


class Sink:
    """A transport in memory."""

    def __init__(self) -> None:
        self.data = b""
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        self.data += data

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None


class Road:
    """A lane with what is around it."""

    def __init__(self, *rules: str, opened: bool = True) -> None:
        self.clock, self.sink = Clock(), Sink()
        self.struck_verbs: list[str] = []
        self.cuts: list[bool] = []
        self.marks: list[tuple[str, int]] = []
        self.lane = Lane(self.clock, self)
        if opened:
            self.lane.open(self.sink)
        self.begin(*rules)

    def begin(self, *rules: str) -> None:
        self.lane.begin(shape(Plan(rules).decide(), "down"))

    def mark(self, name: str) -> None:
        self.lane.finish(lambda: self.marks.append((name, len(self.sink.data))))

    def struck(self, verb: str) -> None:
        self.struck_verbs.append(verb)

    def cut(self, lane: Lane, *, reset: bool) -> None:
        self.cuts.append(reset)
        lane.stop()

    def flow(self) -> None:
        """Nobody reads here."""

    def idle(self) -> bool:
        return self.clock.getDelayedCalls() == []


def test_bytes_wait_for_the_sink_and_marks_for_the_bytes() -> None:
    road = Road(opened=False)
    road.lane.write(b"hello")
    road.mark("end")
    assert road.marks == []
    road.lane.open(road.sink)
    assert road.sink.data == b"hello"
    assert road.marks == [("end", 5)]


@pytest.mark.parametrize("after", range(7))
def test_a_cut_is_exact(after: int) -> None:
    road = Road(f"cut after={after}")
    road.lane.write(b"abc")
    road.lane.write(b"def")
    road.mark("end")
    road.lane.write(b"ghi")
    assert road.sink.data == b"abcdef"[:after]
    assert road.cuts == [False]
    assert road.struck_verbs == ["cut"]
    assert road.marks == []


def test_a_head_counts_unless_the_body_is_meant() -> None:
    for rule, expected in (("reset after=6", b"HEADbo"), ("reset after=2 of=body", b"HEADbo")):
        road = Road(rule)
        road.lane.write(b"HEAD", head=True)
        road.lane.write(b"body")
        assert road.sink.data == expected
        assert road.cuts == [True]


def test_each_request_is_counted_anew() -> None:
    road = Road("cut after=4")
    road.lane.write(b"abc")
    road.begin("cut after=2")
    road.lane.write(b"d")
    assert road.cuts == []
    road.lane.write(b"ef")
    assert road.sink.data == b"abcde"


def test_a_delay_delays_and_keeps_the_order() -> None:
    road = Road("delay for=1s")
    road.lane.write(b"a")
    road.clock.advance(0.5)
    road.lane.write(b"b")
    road.mark("end")
    road.begin()
    road.lane.write(b"next")
    road.clock.advance(0.5)
    assert road.sink.data == b"a"
    road.clock.advance(0.5)
    assert road.sink.data == b"abnext"
    assert road.marks == [("end", 2)]
    assert road.idle()


def test_a_throttle_takes_its_rate() -> None:
    road = Road("throttle rate=1000")
    road.lane.write(b"x" * 2000)
    road.mark("end")
    for second in range(1, 3):
        for _ in range(100):
            road.clock.advance(0.01)
        assert abs(len(road.sink.data) - second * 1000) <= 40
    road.clock.advance(0.1)
    assert road.marks == [("end", 2000)]
    assert road.idle()


def test_a_stall_holds_bytes_and_end_for_its_time() -> None:
    road = Road("stall after=2 for=3s")
    road.lane.write(b"abcd")
    road.mark("end")
    assert road.sink.data == b"ab"
    road.clock.advance(2.9)
    assert road.sink.data == b"ab"
    road.clock.advance(0.1)
    assert road.sink.data == b"abcd"
    assert road.marks == [("end", 4)]
    assert road.struck_verbs == ["stall"]


def test_a_stall_for_good_has_no_timer_and_holds_the_end() -> None:
    road = Road("stall after=4")
    road.lane.write(b"abcd")
    road.mark("end")
    road.clock.advance(10_000)
    assert road.sink.data == b"abcd"
    assert road.marks == []
    assert road.idle()


def test_a_cut_may_follow_a_stall() -> None:
    road = Road("stall after=1 for=1s", "cut after=3")
    road.lane.write(b"abcd")
    road.clock.advance(1)
    assert road.sink.data == b"abc"
    assert road.struck_verbs == ["stall", "cut"]


@pytest.mark.parametrize(
    ("until", "heard"),
    [
        ("end", [b"", b"", b""]),
        ("4", [b"", b"aabb", b"aabbcc"]),
        ("first", [b"", b"aabb", b"aabbcc"]),
        ("next", [b"", b"aa", b"aabb"]),
    ],
)
def test_what_a_buffer_holds(until: str, heard: list[bytes]) -> None:
    road = Road(f"buffer until={until}")
    road.lane.write(b"H", head=True, free=True)
    for chunk, expected in zip((b"aa", b"bb", b"cc"), heard, strict=True):
        road.lane.write(chunk)
        assert road.sink.data == b"H" + expected
    road.mark("end")
    assert road.sink.data == b"Haabbcc"
    assert road.marks == [("end", 7)]


def test_a_buffer_that_is_full_lets_go() -> None:
    road = Road("buffer until=end")
    for _ in range(16):
        assert road.sink.data == b""
        assert not road.lane.full
        road.lane.write(b"x" * (1 << 20))
    assert len(road.sink.data) == 16 << 20
    assert not road.lane.full


def test_reading_stops_while_much_waits() -> None:
    road = Road()
    road.lane.pauseProducing()
    assert not road.lane.full
    road.lane.write(b"x")
    assert road.lane.full
    road.lane.resumeProducing()
    assert not road.lane.full
    stalled = Road("stall")
    stalled.lane.write(b"x" * ROOM_BYTES)
    assert stalled.lane.full


def test_frozen_is_still_until_thawed() -> None:
    road = Road()
    road.lane.freeze()
    assert not road.lane.prompt
    road.lane.write(b"abc")
    road.mark("end")
    assert road.sink.data == b""
    road.lane.thaw()
    assert road.sink.data == b"abc"
    assert road.marks == [("end", 3)]
    assert road.lane.prompt


def test_stopped_is_over() -> None:
    road = Road("delay for=1s")
    road.lane.write(b"abc")
    assert not road.lane.prompt
    road.lane.stop()
    road.lane.write(b"def")
    road.mark("end")
    assert road.idle()
    assert road.sink.producer is None
    assert road.sink.data == b""
    assert road.marks == []


def test_a_mark_may_write() -> None:
    road = Road()
    road.lane.freeze()
    road.lane.write(b"a")
    road.lane.finish(lambda: road.lane.write(b"c"))
    road.lane.write(b"b")
    road.lane.thaw()
    assert road.sink.data == b"abc"
