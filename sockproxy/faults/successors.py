"""What waits for the next request of its kind to be answered?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime

Key = tuple[str, str]  # method, path


@dataclass(slots=True)
class _Waiting:
    action: Callable[[], None]
    timer: IDelayedCall | None = None


class Successors:
    """Actions that wait, each with a time limit or without one."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Key, list[_Waiting]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def after(self, key: Key, action: Callable[[], None], within_s: float | None = None) -> None:
        """Do something when the next request with this key was answered, or when it is late."""
        waiting = _Waiting(action)
        self._waiting.setdefault(key, []).append(waiting)
        if within_s is not None:
            waiting.timer = self._clock.callLater(within_s, self._late, key, waiting)

    def answered(self, key: Key) -> None:
        """A request with this key has its whole answer."""
        for waiting in self._waiting.pop(key, []):
            if waiting.timer is not None:
                waiting.timer.cancel()
            waiting.action()

    def stop(self) -> None:
        """Forget them all."""
        for waiting in (each for listed in self._waiting.values() for each in listed):
            if waiting.timer is not None:
                waiting.timer.cancel()
        self._waiting.clear()

    def _late(self, key: Key, waiting: _Waiting) -> None:
        listed = self._waiting[key]
        listed.remove(waiting)
        if not listed:
            del self._waiting[key]
        waiting.action()
