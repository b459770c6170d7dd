"""Is memory given back step by step, and by those who need it least?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.budget import STILL_S, Holding, Pressure, pressure, to_end


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (0, Pressure.CALM),
        (700, Pressure.CALM),
        (701, Pressure.TIGHT),
        (900, Pressure.TIGHT),
        (901, Pressure.SHORT),
        (1000, Pressure.SHORT),
        (1001, Pressure.OVER),
    ],
)
def test_each_step_begins_where_it_should(held: int, expected: Pressure) -> None:
    assert pressure(held, 1000) is expected


def waiting(name: bytes, size: int, waiting_s: float) -> Holding:
    return Holding(name, size, waiting_s, still_s=waiting_s)


def there(name: bytes, size: int, still_s: float = 60.0) -> Holding:
    return Holding(name, size, None, still_s)


def names(holdings: list[Holding], excess: int) -> list[bytes]:
    return [holding.name for holding in to_end(holdings, excess)]


def test_the_longest_waiting_goes_first_and_no_more_than_are_needed() -> None:
    holdings = [waiting(b"new", 10, 6), waiting(b"old", 10, 60), waiting(b"mid", 10, 30)]

    assert names(holdings, 1) == [b"old"]
    assert names(holdings, 11) == [b"old", b"mid"]
    assert names(holdings, 0) == []


def test_those_with_a_page_come_after_all_that_wait_and_the_largest_first() -> None:
    holdings = [there(b"small", 10), there(b"large", 500), waiting(b"new", 1, 6)]

    assert names(holdings, 1) == [b"new"]
    assert names(holdings, 2) == [b"new", b"large"]
    assert names(holdings, 10_000) == [b"new", b"large", b"small"]


def test_what_moves_or_holds_nothing_never_ends() -> None:
    moving = there(b"moving", 10_000, still_s=STILL_S - 0.1)

    assert names([moving, there(b"empty", 0), waiting(b"none", 0, 100)], 10_000) == []


HOLDINGS = st.lists(
    st.builds(
        Holding,
        st.binary(max_size=4),
        st.integers(0, 100),
        st.none() | st.floats(0, 100),
        st.floats(0, 100),
    ),
    max_size=30,
)


@given(HOLDINGS, st.integers(0, 1000))
def test_nobody_with_a_page_ends_while_anybody_waits(holdings: list[Holding], excess: int) -> None:
    ended = to_end(holdings, excess)
    left = [holding for holding in holdings if not any(holding is gone for gone in ended)]

    assert sum(holding.size for holding in ended[:-1]) < max(1, excess), "one more than needed"
    if any(holding.waiting_s is None for holding in ended):
        assert not [holding for holding in left if holding.waiting_s is not None and holding.size]
    waits = [holding.waiting_s for holding in ended if holding.waiting_s is not None]
    assert waits == sorted(waits, reverse=True)
    assert all(holding.waiting_s is not None or holding.still_s >= STILL_S for holding in ended)


@given(HOLDINGS, st.integers(1, 1000))
def test_all_that_may_end_does_where_it_is_needed(holdings: list[Holding], excess: int) -> None:
    free = sum(holding.size for holding in to_end(holdings, excess))
    most = sum(
        holding.size
        for holding in holdings
        if holding.waiting_s is not None or holding.still_s >= STILL_S
    )

    assert free >= min(excess, most)
