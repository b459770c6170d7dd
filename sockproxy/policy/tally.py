"""How many are there, and how often does it happen, for each address?

What is kept for somebody must not let him fill the memory: a count is held only while there
is something to count, a bucket only until it is full again, and where there are too many all
the same, whoever was not seen for the longest time is forgotten. Nobody pays for another: what
one key has used up is used up for this key alone.
"""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address

from sockproxy.policy.limits import TokenBucket

KEYS_MAX = 65_536
IPV6_SITE_BITS = 64


def site(peer: str) -> str:
    """Return what counts as one address: an IPv6 /64, or the whole of anything else."""
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return peer
    if address.ipv4_mapped is not None:  # by a socket for both families
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> IPV6_SITE_BITS << IPV6_SITE_BITS))


class Tally:
    """How many there are of each key; there are never more keys than things."""

    def __init__(self) -> None:
        self._of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, key: str) -> int:
        return self._of.get(key, 0)

    def add(self, key: str) -> None:
        self._of[key] = self[key] + 1

    def remove(self, key: str) -> None:
        """Take one away that was added."""
        left = self._of.pop(key) - 1
        if left:
            self._of[key] = left


class Rates:
    """How often it may happen, for each key: `rate_per_s` in the long run, `burst` at once."""

    def __init__(self, rate_per_s: float, burst: int, keys_max: int = KEYS_MAX) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._keys_max = keys_max
        # Whoever took last stands last.
        self._buckets: dict[str, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float) -> bool:
        """Return whether it may happen once more at `now`, in seconds; if so, count it."""
        bucket = self._buckets.pop(key, None) or TokenBucket(self._rate_per_s, self._burst, now)
        self._buckets[key] = bucket
        may = bucket.take(now)
        self._forget(now)
        return may

    def spent(self, key: str, now: float) -> bool:
        """Return whether it may not happen at `now`; nothing is counted."""
        bucket = self._buckets.get(key)
        return bucket is not None and bucket.empty(now)

    def _forget(self, now: float) -> None:
        """Drop from the oldest on what says nothing any more, and what is too much.

        The newest was taken from just now, so it is neither.
        """
        oldest = next(iter(self._buckets))
        while len(self._buckets) > self._keys_max or self._buckets[oldest].full(now):
            del self._buckets[oldest]
            oldest = next(iter(self._buckets))


class Seldom:
    """Lets a thing be said once in a while, with how often it was not."""

    def __init__(self, every_s: float, keys_max: int) -> None:
        self._every_s = every_s
        self._keys_max = keys_max
        self._unsaid: dict[Hashable, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._unsaid)

    def due(self, key: Hashable, now: float) -> int | None:
        """Return how often it was kept back since it was said; None to keep it back now."""
        until, count = self._unsaid.get(key, (now, 0))
        if until > now:
            self._unsaid[key] = (until, count + 1)
            return None
        self._unsaid.pop(key, None)
        self._unsaid[key] = (now + self._every_s, 0)
        if len(self._unsaid) > self._keys_max:
            del self._unsaid[next(iter(self._unsaid))]
        return count
