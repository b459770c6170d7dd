"""How short is memory, and whose session makes room?

Step by step, and each step before the next: windows stop growing, new work is refused,
sessions that wait for their pages end, the longest waiting first. Only when nobody waits
any more does a session with a page end: of those whose bytes have not moved for a while
the one that holds most. A stream that moves never ends for want of memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

GROW_BELOW = 0.7
TAKE_BELOW = 0.9
STILL_S = 10.0


class Pressure(IntEnum):
    """How short memory is."""

    CALM = 0
    TIGHT = 1
    SHORT = 2
    OVER = 3


@dataclass(frozen=True, slots=True)
class Holding:
    """What one session holds: for how long without a page, for how long without a change."""

    name: bytes
    size: int
    waiting_s: float | None
    still_s: float


def pressure(held_bytes: int, budget_bytes: int) -> Pressure:
    """Return how short memory is with so much of the budget held."""
    if held_bytes > budget_bytes:
        return Pressure.OVER
    if held_bytes > TAKE_BELOW * budget_bytes:
        return Pressure.SHORT
    return Pressure.TIGHT if held_bytes > GROW_BELOW * budget_bytes else Pressure.CALM


def to_end(holdings: Iterable[Holding], excess_bytes: int) -> list[Holding]:
    """Return whose sessions end so that `excess_bytes` come free, in that order.

    Those that hold nothing are left alone: their end would help nobody.
    """
    ended: list[Holding] = []
    for holding in sorted(filter(_may_end, holdings), key=_turn):
        if excess_bytes <= 0:
            break
        ended.append(holding)
        excess_bytes -= holding.size
    return ended


def _may_end(holding: Holding) -> bool:
    return holding.size > 0 and (holding.waiting_s is not None or holding.still_s >= STILL_S)


def _turn(holding: Holding) -> tuple[bool, float]:
    if holding.waiting_s is None:
        return True, -holding.size
    return False, -holding.waiting_s
