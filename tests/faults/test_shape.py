"""Does a decision become the right faults of each direction?"""

from __future__ import annotations

import pytest

from sockproxy.faults.plan import Plan
from sockproxy.faults.shape import (
    DELAYED_ROOM_BYTES,
    HELD_ROOM_BYTES,
    ROOM_BYTES,
    Shape,
    shape,
)


def made(direction: str, *rules: str, seed: int = 7) -> Shape:
    return shape(Plan(rules, seed).decide(), direction)


def test_each_direction_has_its_own() -> None:
    rules = ("cut after=1", "stall direction=up", "throttle rate=100", "delay for=1s direction=up")
    up, down = made("up", *rules), made("down", *rules)
    assert (up.cut, up.stall is not None, up.delay is not None) == (None, True, True)
    assert (down.cut is not None, down.stall, down.delay) == (True, None, None)
    assert up.throttle == down.throttle
    assert up.throttle is not None


def test_two_rules_may_share_a_kind_between_the_directions() -> None:
    rules = ("cut after=1 direction=up", "cut after=2 direction=down")
    up, down = made("up", *rules).cut, made("down", *rules).cut
    assert up is not None
    assert down is not None
    assert (up.after_bytes, down.after_bytes) == (1, 2)


def test_only_answers_are_buffered() -> None:
    assert made("up", "buffer until=end").hold is None
    assert made("down", "buffer until=end").hold == "end"


def test_how_much_may_wait() -> None:
    assert Shape().room_bytes == ROOM_BYTES
    assert made("down", "delay for=1s").room_bytes == DELAYED_ROOM_BYTES
    assert made("down", "buffer until=next").room_bytes == HELD_ROOM_BYTES
    assert made("down", "buffer until=1MiB").room_bytes == ROOM_BYTES + (1 << 20)


def test_a_delay_keeps_the_order_and_draws_the_same_from_the_same_seed() -> None:
    one, two = (made("up", "delay for=1s jitter=1s") for _ in range(2))
    due, last = [], 0.0
    for now in range(50):
        last = one.due(now / 100, last)
        due.append(last)
        assert now / 100 + 1 <= last <= now / 100 + 2
    assert due == sorted(due)
    assert due[0] == two.due(0, 0)
    assert Shape().due(3.0, 4.0) == 4.0


def test_a_narrow_way_moves_in_ticks() -> None:
    narrow = made("up", "throttle rate=1000")
    assert narrow.slice_bytes() == 20
    assert narrow.pause_s(20) == pytest.approx(0.02)
    assert made("up", "throttle rate=1").slice_bytes() == 1
    assert Shape().slice_bytes() is None
    assert Shape().pause_s(100) == 0
