"""What does everybody use, and who has to wait or to stop for it?

A session has a `Share`, each stream in it a `Seat`; a raw WebSocket has a share to itself.
Both are given back once, however often that is asked for. Policy says how much there may
be (`policy.quota`, `policy.pace`), this file has the clock.

Bytes that arrived cannot be refused: they are charged, also into debt, and a stream whose
rates are in debt is slowed: its backend is not read and its page gets no credit until the
debt is earned. Nothing is closed for a rate, and no chunk costs a timer: while somebody is
slowed one timer looks at all of them, ten times a second.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sockproxy.codes import Code
from sockproxy.policy import quota
from sockproxy.policy.access import UNTOLD, Allow, Deny
from sockproxy.policy.budget import TAKE_BELOW, Pressure, pressure
from sockproxy.policy.limits import TokenBucket
from sockproxy.policy.pace import BURST_S, BYTES_BURST_S, Pace
from sockproxy.policy.quota import Caps, Counts, Full, Hold, Scope, Who
from sockproxy.settings import Limits

EASE_S = 0.1
RETRY_S = 2
OWN = (Scope.PRINCIPAL, Scope.ADDRESS)


class Occupant(Protocol):
    """What sits on a seat: a relay."""

    def slow(self) -> None:
        """Read no more, give no credit."""

    def ease(self) -> None:
        """Go on."""

    def reset(self, code: Code, text: str) -> None:
        """End now."""


class Usage:
    """What all sessions and streams of this process hold together."""

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        self.clock = clock
        self.limits = limits
        self.sessions = Counts("sessions")
        self.streams = Counts("streams")
        self.opens = Pace("opens", BURST_S)
        self.bytes = Pace("bytes", BYTES_BURST_S)
        self.pressure = Pressure.CALM
        self._watched: dict[Seat, None] = {}
        self._slowed: dict[Seat, None] = {}
        self._easing: IDelayedCall | None = None

    def session(self, who: Who) -> Share:
        """Return the share of a new session. Raises `Full`."""
        self.check_memory()
        return Share(self, who, self.sessions.take(quota.sessions(who, self.limits)))

    def alone(self, who: Who) -> Share:
        """Return a share for a stream that has no session."""
        return Share(self, who, self.sessions.take(()))

    def weigh(self, held_bytes: int) -> Pressure:
        """Note how much is held in memory, and return how short that is."""
        self.pressure = pressure(held_bytes, self.limits.memory)
        return self.pressure

    def check_memory(self) -> None:
        """Raise `Full` where memory is too short for anything new."""
        if self.pressure >= Pressure.SHORT:
            text = f"memory in use is above {TAKE_BELOW:.0%} of {self.limits.memory} bytes"
            raise Full(Scope.ALL, text)

    def sweep(self, now: float) -> None:
        """Look at the clock for all streams at once."""
        for seat in list(self._watched):
            seat.look(now)
        self.opens.forget(now)
        self.bytes.forget(now, self.streams)

    def stop(self) -> None:
        """Leave no timer."""
        self._slowed.clear()
        self._rest()

    # For the seats.

    def watch(self, seat: Seat) -> None:
        self._watched[seat] = None

    def slow(self, seat: Seat) -> None:
        self._slowed[seat] = None
        if self._easing is None:
            self._easing = self.clock.callLater(EASE_S, self._ease)

    def leave(self, seat: Seat) -> None:
        self._watched.pop(seat, None)
        self._slowed.pop(seat, None)
        if not self._slowed:
            self._rest()

    def _ease(self) -> None:
        self._easing = None
        now = self.clock.seconds()
        slowed, self._slowed = self._slowed, {}
        for seat in slowed:
            if seat.in_debt(now):
                self.slow(seat)
            else:
                seat.ease()

    def _rest(self) -> None:
        easing, self._easing = self._easing, None
        if easing is not None:
            easing.cancel()


class Share:
    """What one session has of all that there is."""

    def __init__(self, usage: Usage, who: Who, hold: Hold) -> None:
        self.usage = usage
        self.who = who
        self.bytes = 0
        self._hold = hold
        rate = usage.limits.bytes_per_s
        now = usage.clock.seconds()
        self._own = (TokenBucket(rate, rate * BYTES_BURST_S, now),) if rate else ()

    def knock(self) -> Deny | None:
        """Return why no stream may be opened now, whatever its target."""
        usage = self.usage
        try:
            usage.check_memory()
            usage.opens.take(quota.opens_per_s(self.who, usage.limits), usage.clock.seconds())
        except Full as full:
            return Deny(Code.BUSY, full.text)
        return None

    def seat(self, allow: Allow, caps: Caps) -> Seat | Deny:
        """Return a place for a stream, or why there is none."""
        usage = self.usage
        try:
            bounds = quota.streams(self.who, usage.limits, allow.bounds, caps)
            hold = usage.streams.take(bounds)
        except Full as full:
            if not allow.detail:
                # Or a page could tell what it may open from what it may not.
                return Deny(Code.DENIED, UNTOLD, full.text, allow.rule, hidden=True)
            code = Code.QUOTA if full.scope in OWN else Code.BUSY
            return Deny(code, full.text, rule=allow.rule)
        rates = quota.bytes_per_s(self.who, usage.limits)
        buckets = (*self._own, *usage.bytes.buckets(rates, usage.clock.seconds()))
        return Seat(self, allow, caps, hold, buckets)

    def release(self) -> None:
        """The session is over; harmless when repeated."""
        self._hold.release()


class Seat:
    """What one stream has used, and may use: what policy allowed, and a place for it."""

    __slots__ = (
        "_buckets",
        "_caps",
        "_hold",
        "_limited",
        "_moved_at",
        "_occupant",
        "_seen",
        "_share",
        "_slowed",
        "allow",
        "bytes",
    )

    _occupant: Occupant

    def __init__(
        self,
        share: Share,
        allow: Allow,
        caps: Caps,
        hold: Hold,
        buckets: tuple[TokenBucket, ...],
    ) -> None:
        self.allow = allow
        self.bytes = 0
        self._share = share
        self._caps = caps
        self._hold = hold
        self._buckets = buckets
        self._limited = bool(buckets or allow.bounds.total_bytes or caps.total_bytes)
        self._slowed = False
        self._seen = 0
        self._moved_at = share.usage.clock.seconds()

    def sit(self, occupant: Occupant) -> None:
        """Let `occupant` have the seat."""
        self._occupant = occupant
        if self.allow.bounds.idle_s:
            self._share.usage.watch(self)

    def spend(self, count: int) -> bool:
        """Charge bytes that are on their way; one too many ends the stream, and is dropped."""
        self.bytes += count
        self._share.bytes += count
        return not self._limited or self._charge(count)

    def _charge(self, count: int) -> bool:
        most, all_most = self.allow.bounds.total_bytes, self._caps.total_bytes
        if most and self.bytes > most:
            self._end(Code.QUOTA, f"{self.bytes} bytes, a stream may carry {most}")
            return False
        if all_most and self._share.bytes > all_most:
            self._end(Code.QUOTA, f"{self._share.bytes} bytes, the session may carry {all_most}")
            return False
        # All are charged, also those behind the first that is in debt.
        dry = [bucket.spend(count) for bucket in self._buckets]
        if any(dry) and not self._slowed and self.in_debt(self._share.usage.clock.seconds()):
            self._slowed = True
            self._share.usage.slow(self)
            self._occupant.slow()
        return True

    def in_debt(self, now: float) -> bool:
        """Return whether a rate says to wait."""
        return any(bucket.in_debt(now) for bucket in self._buckets)

    def ease(self) -> None:
        self._slowed = False
        self._occupant.ease()

    def look(self, now: float) -> None:
        """End the stream where nothing has moved for too long; being slowed is no idling."""
        if self.bytes != self._seen or self._slowed:
            self._seen, self._moved_at = self.bytes, now
            return
        still_s, most_s = now - self._moved_at, self.allow.bounds.idle_s
        if still_s >= most_s:
            text = f"nothing moved for {still_s:.0f} s, idle_timeout is {most_s:g} s"
            self._end(Code.IDLE, text)

    def _end(self, code: Code, text: str) -> None:
        self._occupant.reset(code, f"{self.allow.name}: {text}")

    def release(self) -> None:
        """The stream is over; harmless when repeated."""
        self._limited = False
        self._share.usage.leave(self)
        self._hold.release()
