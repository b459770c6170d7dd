"""Are descriptors counted as they come and go, and do the lines stand where they should?"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.descriptors import Descriptors, Taken


def test_accepting_ends_at_90_percent_and_connecting_before_the_reserve() -> None:
    descriptors = Descriptors(limit=256, others=20)
    lines: dict[str, int] = {}
    for taken in range(21, 257):
        descriptors.take()
        if descriptors.full:
            lines.setdefault("full", taken)
        if descriptors.spent:
            lines.setdefault("spent", taken)

    assert lines == {"full": 230, "spent": 240}


def test_a_large_limit_keeps_5_percent() -> None:
    descriptors = Descriptors(limit=65_536)

    assert (descriptors.pause_at, descriptors.most) == (58_982, 62_260)


@pytest.mark.parametrize("limit", [1, 17, 64, 128])
def test_accepting_never_takes_the_reserve_of_a_small_limit(limit: int) -> None:
    descriptors = Descriptors(limit=limit)

    assert descriptors.pause_at <= descriptors.most == limit - 16


def test_without_a_limit_there_is_room() -> None:
    descriptors = Descriptors()
    descriptors.take()

    assert not descriptors.full
    assert not descriptors.spent


def test_room_that_nobody_waits_for_comes_back_all_the_same() -> None:
    descriptors = Descriptors(limit=64, others=47)
    taken = descriptors.take()
    assert descriptors.full

    taken.give_back()

    assert not descriptors.full


@given(st.lists(st.integers(-1, 60), max_size=200))
def test_that_there_is_no_room_and_that_there_is_again_is_told_once(steps: list[int]) -> None:
    descriptors, told = Descriptors(limit=64, others=10), [False]
    held: list[Taken] = []
    descriptors.when_full = lambda: told.append(True)
    descriptors.when_room = lambda: told.append(False)
    for step in steps:
        if step < 0 or not held:
            held.append(descriptors.take())
        else:
            given_back = held.pop(step % len(held))
            given_back.give_back()
            given_back.give_back()
        assert descriptors.taken == 10 + len(held)
        assert told[-1] is descriptors.full
    assert all(before is not after for before, after in pairwise(told))
