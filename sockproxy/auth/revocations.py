"""Which tickets are no longer good? A file says so, and is read again when it changes."""

from __future__ import annotations

from math import inf
from pathlib import Path

from sockproxy.logs import Logger
from sockproxy.policy.revoked import Revoked, parse
from sockproxy.stamp import Stamp, stamp

TOLD_EVERY_S = 60.0


class Revocations:
    """The list in a file, as it was when it could last be read."""

    log = Logger()

    def __init__(self, file: str | None) -> None:
        self.list = Revoked()
        self._file = Path(file) if file else None
        self._seen: Stamp | None = None
        self._again_at = 0.0

    def look(self, now: float) -> bool:
        """Read the file if it has changed; return whether the list is another one now.

        One that cannot be read, or says nothing sound, changes nothing: that is told at once,
        and again each minute until it is mended.
        """
        if self._file is None:
            return False
        seen = stamp(str(self._file))
        if seen == self._seen and now < self._again_at:
            return False
        self._seen, self._again_at = seen, inf
        try:
            found = parse(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self._again_at = now + TOLD_EVERY_S
            self.log.error(
                "revoked = {file}: {reason}; the list before it holds",
                file=str(self._file),
                reason=str(error),
            )
            return False
        changed, self.list = found != self.list, found
        return changed
