"""How far may a stream send, and when is more granted?

A window is one absolute number, the sum of bytes that the sender may ever have sent on
the stream: said twice or late it does no harm. It moves with *consumption*, so that a
reader that stops stops its writer, and bounds what the receiver holds. It is told once
half of it is used up: earlier costs a frame for every small read, later leaves the
sender waiting.

A window grows by doubling while the reader drains it faster than two round trips,
since then the window, not the reader, sets the pace.
"""

from __future__ import annotations

from sockproxy.codes import Code
from sockproxy.core.errors import LocalError, StreamError

INITIAL_WINDOW_BYTES = 64 * 1024
BEFORE_WELCOME_BYTES = 16 * 1024
FAST_DRAIN_ROUND_TRIPS = 2


class SendCredit:
    """How many bytes of a stream the peer will take."""

    __slots__ = ("max", "sent")

    def __init__(self, max_bytes: int) -> None:
        self.max = max_bytes
        self.sent = 0

    @property
    def room(self) -> int:
        return self.max - self.sent

    def grant(self, max_bytes: int) -> None:
        """Take the peer's word; a lower one is old news."""
        self.max = max(self.max, max_bytes)

    def spend(self, count: int) -> None:
        if count > self.room:
            raise LocalError(f"sending {count} bytes with credit for {self.room}")
        self.sent += count


class ReceiveWindow:
    """How many bytes of a stream we promised to take."""

    __slots__ = ("consumed", "granted_at", "max", "received", "size")

    def __init__(self, size_bytes: int, now: float) -> None:
        self.size = size_bytes
        self.max = size_bytes
        self.received = 0
        self.consumed = 0
        self.granted_at = now

    @property
    def held(self) -> int:
        """Bytes that arrived and were not consumed yet."""
        return self.received - self.consumed

    def receive(self, count: int) -> None:
        if self.received + count > self.max:
            raise StreamError(Code.FLOW, f"offset {self.received + count} beyond window {self.max}")
        self.received += count

    def consume(self, count: int) -> None:
        if count > self.held:
            raise LocalError(f"consuming {count} bytes of {self.held} held")
        self.consumed += count

    @property
    def due(self) -> bool:
        """Whether a grant is worth a frame."""
        return 2 * (self.consumed + self.size - self.max) >= self.size

    def grant(self, now: float, rtt_s: float, spare: int) -> int:
        """Return the new maximum; the window may double within `spare` bytes."""
        fast = now - self.granted_at <= FAST_DRAIN_ROUND_TRIPS * rtt_s
        if fast and self.size <= spare:
            self.size *= 2
        self.granted_at = now
        self.max = max(self.max, self.consumed + self.size)
        return self.max
