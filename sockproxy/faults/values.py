"""How is a value of a rule written: `64KiB`, `200ms`, `10..50`, `0.2`?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024 * 1024}
_TIMES = {"ms": 0.001, "s": 1.0, "min": 60.0}
MAX_SECONDS = 24 * 3600.0
MAX_BYTES = 1 << 40


class BadValue(ValueError):
    """The text is no such value; says what to write instead."""


@dataclass(frozen=True, slots=True)
class Span:
    """A number, or the ends of a range that one is drawn from for each request."""

    low: float
    high: float
    whole: bool

    def draw(self, dice: Random) -> float | int:
        """Return a number of the range; a fixed one takes nothing from the dice."""
        if self.low == self.high:
            return int(self.low) if self.whole else self.low
        if self.whole:
            return dice.randint(int(self.low), int(self.high))
        return dice.uniform(self.low, self.high)


Value = Span | str | int | float
Reads = Callable[[str], Value]


def size(text: str) -> Span:
    """Read a number of bytes or a range of them."""
    return _span(text, _SIZES, "bytes such as 1000, 64KiB, 1MiB or 1..64KiB", whole=True)


def some(text: str) -> Span:
    """Read a number of bytes that is not 0."""
    span = size(text)
    if span.low < 1:
        raise BadValue("at least 1 byte")
    return span


def duration(text: str) -> Span:
    """Read a time or a range of times."""
    return _span(text, _TIMES, "a time such as 200ms, 5s, 2min or 100ms..2s", whole=False)


def count(text: str) -> int:
    """Read how many times."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:10]) < 10**9:
        raise BadValue("a number from 1 on")
    return int(text)


def chance(text: str) -> float:
    """Read a probability."""
    found = _NUMBER.fullmatch(text)
    if found is None or found[2] or not 0 <= float(found[1]) <= 1:
        raise BadValue("a chance from 0 to 1, such as 0.2")
    return float(found[1])


def words(*allowed: str) -> Reads:
    """Return what reads one of these words."""

    def read(text: str) -> str:
        if text not in allowed:
            raise BadValue(", ".join(allowed[:-1]) + f" or {allowed[-1]}")
        return text

    return read


def one_of(allowed: Mapping[int, str]) -> Reads:
    """Return what reads one of these numbers."""

    def read(text: str) -> int:
        if text not in map(str, allowed):
            raise BadValue("one of " + ", ".join(map(str, allowed)))
        return int(text)

    return read


def token(text: str) -> str:
    """Read the name of a header or a method."""
    if not _TOKEN.fullmatch(text):
        raise BadValue("a name such as Origin")
    return text


def url(text: str) -> str:
    """Read what may stand in a Location header."""
    if not text or not text.isascii() or not text.isprintable():
        raise BadValue("a URL in ASCII")
    return text


def path(text: str) -> str:
    """Read the end of a path, or a pattern of one."""
    if not text.startswith(("/", "*")):
        raise BadValue("the end of a path such as /up, or a pattern of all of it such as /api/*")
    return text


def until(text: str) -> Span | str:
    """Read how long an answer is held."""
    if text in ("end", "first", "next"):
        return text
    try:
        return some(text)
    except BadValue:
        raise BadValue("end, first, next or a number of bytes such as 1MiB") from None


def _span(text: str, units: Mapping[str, float], allowed: str, *, whole: bool) -> Span:
    low, dots, high = text.partition("..")
    ends = [_number(end, units) for end in ([low, high] if dots else [low])]
    most = MAX_BYTES if whole else MAX_SECONDS
    found = [end for end in ends if end is not None and end <= most]
    if len(found) < len(ends) or found[0] > found[-1]:
        raise BadValue(allowed)
    return Span(found[0], found[-1], whole)


def _number(text: str, units: Mapping[str, float]) -> float | None:
    found = _NUMBER.fullmatch(text)
    if found is None or found[2] not in units:
        return None
    return float(found[1]) * units[found[2]]
