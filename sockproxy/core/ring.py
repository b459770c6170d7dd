"""Which secret may attach, which only goes on, and which was stolen? (protocol.md 3.6)

A secret attaches once. WELCOME hands out the next one, and until the client has shown
that it got it, the old one may attach again: or one lost WELCOME would lock it out.
Who then comes with a retired secret and a *newer* link has read an old exchange: the
session is killed. With an older link it is a proxy that repeats a request.

Stores SHA-256 only and compares in constant time.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from hashlib import sha256
from hmac import compare_digest

RETIRED_KEPT = 16


class Verdict(Enum):
    """What a HELLO is to the session that it names."""

    ATTACH = auto()
    CONTINUE = auto()
    STALE = auto()
    UNKNOWN = auto()
    STOLEN = auto()


class SecretRing:
    """The secrets of one session, as the server knows them."""

    __slots__ = ("_current", "_next", "_retired", "confirmed", "link")

    def __init__(self) -> None:
        self.link = 0
        self.confirmed = False
        self._current: bytes | None = None
        self._next: bytes | None = None
        self._retired: deque[bytes] = deque(maxlen=RETIRED_KEPT)

    def judge(self, link: int, secret: bytes) -> Verdict:
        """Say what a HELLO with this link number and secret is; changes nothing."""
        digest = sha256(secret).digest()
        known = [compare_digest(digest, old) for old in self._retired]
        is_next = self._next is not None and compare_digest(digest, self._next)
        is_current = self._current is None or compare_digest(digest, self._current)
        if is_next:
            return Verdict.ATTACH if link > self.link else Verdict.STALE
        if is_current and link == self.link:
            return Verdict.CONTINUE
        if is_current and not self.confirmed:
            return Verdict.ATTACH if link > self.link else Verdict.STALE
        if is_current or any(known):
            return Verdict.STOLEN if link > self.link else Verdict.STALE
        return Verdict.UNKNOWN

    def admit(self, link: int, secret: bytes, next_secret: bytes) -> None:
        """Let link number `link` in; `next_secret` is for the link after it."""
        digest = sha256(secret).digest()
        if self._current is not None and digest != self._current:
            self._retired.append(self._current)
        self._current = digest
        self._next = sha256(next_secret).digest()
        self.link = link
        self.confirmed = False

    def confirm(self) -> None:
        """The client was seen to hold the next secret: the current one attaches no more."""
        self.confirmed = True
