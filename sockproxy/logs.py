"""How does a line get into the log, whatever somebody else would like to stand there?

All of sockproxy logs through the `Logger` here (ruff bans Twisted's elsewhere). It writes
the fields of an event, which may come from anybody, in printable characters and cut; and
hands it to the process's `Sieve`, which lets so many lines of one kind, and of one peer,
through, and counts the others. Formats are ours and literal, so their number is bounded.

A line that cannot be written (the disk is full, the reader of stdout is gone) raises in
Twisted's observer, whose publisher catches that and tells the other observers. One of them
counts here; nothing else happens, and once lines can be written again, one says how many
are missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from constantly import NamedConstant
from twisted.logger import ILogObserver, LogEvent, LogPublisher, globalLogPublisher
from twisted.logger import Logger as TwistedLogger
from zope.interface import implementer

from sockproxy.escape import escaped
from sockproxy.policy.limits import TokenBucket
from sockproxy.policy.tally import Rates, site

KIND_LINES_PER_S = 50
KIND_BURST_LINES = 500
PEER_LINES_PER_S = 2
PEER_BURST_LINES = 20
PEERS_MAX = 1024
SWEEP_S = 10.0

_NUMBERS = (bool, int, float, type(None))

Name = tuple[str, str]


class Kind:
    """The lines of one format in one place: how many may be, of one peer and in all."""

    def __init__(self, level: NamedConstant, now: float) -> None:
        self.level = level
        self.left_out = 0
        self._all = TokenBucket(KIND_LINES_PER_S, KIND_BURST_LINES, now)
        self._peers = Rates(PEER_LINES_PER_S, PEER_BURST_LINES, PEERS_MAX)

    def may(self, peer: str, now: float) -> bool:
        """Return whether there may be one more; if not, count it as left out."""
        may = self._peers.take(peer, now) and self._all.take(now)
        self.left_out += not may
        return may


@implementer(ILogObserver)
class WriteErrors:
    """Counts the lines that another observer could not write."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, event: LogEvent) -> None:
        # How a publisher tells of an observer that raised.
        if "observer" in event and "log_failure" in event:
            self.count += 1


@implementer(ILogObserver)
class Sieve:
    """Lets through to `publisher` what the log can bear.

    `suppressed` has the lines left out and `write_errors` those that were lost, since the
    process began.
    """

    def __init__(self, publisher: LogPublisher, seconds: Callable[[], float]) -> None:
        self.suppressed = 0
        self._publisher = publisher
        self._seconds = seconds
        self._kinds: dict[Name, Kind] = {}
        self._errors = WriteErrors()
        self._errors_told = 0

    @property
    def write_errors(self) -> int:
        return self._errors.count

    def start(self) -> None:
        """Count the errors of the observers that are there by now."""
        self._publisher.addObserver(self._errors)

    def stop(self) -> None:
        """Tell what is untold and begin anew."""
        self.sweep()
        self._kinds.clear()
        self._publisher.removeObserver(self._errors)

    def __call__(self, event: LogEvent) -> None:
        name = (event["log_namespace"], str(event["log_format"]))
        now = self._seconds()
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = Kind(event["log_level"], now)
        if kind.may(_peer(event), now):
            self._publisher(event)
        else:
            self.suppressed += 1

    def sweep(self) -> None:
        """Tell how many lines were left out, of each kind, and how many were lost."""
        for (namespace, text), kind in self._kinds.items():
            count, kind.left_out = kind.left_out, 0
            if count:
                tell = TwistedLogger(namespace, observer=self._publisher)
                tell.emit(
                    kind.level, "{count} more lines were left out: {like}", count=count, like=text
                )
        self._tell_errors()

    def _tell_errors(self) -> None:
        """Say how many lines are missing, as often as it takes to be written."""
        before = self.write_errors
        count = before - self._errors_told
        if count:
            tell = TwistedLogger(__name__, observer=self._publisher)
            tell.error("{count} lines could not be written", count=count)
            self._errors_told = before if self.write_errors == before else self._errors_told + 1


def _peer(event: LogEvent) -> str:
    """Return who caused an event, as far as it says: many lines of one hide no one else's."""
    peer = event.get("peer")
    return site(peer) if isinstance(peer, str) else str(event.get("origin", ""))


SIEVE = Sieve(globalLogPublisher, time.monotonic)


class Logger(TwistedLogger):
    """Twisted's, for events whose fields anybody may have filled.

    A class attribute needs no namespace, which is then the name of the class.
    """

    def __init__(
        self, namespace: str = "", source: object = None, observer: ILogObserver | None = None
    ) -> None:
        super().__init__(namespace, source, observer or SIEVE)

    def emit(self, level: NamedConstant, format: str | None = None, **fields: Any) -> None:
        shown = {name: _shown(name, value) for name, value in fields.items()}
        super().emit(level, format, **shown)


def _shown(name: str, value: object) -> object:
    if isinstance(value, _NUMBERS) or name == "log_failure":
        return value
    if isinstance(value, bytes):
        return escaped(value.decode("utf-8", "surrogateescape"))
    return escaped(str(value))
