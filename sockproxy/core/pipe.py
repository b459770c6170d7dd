"""Where in the two logs does one carrier of bytes stand?

A WebSocket is one inbound and one outbound pipe for as long as it lives; over HTTP each
request body and each response body is one. A session outlives its pipes; a pipe knows
just enough to place its frames: AT, and the rule that frames below `rx` are old news,
one across it is a lie, and one above it is a hole.
"""

from __future__ import annotations

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.core.errors import LinkError, PeerError


class Inbound:
    """Bytes from the peer: cuts them into frames and places those that are numbered.

    `first` names the types that the first frame may have: a proxy's own page that comes
    in the peer's place is told by its first byte.
    """

    __slots__ = ("decoder", "first", "position", "welcome_due")

    def __init__(
        self,
        max_data_bytes: int,
        *,
        welcome_due: bool = False,
        first: frozenset[int] | None = None,
    ) -> None:
        self.decoder = frames.Decoder(max_data_bytes)
        self.position: int | None = None
        self.welcome_due = welcome_due
        self.first = frames.OPENS_LINK if welcome_due else first

    def begin(self, data: bytes) -> None:
        """Look at the first byte. Raises `LinkError` where it is not the peer's."""
        if self.first is None or not data:
            return
        if data[0] not in self.first:
            raise LinkError(f"an answer that begins with byte {data[0]:#04x} is not the server's")
        self.first = None

    def at(self, offset: int) -> None:
        """The next numbered frame starts at `offset`; only forward on one pipe."""
        if self.position is not None and offset < self.position:
            raise PeerError(Code.PROTOCOL, f"AT {offset} behind {self.position}")
        self.position = offset

    def place(self, size: int, rx: int) -> bool:
        """Return whether a numbered frame of `size` bytes is the one at `rx`.

        False: it came before. Raises `LinkError` for a hole, `PeerError` for a frame
        that lies across `rx`.
        """
        position = rx if self.position is None else self.position
        if position > rx:
            raise LinkError(f"frame at {position} after {rx}")
        self.position = position + size
        if position == rx:
            return True
        if self.position > rx:
            raise PeerError(Code.PROTOCOL, f"frame {position}..{self.position} across {rx}")
        return False


class Outbound:
    """Bytes to the peer: what this carrier has said so far.

    `position` is the offset that the peer expects next here, None before it can know;
    `cursor` is the number of the log entry that goes next.
    """

    __slots__ = ("cursor", "position")

    def __init__(self, position: int | None, cursor: int) -> None:
        self.position = position
        self.cursor = cursor
