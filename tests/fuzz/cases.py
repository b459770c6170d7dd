"""What does connection number so-and-so of a seed do?

A case is all that one try says, and how: in which portions, and how each of its connections
ends. It depends on the seed and its number alone, so that it can be had again by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from random import Random

from tests.fuzz.conversations import KINDS, Pieces, unchanged
from tests.fuzz.mutations import mutated

# Byte by byte is slow: only so many of a connection's first or last ones are.
SINGLE_BYTES = 60
PORTIONS_MAX = 12


class Ending(Enum):
    """How a client leaves once it has said all."""

    WAIT = "waits for the server"
    FIN = "closes"
    HALF = "closes its own direction"
    RESET = "resets"


@dataclass(frozen=True, slots=True)
class Script:
    """What one connection says, portion by portion, and how it ends."""

    portions: tuple[bytes, ...]
    ending: Ending


@dataclass(frozen=True, slots=True)
class Case:
    """One try: most have one connection, some have two, one after the other."""

    number: int
    kind: str
    scripts: tuple[Script, ...]


def case(seed: int, number: int) -> Case:
    """Return case `number` of a seed."""
    draw = Random(f"{seed} {number}")
    kind = draw.choice(KINDS)
    # A lie inside a good envelope goes deeper than a torn envelope.
    inner, outer = draw.choice(((3, 0), (3, 0), (0, 3), (2, 2), (0, 0)))
    said = kind(draw, lambda pieces: mutated(draw, pieces, inner))
    changed = [mutated(draw, pieces, outer) for pieces in said]
    return Case(number, kind.__name__, tuple(_script(draw, pieces) for pieces in changed))


def cases(seed: int, count: int, first: int = 0) -> Iterator[Case]:
    """Yield so many cases of a seed."""
    for number in range(first, first + count):
        yield case(seed, number)


def honest(seed: int, number: int) -> Case:
    """Return a case to which nothing happens."""
    draw = Random(f"{seed} {number}")
    kind = KINDS[number % len(KINDS)]
    said = kind(draw, unchanged)
    scripts = tuple(Script(tuple(pieces), Ending.WAIT) for pieces in said)
    return Case(number, kind.__name__, scripts)


def _script(draw: Random, pieces: Pieces) -> Script:
    data = b"".join(pieces)
    if draw.random() < 0.3:
        data = data[: draw.randint(0, len(data))]
    return Script(tuple(_portions(draw, data)), draw.choice(tuple(Ending)))


def _portions(draw: Random, data: bytes) -> Iterator[bytes]:
    """Cut what is said: not at all, at some places, or at every byte of a stretch."""
    way = draw.random()
    if way < 0.5:
        cuts = set()
    elif way < 0.85:
        cuts = {draw.randint(0, len(data)) for _ in range(draw.randint(1, PORTIONS_MAX))}
    else:
        start = draw.randint(0, max(0, len(data) - SINGLE_BYTES))
        cuts = set(range(start, min(len(data), start + SINGLE_BYTES)))
    places = [0, *sorted(cuts - {0, len(data)}), len(data)]
    for start, end in pairwise(places):
        if start < end:
            yield data[start:end]
