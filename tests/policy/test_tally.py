"""Are counts true, keys few, and is nobody limited for what another did?"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.tally import Rates, Seldom, Tally, site

KEYS = st.sampled_from("abcde")
STEPS = st.lists(st.tuples(KEYS, st.floats(0, 3)), max_size=100)


def test_an_ipv6_network_of_64_bits_counts_as_one_address() -> None:
    assert site("192.0.2.1") == "192.0.2.1"
    assert site("2001:db8:1:2:3:4:5:6") == site("2001:db8:1:2::1") == "2001:db8:1:2::"
    assert site("2001:db8:1:3::1") != site("2001:db8:1:2::1")
    assert site("unix") == "unix"


def test_clients_that_a_socket_for_both_families_names_are_told_apart() -> None:
    assert site("::ffff:192.0.2.1") == site("192.0.2.1")


@given(st.lists(st.tuples(st.booleans(), KEYS), max_size=100))
def test_counts_are_those_of_a_counter_and_hold_no_key_for_nothing(
    steps: list[tuple[bool, str]],
) -> None:
    counts, model = Tally(), Counter[str]()

    for comes, key in steps:
        if comes:
            counts.add(key)
            model[key] += 1
        elif model[key]:
            counts.remove(key)
            model[key] -= 1
        assert {key: counts[key] for key in "abcde"} == {key: model[key] for key in "abcde"}
        assert len(counts) == len(+model)


def test_nothing_is_taken_away_that_was_not_added() -> None:
    with pytest.raises(KeyError):
        Tally().remove("a")


def test_each_key_has_its_burst_and_then_its_rate() -> None:
    rates = Rates(rate_per_s=2, burst=3)

    assert [rates.take("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert rates.spent("a", 0.0)
    assert not rates.spent("b", 0.0)
    assert rates.take("b", 0.0)
    assert not rates.spent("a", 0.5)
    assert rates.take("a", 0.5)
    assert not rates.take("a", 0.5)


@given(STEPS)
def test_what_others_do_changes_nothing_for_a_key(steps: list[tuple[str, float]]) -> None:
    crowd, alone, now = Rates(1.5, 4), Rates(1.5, 4), 0.0

    for key, step_s in steps:
        now += step_s
        may = crowd.take(key, now)
        if key == "a":
            assert may == alone.take("a", now)
        assert crowd.spent("a", now) == alone.spent("a", now)


def test_looking_at_a_key_does_not_keep_it() -> None:
    rates = Rates(1, 1)

    assert not rates.spent("a", 0.0)
    assert len(rates) == 0


def test_whoever_has_his_burst_again_is_forgotten_when_somebody_else_comes() -> None:
    rates = Rates(rate_per_s=1, burst=2)
    for number in range(100):
        rates.take(str(number), 0.0)
    assert len(rates) == 100

    rates.take("new", 0.5)
    assert len(rates) == 101
    rates.take("new", 1.0)
    assert len(rates) == 1


@given(STEPS, st.integers(1, 4))
def test_there_are_never_more_keys_than_allowed(
    steps: list[tuple[str, float]], keys_max: int
) -> None:
    rates, now = Rates(0.1, 5, keys_max), 0.0

    for key, step_s in steps:
        now += step_s
        rates.take(key, now)
        assert len(rates) <= keys_max


def test_the_one_who_was_silent_for_the_longest_time_makes_room() -> None:
    rates = Rates(rate_per_s=0.001, burst=1, keys_max=2)
    rates.take("a", 0.0)
    rates.take("b", 1.0)
    rates.take("a", 2.0)
    rates.take("c", 3.0)

    assert rates.spent("a", 3.0)
    assert not rates.spent("b", 3.0)


def test_a_thing_is_said_once_in_a_while_with_how_often_it_was_not() -> None:
    seldom = Seldom(every_s=10, keys_max=8)

    said = [seldom.due("a", now) for now in (0.0, 1.0, 9.9, 10.0, 11.0, 30.0, 50.0)]

    assert said == [0, None, None, 2, None, 1, 0]
    assert seldom.due(("a", "other"), 11.0) == 0


def test_what_is_kept_back_is_bounded() -> None:
    seldom = Seldom(every_s=10, keys_max=8)
    for number in range(100):
        assert seldom.due(number, 0.0) == 0
        assert len(seldom) <= 8

    assert seldom.due(99, 1.0) is None
    assert seldom.due(0, 1.0) == 0
