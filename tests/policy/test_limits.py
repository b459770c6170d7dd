"""Does the bucket allow its burst, then its rate?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.limits import TokenBucket


def test_a_burst_goes_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=3, now=10.0)

    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(10.5)
    assert not bucket.take(10.5)


def test_a_long_rest_earns_no_more_than_the_burst() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=3, now=0.0)

    assert sum(bucket.take(1000.0) for _ in range(10)) == 3


def test_a_clock_that_steps_back_earns_nothing() -> None:
    bucket = TokenBucket(rate_per_s=1, burst=1, now=100.0)

    assert bucket.take(100.0)
    assert not bucket.take(50.0)


@given(st.lists(st.floats(0, 5), max_size=200))
def test_never_more_than_burst_and_rate_allow(steps: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate_per_s=3, burst=5, now=0.0), 0.0, 0

    for step in steps:
        now += step
        taken += bucket.take(now)

    assert taken <= 5 + 3 * now + 1e-6


def test_a_bucket_that_is_full_again_may_be_forgotten() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=3, now=0.0)
    assert bucket.full(0.0)
    bucket.take(0.0)
    bucket.take(0.0)

    assert not bucket.full(0.0)
    assert not bucket.full(0.9)
    assert bucket.full(1.0)
    bucket.take(1.0)
    assert not bucket.full(1.0)


@given(st.lists(st.floats(0, 5), max_size=50))
def test_a_full_bucket_is_as_good_as_a_new_one(steps: list[float]) -> None:
    bucket, now = TokenBucket(rate_per_s=0.7, burst=4, now=0.0), 0.0

    for step in steps:
        now += step
        bucket.take(now)
        if bucket.full(now + 10):
            assert [bucket.take(now + 10) for _ in range(5)] == [True] * 4 + [False]
            now += 10


def test_looking_whether_a_bucket_is_empty_takes_nothing() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=1, now=0.0)

    assert [bucket.empty(0.0), bucket.empty(0.0), bucket.take(0.0)] == [False, False, True]
    assert [bucket.empty(0.4), bucket.empty(0.5)] == [True, False]
