"""Does something on the way hold the last piece of a stream until the next one comes?

Two PINGs at its beginning show a path that holds everything back. One that lags by a piece
shows only when the server falls silent: then what was said last does not arrive. So when
nothing has been acknowledged for a moment, a PING is said, which pushes it out: is that
acknowledged, and the PING not answered, the path lags. Is nothing heard at all, it is the
network that is gone, and that says nothing about the path.
"""

from __future__ import annotations

from sockproxy.core.session import Session

SUSPECT_S = 1.0
ANSWERED_WITHIN_S = 2.0
# An UP that was under way already says nothing of a PING; after two round trips none is.
UNDER_WAY_MOST_S = 1.0
MARGIN_S = 0.05


class Lag:
    """Watches one stream; looked at about once a second."""

    def __init__(self, core: Session) -> None:
        self._core = core
        self._base = core.log.base
        self._since: float | None = None
        # Said when, and what had been answered and acknowledged then.
        self._asked: tuple[float, int, int] | None = None

    def suspects(self, now: float) -> bool:
        """Return whether a PING is to be said now."""
        log = self._core.log
        if log.base != self._base or not log.entries or self._since is None:
            self._base, self._since = log.base, now
            return False
        if self._asked is not None or now - self._since < SUSPECT_S:
            return False
        self._asked = (now, self._core.pongs, log.base)
        return True

    def shows(self, now: float) -> bool:
        """Return whether the path was seen to lag."""
        if self._asked is None:
            return False
        at, pongs, base = self._asked
        if self._core.pongs > pongs:
            self._asked = None
            return False
        return self._core.log.base > base and now - at >= ANSWERED_WITHIN_S

    def shows_in_answer(self, now: float) -> bool:
        """Return whether the UP that came just now shows it: it acknowledges, and says no PONG.

        Waiting on would not do: whatever is said next pushes the PING out as well.
        """
        if self._asked is None:
            return False
        at, pongs, base = self._asked
        under_way_s = min(2 * (self._core.rtt_s or 0.0) + MARGIN_S, UNDER_WAY_MOST_S)
        is_answered = self._core.pongs > pongs
        return self._core.log.base > base and not is_answered and now - at >= under_way_s
