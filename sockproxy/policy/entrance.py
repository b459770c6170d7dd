"""May one more connection come in from this address, before a byte of it is read?

Each connection has an `Entry` from its first moment to its last. Whose it is may be known at
once, later (a PROXY header stands before all else), or anew with each request (a proxy that
keeps its connections puts many clients on one). A proxy that is trusted is nobody: its clients
are counted, it is not.

A connection is *new* until it was served something, a file, a session or a stream: those are
what slow and silent clients hold, and there are fewer of them for one address. A request that
fails makes it new again. Whoever fails too often is not let in for a moment; who is in stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sockproxy.policy.forwarded import is_trusted
from sockproxy.policy.networks import Network
from sockproxy.policy.tally import Rates, Seldom, Tally, site
from sockproxy.settings import Limits

TELL_EVERY_S = 60.0
TOLD_MAX = 1024

# Address, reason, and how often this was not told since it was last.
Tell = Callable[[str, str, int], None]


class TurnedAway(Exception):
    """A connection is not let in now; may it come again."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Entrance:
    """All connections of a service, and how many one address has of them."""

    def __init__(
        self,
        limits: Limits,
        trusted: Sequence[Network | str],
        failures: Rates,
        clock: Callable[[], float],
        tell: Tell,
    ) -> None:
        self.connections = 0
        self.here = Tally()
        self.new = Tally()
        self.failures = failures
        self.clock = clock
        self._limits = limits
        self._trusted = trusted
        self._handshakes = Rates(limits.handshakes_per_s, limits.handshakes_burst)
        self._tell = tell
        self._told = Seldom(TELL_EVERY_S, TOLD_MAX)

    def admit(self, peer: str | None) -> Entry:
        """Let a connection in, whose peer is None while it is not known. Raises `TurnedAway`."""
        most = self._limits.connections
        if self.connections >= most:
            raise self.full(peer or "somebody", f"more than {most} connections")
        entry = Entry(self)
        entry.belong(peer, knocks=True)
        self.connections += 1
        return entry

    def address(self, peer: str | None) -> str | None:
        """Return what a peer is counted as, if at all."""
        return None if peer is None or is_trusted(peer, self._trusted) else site(peer)

    def check(self, address: str, *, knocks: bool) -> None:
        """Raise `TurnedAway` where an address has or does too much; count what `knocks`."""
        limits = self._limits
        self.check_failures(address)
        if self.here[address] >= limits.connections_per_address:
            text = f"more than {limits.connections_per_address} connections from one address"
            raise self.full(address, text)
        if self.new[address] >= limits.unauthenticated_per_address:
            most = limits.unauthenticated_per_address
            text = f"more than {most} connections from one address that were served nothing yet"
            raise self.full(address, text)
        if knocks and not self._handshakes.take(address, self.clock()):
            most_per_s = limits.handshakes_per_s
            raise self.full(address, f"more than {most_per_s:g} connections/s from one address")

    def check_failures(self, address: str) -> None:
        """Raise `TurnedAway` where an address has failed too often."""
        if self.failures.spent(address, self.clock()):
            raise self.full(address, "too many failures from one address")

    def full(self, address: str, text: str) -> TurnedAway:
        """Return a refusal, and tell of it if that was not done just now."""
        more = self._told.due((address, text), self.clock())
        if more is not None:
            self._tell(address, text, more)
        return TurnedAway(text)


class Entry:
    """One connection's place in the counts."""

    __slots__ = ("_address", "_entrance", "_is_new", "_is_over", "_peer")

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._peer: str | None = None
        self._address: str | None = None
        self._is_new = True
        self._is_over = False

    def belong(self, peer: str | None, *, knocks: bool) -> None:
        """Be the connection of `peer` from here on. Raises `TurnedAway`, then nothing has changed.

        It `knocks` where it stands for a connection of the client's own.
        """
        entrance = self._entrance
        if peer == self._peer:
            if self._is_new and self._address is not None:
                entrance.check_failures(self._address)
            return
        address = entrance.address(peer)
        if address is not None and address != self._address:
            entrance.check(address, knocks=knocks)
        self._uncount()
        self._peer, self._address, self._is_new = peer, address, True
        if address is not None:
            entrance.here.add(address)
            entrance.new.add(address)

    def served(self) -> None:
        """Something was asked for and given."""
        if self._is_new:
            self._is_new = False
            if self._address is not None:
                self._entrance.new.remove(self._address)

    def failed(self) -> None:
        """Something was asked for that nobody honest asks for, at least not often."""
        entrance = self._entrance
        if self._address is None:
            return
        entrance.failures.take(self._address, entrance.clock())
        if not self._is_new:
            self._is_new = True
            entrance.new.add(self._address)

    def rest(self) -> None:
        """A proxy's request is over: the connection is nobody's until the next one."""
        self._uncount()
        self._peer = self._address = None
        self._is_new = True

    def leave(self) -> None:
        """The connection is gone; harmless when repeated."""
        if not self._is_over:
            self._is_over = True
            self.rest()
            self._entrance.connections -= 1

    def _uncount(self) -> None:
        entrance = self._entrance
        if self._address is not None:
            entrance.here.remove(self._address)
            if self._is_new:
                entrance.new.remove(self._address)


def uncounted() -> Entry:
    """Return the entry of a connection that no entrance has seen."""
    limits = Limits()
    failures = Rates(limits.failures_per_s, limits.failures_burst)
    return Entrance(limits, (), failures, lambda: 0.0, lambda *_: None).admit(None)
