"""Whose session makes room where there is too little?

Guarantees: what waits without a link is bounded in number and memory, and the oldest makes
room; what all sessions hold is weighed about once a second, and `policy.budget` says what
follows from it. Between two requests over HTTP a session has no link either, but a page:
it counts as waiting for the number and the memory, and is not ended for those of others.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sockproxy.codes import Code
from sockproxy.core.session import Windows
from sockproxy.live import LiveSession
from sockproxy.logs import Logger
from sockproxy.policy.budget import Holding, Pressure, to_end
from sockproxy.settings import Limits
from sockproxy.usage import Usage

Mark = tuple[int, int, int]


class Room:
    """Which sessions wait, and what all of them hold."""

    log = Logger()

    def __init__(self, limits: Limits, usage: Usage) -> None:
        self._limits = limits
        self._usage = usage
        # Those that wait, the longest first, with what they held when that began.
        self._waiting: dict[bytes, tuple[LiveSession, int]] = {}
        self._waiting_bytes = 0
        self._still: dict[bytes, tuple[Mark, float]] = {}
        self._growing = Windows(
            stream=limits.stream_window,
            stream_max=limits.stream_window_max,
            streams_total=limits.session_stream_windows,
            session=limits.session_window,
        )
        self.windows = self._growing

    def wait(self, live: LiveSession) -> None:
        """A session has no link; where too many have none, the oldest end."""
        limits, size = self._limits, live.held_bytes
        self._waiting[live.attach.sid] = live, size
        self._waiting_bytes += size
        while len(self._waiting) > limits.detached or self._waiting_bytes > limits.detached_memory:
            oldest, _ = next(iter(self._waiting.values()))
            oldest.end(Code.LINGER_EXPIRED, "made room for newer sessions")

    def stop_waiting(self, live: LiveSession) -> None:
        """A session has a link again, or is over."""
        _, size = self._waiting.pop(live.attach.sid, (live, 0))
        self._waiting_bytes -= size

    def make(self, principal: str | None, now: float) -> bool:
        """End the session of a principal that has waited longest; False where none waits."""
        for live, _ in self._waiting.values():
            if live.asker.principal == principal and live.waiting_s(now) is not None:
                live.end(Code.LINGER_EXPIRED, "made room for a newer session of its principal")
                return True
        return False

    def balance(self, lives: Collection[LiveSession], now: float) -> None:
        """Weigh all sessions, and do what there is to do about it."""
        held = sum(live.weigh() for live in lives)
        before = self._usage.pressure
        short = self._usage.weigh(held)
        if short is not before:
            self.log.info(
                "memory: {held} of {budget} bytes held, now {pressure}",
                held=held,
                budget=self._limits.memory,
                pressure=short.name.lower(),
            )
            self._let_grow(lives, short < Pressure.TIGHT)
        if short < Pressure.SHORT:
            self._still.clear()
        else:
            self._note_still(lives, now)
        if short is Pressure.OVER:
            self._shed(lives, held - self._limits.memory, now)

    def _let_grow(self, lives: Collection[LiveSession], may_grow: bool) -> None:
        small = replace(self._growing, stream_max=self._growing.stream)
        self.windows = self._growing if may_grow else small
        for live in lives:
            live.core.windows = self.windows

    def _note_still(self, lives: Collection[LiveSession], now: float) -> None:
        """Remember since when nothing has changed in a session."""
        still = {}
        for live in lives:
            mark = (live.core.log.base, live.core.rx, live.weigh())
            known, since = self._still.get(live.attach.sid, (None, now))
            still[live.attach.sid] = mark, since if mark == known else now
        self._still = still

    def _shed(self, lives: Collection[LiveSession], excess_bytes: int, now: float) -> None:
        by_sid = {live.attach.sid: live for live in lives}
        holdings = [
            Holding(sid, live.weigh(), live.waiting_s(now), now - self._still[sid][1])
            for sid, live in by_sid.items()
        ]
        for holding in to_end(holdings, excess_bytes):
            waiting = holding.waiting_s is not None
            code = Code.LINGER_EXPIRED if waiting else Code.QUOTA
            text = f"memory is short, {holding.size} bytes had not moved"
            by_sid[holding.name].end(code, text)
