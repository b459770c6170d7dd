"""Does the same seed decide the same, and does each selector pick what it says?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.faults.kinds import Answer, Cut, Delay, Strip
from sockproxy.faults.plan import Plan
from sockproxy.faults.rules import BadRule

RULES = (
    "cut after=0..64KiB where=/up chance=0.3",
    "stall for=100ms..2s every=3 link=ws",
    "delay for=1ms..50ms jitter=5ms chance=0.5",
    "answer status=503 chance=0.2 times=3 where=/down",
    "reset step=7 skip=2",
    "buffer until=1..1MiB first=5 method=POST",
    "drop chance=0.1",
)
questions = st.lists(
    st.tuples(
        st.sampled_from(["GET", "POST"]),
        st.sampled_from(["/up", "/down", "/ws", "/x?y"]),
        st.sampled_from(["ws", "http", "tcp"]),
    )
)
rules = st.lists(st.sampled_from(RULES))


@given(rules, st.integers(), questions)
def test_the_same_seed_and_questions_decide_the_same(
    texts: list[str], seed: int, asked: list[tuple[str, str, str]]
) -> None:
    one, two = Plan(texts, seed), Plan(texts, seed)
    assert [one.decide(*each) for each in asked] == [two.decide(*each) for each in asked]


@given(rules, st.integers(), questions)
def test_no_rule_sees_what_another_draws(
    texts: list[str], seed: int, asked: list[tuple[str, str, str]]
) -> None:
    alone, beside = Plan(RULES[:1], seed), Plan([RULES[0], *texts], seed)
    for each in asked:
        expected = alone.decide(*each).faults
        assert beside.decide(*each).faults[: len(expected)] == expected


def test_another_seed_decides_something_else() -> None:
    drawn = {
        tuple(Plan(["cut after=0..1MiB"], seed).decide().faults[0] for _ in range(3))
        for seed in range(20)
    }
    assert len(drawn) == 20


def test_what_a_seed_decides_stays_the_same_in_later_releases() -> None:
    """A run that failed with a seed has to fail with it again."""
    plan = Plan(["cut after=0..1000 chance=0.5"], 7)
    cuts = [plan.decide().first(Cut) for _ in range(8)]
    assert [cut and cut.after_bytes for cut in cuts] == [
        None,
        None,
        937,
        None,
        None,
        820,
        608,
        None,
    ]


@pytest.mark.parametrize(
    ("selectors", "hit"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("every=3", [3, 6, 9]),
        ("first=2", [1, 2]),
        ("skip=7", [8, 9]),
        ("times=2", [1, 2]),
        ("skip=1 every=3 times=2", [4, 7]),
        ("skip=3 first=2", [4, 5]),
        ("every=2 first=5", [2, 4]),
        ("chance=0", []),
        ("chance=1", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_the_schedule(selectors: str, hit: list[int]) -> None:
    plan = Plan([f"login {selectors}"])
    decisions = [plan.decide() for _ in range(9)]
    assert [each.number for each in decisions if each.faults] == hit


def test_only_requests_that_fit_are_counted() -> None:
    plan = Plan(["login where=/up every=2"])
    paths = ["/up", "/down", "/down", "/up", "/up", "/up"]
    hit = [bool(plan.decide("POST", path).faults) for path in paths]
    assert hit == [False, False, False, True, False, True]


def test_a_chance_is_about_as_often_as_it_says() -> None:
    plan = Plan(["login chance=0.2"], 3)
    assert 150 < sum(bool(plan.decide().faults) for _ in range(1000)) < 250


def test_a_step_goes_on_with_each_cut() -> None:
    plan = Plan(["cut after=10 step=2 every=2"])
    cuts = [plan.decide().first(Cut) for _ in range(6)]
    assert [cut.after_bytes for cut in cuts if cut] == [10, 12, 14]


def test_the_first_of_a_kind_stands_and_all_are_there() -> None:
    plan = Plan(["strip header=A", "strip header=B", "delay for=1s", "delay for=2s"])
    decision = plan.decide()
    assert [strip.header for strip in decision.all(Strip)] == ["A", "B"]
    delay = decision.first(Delay)
    assert delay is not None
    assert delay.for_s == 1
    assert decision.first(Answer) is None


def test_the_seed_is_in_what_it_says() -> None:
    assert str(Plan(["login", "cut  after=1"], 7)) == "seed 7: login; cut after=1"
    assert str(Plan()) == "seed 0: no faults"
    with pytest.raises(BadRule, match=r"^seed 7: fault 'logn'"):
        Plan(["logn"], 7)
