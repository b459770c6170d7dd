"""Who holds how much, and may somebody have one more?

Everything that can be taken is counted under each name that it is taken by: an address,
an origin, a principal, a backend, and all together. Nobody, who showed no ticket, is no
principal. What is asked for is counted whole or not at all, and given back by
`Hold.release`, which may be called again: a count can neither leak nor go below zero.

A bound of 0 is none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from sockproxy.settings import Limits, Way


class Scope(Enum):
    """By whom something is counted; the value ends the sentence that refuses it."""

    PRINCIPAL = "of one principal"
    ADDRESS = "from one address"
    ORIGIN = "of one origin"
    SECTION = "to one backend"
    ALL = "in all"


@dataclass(frozen=True, slots=True)
class Who:
    """Under which names somebody is counted; an IPv6 address by its /64."""

    address: str
    origin: str | None
    principal: str | None


@dataclass(frozen=True, slots=True)
class Caps:
    """What somebody may have at most by his own papers; 0: what the file allows.

    `streams` at once, for the principal; `total_bytes` both ways, for the session.
    """

    streams: int = 0
    total_bytes: int = 0


UNCAPPED = Caps()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a section allows its streams."""

    section: str = ""
    streams: int = 0
    idle_s: float = 0.0
    total_bytes: int = 0

    @classmethod
    def of(cls, section: str, way: Way) -> Bounds:
        return cls(section, way.max_streams, way.idle_timeout, way.max_bytes)


UNBOUNDED = Bounds()

Key = tuple[Scope, str]


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so many for one name; `None` is a name too: that of pages without origin."""

    scope: Scope
    name: str | None
    most: float

    @property
    def key(self) -> Key:
        # No name that somebody has begins with a space.
        return self.scope, " none" if self.name is None else self.name


class Full(Exception):
    """There is no more of it in this scope."""

    def __init__(self, scope: Scope, text: str) -> None:
        super().__init__(text)
        self.scope = scope
        self.text = text


class Counts:
    """How many of one kind of thing are held, by whom."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._held: Counter[Key] = Counter()

    def __len__(self) -> int:
        """How many names hold something."""
        return len(self._held)

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def take(self, bounds: tuple[Bound, ...]) -> Hold:
        """Count one more under every name. Raises `Full`, and has counted nothing then."""
        for bound in bounds:
            if bound.most and self._held[bound.key] >= bound.most:
                text = f"more than {bound.most:g} {self.what} {bound.scope.value}"
                raise Full(bound.scope, text)
        keys = tuple(bound.key for bound in bounds)
        self._held.update(keys)
        return Hold(self._held, keys)


class Hold:
    """One thing that is held, until it is given back."""

    __slots__ = ("_held", "_keys")

    def __init__(self, held: Counter[Key], keys: tuple[Key, ...]) -> None:
        self._held = held
        self._keys = keys

    def release(self) -> None:
        """Count it no more; harmless when repeated."""
        keys, self._keys = self._keys, ()
        for key in keys:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]


def sessions(who: Who, limits: Limits) -> tuple[Bound, ...]:
    """Return how many sessions there may be; the principal's own last, for it can make room."""
    return (
        Bound(Scope.ALL, "", limits.sessions),
        Bound(Scope.ADDRESS, who.address, limits.sessions_per_address),
        Bound(Scope.ORIGIN, who.origin, limits.sessions_per_origin),
        *_principal(who, limits.sessions_per_principal),
    )


def streams(who: Who, limits: Limits, bounds: Bounds, caps: Caps) -> tuple[Bound, ...]:
    """Return how many streams there may be at once."""
    return (
        *_principal(who, least(limits.streams_per_principal, caps.streams)),
        Bound(Scope.ADDRESS, who.address, limits.streams_per_address),
        Bound(Scope.ORIGIN, who.origin, limits.streams_per_origin),
        Bound(Scope.SECTION, bounds.section, bounds.streams),
        Bound(Scope.ALL, "", limits.streams_total),
    )


def opens_per_s(who: Who, limits: Limits) -> tuple[Bound, ...]:
    """Return how many streams may be opened a second.

    The narrow come first: who has gone beyond what is his takes nothing of what is shared.
    """
    return (
        *_principal(who, limits.principal_opens_per_s),
        Bound(Scope.ADDRESS, who.address, limits.address_opens_per_s),
        Bound(Scope.ORIGIN, who.origin, limits.origin_opens_per_s),
        Bound(Scope.ALL, "", limits.total_opens_per_s),
    )


def bytes_per_s(who: Who, limits: Limits) -> tuple[Bound, ...]:
    """Return how many bytes may go a second, both ways together."""
    return (
        *_principal(who, limits.principal_bytes_per_s),
        Bound(Scope.ADDRESS, who.address, limits.address_bytes_per_s),
        Bound(Scope.ORIGIN, who.origin, limits.origin_bytes_per_s),
        Bound(Scope.ALL, "", limits.total_bytes_per_s),
    )


def least(*bounds: int) -> int:
    """Return the narrowest of some bounds."""
    return min(filter(None, bounds), default=0)


def _principal(who: Who, most: float) -> tuple[Bound, ...]:
    return () if who.principal is None else (Bound(Scope.PRINCIPAL, who.principal, most),)
