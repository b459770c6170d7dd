"""How do bytes get from one end to the other, in one direction?

A lane is a queue in front of a transport. All that goes through keeps its order: bytes, the
end of a message, the end of the direction, its breaking. The faults of a request hold what is
at the head of the queue, or end the passage; they begin and end in the queue as well, so the
tail of one request keeps its faults while the next one comes in. One timer, which is its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from sockproxy.faults.kinds import Cut, Stall
from sockproxy.faults.shape import Shape


class Owner(Protocol):
    """What a lane is a part of."""

    def struck(self, verb: str) -> None:
        """A fault has happened."""

    def cut(self, lane: Lane, *, reset: bool) -> None:
        """The connection ends here."""

    def flow(self) -> None:
        """`full` may have changed."""


@dataclass(slots=True)
class _Bytes:
    data: bytes
    due: float
    head: bool  # of a message
    free: bool  # not held with the body


@dataclass(slots=True)
class _Mark:
    reached: Callable[[], None]


@implementer(IPushProducer)
class Lane:
    """Bytes on their way to `sink`, which may come later."""

    def __init__(self, clock: IReactorTime, owner: Owner) -> None:
        self._clock = clock
        self._owner = owner
        self._queue: deque[_Bytes | _Mark] = deque()
        self._waiting_bytes = 0
        self._timer: IDelayedCall | None = None
        self._sink: Any = None
        self._paused = self._frozen = self._over = self._pumping = False
        self._written = Shape()  # of what comes in
        self._last_due = 0.0
        self._pass(Shape())

    def _pass(self, shape: Shape) -> None:
        """What goes out from here on is of another request."""
        self._shape = shape
        self._sent_bytes = self._body_bytes = 0  # of it
        self._released = self._whole = self._stalled = False
        self._not_before = 0.0

    @property
    def full(self) -> bool:
        """Whether no more should be read for now."""
        return self._waiting_bytes >= self._written.room_bytes or (
            self._paused and self._waiting_bytes > 0
        )

    @property
    def prompt(self) -> bool:
        """Whether a break shall go through at once, not in its place: no fault holds it."""
        shape = self._shape
        held = shape.stall or shape.delay or shape.throttle
        return self._sink is not None and not self._frozen and held is None

    def open(self, sink: Any) -> None:
        """Deliver to a transport."""
        self._sink = sink
        sink.registerProducer(self, True)
        self._pump()

    def begin(self, shape: Shape) -> None:
        """What comes in from here on is of a new request."""
        self._written = shape
        self._mark(lambda: self._pass(shape))

    def write(self, data: bytes, *, head: bool = False, free: bool = False) -> None:
        if data and not self._over:
            self._last_due = self._written.due(self._clock.seconds(), self._last_due)
            self._queue.append(_Bytes(data, self._last_due, head, free))
            self._waiting_bytes += len(data)
            self._pump()

    def finish(self, reached: Callable[[], None]) -> None:
        """The message, or the direction, is whole; say when all of it went out."""
        self._whole = True
        self._mark(reached)

    def freeze(self) -> None:
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False
        self._pump()

    def stop(self) -> None:
        """Deliver nothing any more and forget what waits."""
        self._over = True
        self._queue.clear()
        self._waiting_bytes = 0
        self._sleep()
        if self._sink is not None:
            self._sink.unregisterProducer()
            self._sink = None

    def pauseProducing(self) -> None:
        self._paused = True
        self._owner.flow()

    def resumeProducing(self) -> None:
        self._paused = False
        self._pump()

    def stopProducing(self) -> None:
        """The sink is gone; its protocol says so as well."""

    def _mark(self, reached: Callable[[], None]) -> None:
        if not self._over:
            self._queue.append(_Mark(reached))
            self._pump()

    def _pump(self) -> None:
        """Deliver what may go; a mark's action may put in more."""
        if self._pumping:
            return
        self._pumping = True
        self._sleep()
        try:
            while self._queue and self._sink is not None and not (self._paused or self._frozen):
                wait_s = self._step()
                if wait_s is not None:
                    self._wake(wait_s)
                    break
        finally:
            self._pumping = False
        if not self._over:
            self._owner.flow()

    def _step(self) -> float | None:
        """Deliver from the head of the queue, or return how long that has to wait."""
        item = self._queue[0]
        now = self._clock.seconds()
        if isinstance(item, _Mark):
            if self._not_before > now:
                return self._not_before - now
            self._queue.popleft()
            item.reached()
            return None
        if self._held(item):
            return inf
        self._strike(item, now)
        wait_s = max(item.due, self._not_before) - now
        if self._over:
            return None
        if wait_s > 0:
            return wait_s
        self._deliver(item, now)
        self._strike(item, now)
        return None

    def _held(self, item: _Bytes) -> bool:
        """Return whether a buffering proxy would still gather."""
        until = self._shape.hold
        if until is None or item.free or self._whole or self._released:
            return False
        if self._waiting_bytes >= self._shape.room_bytes:
            self._released = True
        elif isinstance(until, int):
            self._released = self._waiting_bytes >= until
        elif until == "first":
            self._released = self._pieces() > 1
        elif until == "next":
            return self._pieces() < 2
        return not self._released

    def _pieces(self) -> int:
        return sum(isinstance(item, _Bytes) for item in islice(self._queue, 2))

    def _strike(self, item: _Bytes, now: float) -> None:
        """Do what is due at this byte."""
        cut, stall = self._shape.cut, self._shape.stall
        if cut is not None and cut.after_bytes is not None and self._to(cut, item) == 0:
            self._owner.struck(cut.verb)
            self._owner.cut(self, reset=cut.reset)
        elif stall is not None and not self._stalled and self._to(stall, item) == 0:
            self._stalled = True
            self._owner.struck(stall.verb)
            self._not_before = now + (inf if stall.for_s is None else stall.for_s)

    def _to(self, fault: Cut | Stall, item: _Bytes) -> int | None:
        """Return how many bytes may go before a fault; None where they do not count."""
        if fault.after_bytes is None or (fault.body and item.head):
            return None
        sent = self._body_bytes if fault.body else self._sent_bytes
        return max(0, fault.after_bytes - sent)

    def _deliver(self, item: _Bytes, now: float) -> None:
        size = self._size(item)
        data, item.data = item.data[:size], item.data[size:]
        if not item.data:
            self._queue.popleft()
        self._waiting_bytes -= size
        self._sent_bytes += size
        self._body_bytes += 0 if item.head else size
        self._not_before = now + self._shape.pause_s(size)
        self._sink.write(data)

    def _size(self, item: _Bytes) -> int:
        """Return how much of the head of the queue goes now."""
        edges = [len(item.data), self._shape.slice_bytes()]
        edges += [
            self._to(fault, item)
            for fault in (self._shape.cut, None if self._stalled else self._shape.stall)
            if fault is not None
        ]
        return min(edge for edge in edges if edge is not None)

    def _wake(self, wait_s: float) -> None:
        if wait_s < inf:
            self._timer = self._clock.callLater(max(0.0, wait_s), self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._pump()

    def _sleep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
