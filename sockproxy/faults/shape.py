"""What happens to the bytes of one request, or of its answer, on their way?"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from sockproxy.faults.kinds import DOWN, Buffer, Cut, Delay, Stall, Throttle, concerns
from sockproxy.faults.plan import Decision

ROOM_BYTES = 64 * 1024
DELAYED_ROOM_BYTES = 4 * 1024 * 1024
HELD_ROOM_BYTES = 16 * 1024 * 1024
# A throttled way moves this often.
TICK_S = 0.02


@dataclass(slots=True)
class Shape:
    """The faults of one direction for one request."""

    cut: Cut | None = None
    stall: Stall | None = None
    delay: Delay | None = None
    throttle: Throttle | None = None
    hold: int | str | None = None
    dice: Random = field(default_factory=Random)

    @property
    def room_bytes(self) -> int:
        """How much may wait before reading stops."""
        if isinstance(self.hold, int):
            return self.hold + ROOM_BYTES
        if self.hold is not None:
            return HELD_ROOM_BYTES
        return DELAYED_ROOM_BYTES if self.delay is not None else ROOM_BYTES

    def due(self, now: float, last: float) -> float:
        """Return when bytes that come now may go: not before those that came before them."""
        if self.delay is None:
            return max(now, last)
        jitter = self.delay.jitter_s * self.dice.random() if self.delay.jitter_s else 0.0
        return max(now + self.delay.for_s + jitter, last)

    def slice_bytes(self) -> int | None:
        """Return how much may go at once."""
        if self.throttle is None:
            return None
        return max(1, int(self.throttle.rate_bytes_per_s * TICK_S))

    def pause_s(self, sent: int) -> float:
        """Return how long to wait after `sent` bytes."""
        return 0.0 if self.throttle is None else sent / self.throttle.rate_bytes_per_s


def shape(decision: Decision, direction: str) -> Shape:
    """Return what a decision means for the bytes of one direction."""
    made = Shape(
        cut=next((f for f in decision.all(Cut) if concerns(f.direction, direction)), None),
        stall=next((f for f in decision.all(Stall) if concerns(f.direction, direction)), None),
        delay=next((f for f in decision.all(Delay) if concerns(f.direction, direction)), None),
        throttle=next(
            (f for f in decision.all(Throttle) if concerns(f.direction, direction)), None
        ),
    )
    buffer = decision.first(Buffer)
    if buffer is not None and direction == DOWN:
        made.hold = buffer.until
    if made.delay is not None:
        made.dice = Random(f"{made.delay.seed}/{direction}")  # noqa: S311
    return made
