"""How is something done again and again?

Twisted's LoopingCall stops for good at the first exception, without a word.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sockproxy.logs import Logger


class Every:
    """Calls `action` every `seconds` from `start` to `stop`; a failure is logged."""

    log = Logger()

    def __init__(self, clock: IReactorTime, seconds: float, action: Callable[[], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._action = action
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        self._next = self._clock.callLater(self._seconds, self._run)

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _run(self) -> None:
        self.start()
        try:
            self._action()
        except Exception:
            self.log.failure("a repeated task failed and will run again")
