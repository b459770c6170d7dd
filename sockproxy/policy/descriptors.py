"""May this process open one more descriptor?

A process that has used them all up can neither accept nor connect nor open its log, and finds
out by errors in the middle of other work. So they are counted here as they are taken, and two
lines are drawn below the limit: at 90 % no more connections are accepted, they wait with the
kernel; what is left is for the backends of those that are in, down to a reserve for names to be
looked up and for logs, which neither of them may touch.
"""

from __future__ import annotations

from collections.abc import Callable

UNLIMITED = 1 << 30
PAUSE_PERCENT = 90
RESERVE_PERCENT = 5
RESERVE_MIN = 16


def _nothing() -> None:
    pass


class Descriptors:
    """How many of `limit` are taken; `others` are those that nobody takes here.

    `when_full` is called when accepting has to pause, `when_room` when it may go on.
    """

    def __init__(self, limit: int = UNLIMITED, others: int = 0) -> None:
        self.limit = limit
        self.taken = others
        self.most = limit - max(RESERVE_MIN, limit * RESERVE_PERCENT // 100)
        self.pause_at = min(limit * PAUSE_PERCENT // 100, self.most)
        self.when_full: Callable[[], None] = _nothing
        self.when_room: Callable[[], None] = _nothing

    @property
    def full(self) -> bool:
        """Whether no more connections are to be accepted."""
        return self.taken >= self.pause_at

    @property
    def spent(self) -> bool:
        """Whether only the reserve is left."""
        return self.taken >= self.most

    def take(self) -> Taken:
        """Count one that is open now, or will be in a moment."""
        was_full = self.full
        self.taken += 1
        if self.full and not was_full:
            self.when_full()
        return Taken(self)

    def _give(self) -> None:
        was_full = self.full
        self.taken -= 1
        if was_full and not self.full:
            self.when_room()


class Taken:
    """One descriptor, until it is given back."""

    __slots__ = ("_descriptors",)

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors: Descriptors | None = descriptors

    def give_back(self) -> None:
        """Say that it is closed; harmless when repeated."""
        descriptors, self._descriptors = self._descriptors, None
        if descriptors is not None:
            descriptors._give()
