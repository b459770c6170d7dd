"""How fast may each go, and all together?

One bucket for each name with a rate, made when it is first asked for. It is forgotten when
it is full again and nobody holds it: forgotten sooner, coming back would be a way to a new
burst.
"""

from __future__ import annotations

from collections.abc import Container

from sockproxy.policy.limits import TokenBucket
from sockproxy.policy.quota import Bound, Full, Key

BURST_S = 10.0
BYTES_BURST_S = 1.0


class Pace:
    """The buckets of one kind of thing."""

    def __init__(self, what: str, burst_s: float) -> None:
        self._what = what
        self._burst_s = burst_s
        self._buckets: dict[Key, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, bounds: tuple[Bound, ...], now: float) -> None:
        """Let one more happen at `now`. Raises `Full`; what was taken by then is gone."""
        for bound in bounds:
            if bound.most and not self._bucket(bound, now).take(now):
                text = f"more than {bound.most:g} {self._what} a second {bound.scope.value}"
                raise Full(bound.scope, text)

    def buckets(self, bounds: tuple[Bound, ...], now: float) -> tuple[TokenBucket, ...]:
        """Return the buckets of those names that have a rate."""
        return tuple(self._bucket(bound, now) for bound in bounds if bound.most)

    def forget(self, now: float, held: Container[Key] = ()) -> None:
        """Drop the buckets that say nothing any more, but for names that are `held`."""
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if key in held or not bucket.full(now)
        }

    def _bucket(self, bound: Bound, now: float) -> TokenBucket:
        bucket = self._buckets.get(bound.key)
        if bucket is None:
            bucket = TokenBucket(bound.most, max(1.0, bound.most * self._burst_s), now)
            self._buckets[bound.key] = bucket
        return bucket
