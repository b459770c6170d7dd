"""How often may something happen?"""

from __future__ import annotations


class TokenBucket:
    """Allows `rate_per_s` in the long run and `burst` at once."""

    __slots__ = ("_at", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Return whether one more may happen at `now`, in seconds; if so, count it."""
        self._earn(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def empty(self, now: float) -> bool:
        """Return whether nothing may happen at `now`; nothing is counted."""
        self._earn(now)
        return self._tokens < 1

    def full(self, now: float) -> bool:
        """Return whether nothing of the burst is used at `now`: it may be forgotten."""
        self._earn(now)
        return self._tokens == self._burst

    def _earn(self, now: float) -> None:
        earned = max(0.0, now - self._at) * self._rate_per_s
        self._tokens = min(self._burst, self._tokens + earned)
        self._at = now
