"""Which numbered frames does the peer not hold yet?

Guarantees: an offset always denotes the same bytes, for a frame is kept as the one bytes
object that was first encoded, never split and never encoded again; the log holds at most
one frame more than its window. The log is charged a fixed sum for each frame besides its
bytes, or a million frames of one byte would cost a hundred times what they say.

The window starts small and doubles when the sender had to wait for it, as long as acks
come in: a link that is gone lets it stay where it is.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sockproxy.codes import Code
from sockproxy.core.errors import PeerError
from sockproxy.core.stream import Stream

FRAME_CHARGE_BYTES = 64
INITIAL_WINDOW_BYTES = 512 * 1024


class Entry(NamedTuple):
    """A numbered frame; `end` is the offset behind it."""

    end: int
    data: bytes
    stream: Stream | None
    payload_bytes: int


class Log:
    """One direction's numbered frames, from the first unacked one on."""

    __slots__ = ("base", "blocked", "entries", "first", "next", "window", "window_max")

    def __init__(self, window_max_bytes: int) -> None:
        self.entries: deque[Entry] = deque()
        self.base = 0
        self.next = 0
        self.first = 0
        self.window_max = window_max_bytes
        self.window = min(INITIAL_WINDOW_BYTES, window_max_bytes)
        self.blocked = False

    @property
    def charged(self) -> int:
        return self.next - self.base + FRAME_CHARGE_BYTES * len(self.entries)

    @property
    def full(self) -> bool:
        """Whether no frame may be numbered now; asking while there is one to number."""
        if self.charged < self.window:
            return False
        self.blocked = True
        return True

    @property
    def end(self) -> int:
        """The number of the entry that comes next."""
        return self.first + len(self.entries)

    def limit(self, window_max_bytes: int) -> None:
        """Keep the window below what the peer allows."""
        self.window_max = window_max_bytes
        self.window = min(self.window, window_max_bytes)

    def has_boundary(self, rx: int) -> bool:
        """Whether a peer could hold this log up to `rx`."""
        return rx == self.base or any(entry.end == rx for entry in self.entries)

    def append(self, data: bytes, stream: Stream | None = None, payload_bytes: int = 0) -> None:
        """Number a frame."""
        self.next += len(data)
        self.entries.append(Entry(self.next, data, stream, payload_bytes))

    def acknowledge(self, rx: int) -> None:
        """Drop what the peer holds; an older ack is no news.

        Raises `PeerError` for an ack of what was never sent or of half a frame.
        """
        if rx <= self.base:
            return
        if rx > self.next:
            raise PeerError(Code.PROTOCOL, f"ack {rx} beyond {self.next}")
        entries = self.entries
        while entries and entries[0].end <= rx:
            entry = entries.popleft()
            self.first += 1
            self.base = entry.end
            if entry.stream is not None:
                entry.stream.acked += entry.payload_bytes
        if self.base != rx:
            raise PeerError(Code.PROTOCOL, f"ack {rx} inside a frame that starts at {self.base}")
        if self.blocked:
            self.blocked = False
            self.window = min(2 * self.window, self.window_max)

    def entry(self, number: int) -> Entry:
        return self.entries[number - self.first]
