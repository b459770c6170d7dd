"""Does each name keep its own rate, and is none forgotten too soon?"""

from __future__ import annotations

import pytest

from sockproxy.policy.pace import Pace
from sockproxy.policy.quota import Bound, Full, Scope


def allowed(pace: Pace, now: float, *bounds: Bound) -> int:
    """Return how often something may happen at once."""
    for count in range(1000):
        try:
            pace.take(bounds, now)
        except Full:
            return count
    return 1000


ONE, OTHER = Bound(Scope.ADDRESS, "192.0.2.1", 2), Bound(Scope.ADDRESS, "192.0.2.2", 2)
ALL = Bound(Scope.ALL, "", 5)


def test_each_name_has_its_burst_and_then_its_rate() -> None:
    pace = Pace("opens", burst_s=10)

    assert allowed(pace, 0.0, ONE) == 20
    assert allowed(pace, 0.0, OTHER) == 20
    assert allowed(pace, 1.0, ONE) == 2


def test_a_slow_rate_still_lets_one_through() -> None:
    pace = Pace("opens", burst_s=1)

    assert allowed(pace, 0.0, Bound(Scope.ALL, "", 0.1)) == 1


def test_no_rate_is_no_bucket() -> None:
    pace = Pace("opens", burst_s=1)

    assert allowed(pace, 0.0, Bound(Scope.ALL, "", 0)) == 1000
    assert len(pace) == 0


def test_who_is_beyond_what_is_his_takes_nothing_of_what_is_shared() -> None:
    pace = Pace("opens", burst_s=1)

    assert allowed(pace, 0.0, ONE, ALL) == 2
    for _ in range(10):
        assert allowed(pace, 0.0, ONE, ALL) == 0
    assert allowed(pace, 0.0, OTHER, ALL) == 2


def test_a_refusal_names_the_rate_and_whose_it_is() -> None:
    pace = Pace("opens", burst_s=0)
    pace.take((ONE,), 0.0)

    with pytest.raises(Full, match="more than 2 opens a second from one address") as caught:
        pace.take((ONE,), 0.0)
    assert caught.value.scope is Scope.ADDRESS


def test_one_name_is_one_bucket_however_often_it_is_asked_for() -> None:
    pace = Pace("bytes", burst_s=1)
    free = Bound(Scope.ALL, "", 0)

    first, second = pace.buckets((ONE, free), 0.0), pace.buckets((ONE, free), 5.0)

    assert len(first) == 1
    assert first[0] is second[0]


def test_a_bucket_is_kept_while_it_is_not_full_or_held() -> None:
    pace = Pace("bytes", burst_s=1)
    held, spent, _ = pace.buckets((ONE, OTHER, ALL), 0.0)
    spent.spend(2)

    pace.forget(0.5, {ONE.key})
    assert len(pace) == 2
    assert pace.buckets((ONE, OTHER), 0.5) == (held, spent)
    pace.forget(1.0)
    assert len(pace) == 0
