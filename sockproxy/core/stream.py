"""What may happen on a stream, and what does it still have to say?

Two rules. Every transition of a stream is a row of `TABLE`: what is not in it is a
protocol error. And the table does not know which end it runs at: a frame that we number
and a frame that we receive take the same row.

A stream is two directions, *up* (client to server) and *down*, each with a state of its
own. What waits to be numbered is state, not a queue: at most one OPEN or OPENED, one
RESET, one STOP and the newest WINDOW; EOF and an orderly CLOSED wait until the last byte
of DATA has gone. So a stream can never owe more than its window plus a few frames.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.core.errors import LocalError, PeerError, StreamError
from sockproxy.core.flow import ReceiveWindow, SendCredit


class State(Enum):
    """Where one direction of a stream stands."""

    IDLE = "idle"
    OPENING = "opening"
    OPEN = "open"
    EOF = "eof"
    CLOSED = "closed"


class Step(Enum):
    """A frame, as far as it moves a direction."""

    OPEN = "OPEN"
    OPENED = "OPENED"
    DATA = "DATA"
    EOF = "EOF"
    RESET = "RESET"
    CLOSED = "CLOSED"


class Direction(Enum):
    UP = "up"
    DOWN = "down"


_BOTH: dict[tuple[State, Step], State] = {
    (State.IDLE, Step.OPEN): State.OPENING,
    (State.CLOSED, Step.OPEN): State.OPENING,
    (State.OPENING, Step.OPENED): State.OPEN,
    (State.OPEN, Step.DATA): State.OPEN,
    (State.OPEN, Step.EOF): State.EOF,
    (State.OPENING, Step.CLOSED): State.CLOSED,
    (State.OPEN, Step.CLOSED): State.CLOSED,
    (State.EOF, Step.CLOSED): State.CLOSED,
}

TABLE: dict[Direction, dict[tuple[State, Step], State]] = {
    # The client may send before it knows that the backend is there, and what it sent
    # may cross a CLOSED: for a closed id it means nothing.
    Direction.UP: _BOTH
    | {
        (State.OPENING, Step.DATA): State.OPENING,
        (State.OPENING, Step.EOF): State.EOF,
        (State.EOF, Step.OPENED): State.EOF,
        (State.OPENING, Step.RESET): State.CLOSED,
        (State.OPEN, Step.RESET): State.CLOSED,
        (State.EOF, Step.RESET): State.CLOSED,
        (State.CLOSED, Step.DATA): State.CLOSED,
        (State.CLOSED, Step.EOF): State.CLOSED,
        (State.CLOSED, Step.RESET): State.CLOSED,
        (State.CLOSED, Step.OPENED): State.CLOSED,
        (State.CLOSED, Step.CLOSED): State.CLOSED,
    },
    Direction.DOWN: _BOTH,
}


class SendQueue:
    """Bytes of one stream that no frame holds yet, in order."""

    __slots__ = ("_chunks", "_head", "size")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._head = 0
        self.size = 0

    def put(self, data: bytes) -> None:
        self._chunks.append(data)
        self.size += len(data)

    def take(self, limit: int) -> bytes:
        """Return the next bytes, at most `limit`; a chunk that fits is not copied."""
        if limit <= 0 or not self.size:
            raise LocalError(f"taking {limit} of {self.size} queued bytes")
        parts: list[bytes] = []
        wanted = min(limit, self.size)
        self.size -= wanted
        while wanted:
            chunk = self._chunks[0]
            rest = len(chunk) - self._head
            if rest <= wanted:
                parts.append(chunk[self._head :] if self._head else chunk)
                self._chunks.popleft()
                self._head = 0
                wanted -= rest
            else:
                parts.append(chunk[self._head : self._head + wanted])
                self._head += wanted
                wanted = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def clear(self) -> None:
        self._chunks.clear()
        self._head = 0
        self.size = 0


@dataclass(slots=True, eq=False)
class Stream:
    """One TCP connection inside a session, seen from one end."""

    id: int
    credit: SendCredit
    window: ReceiveWindow
    sends: Direction
    up: State = State.IDLE
    down: State = State.IDLE
    queue: SendQueue = field(default_factory=SendQueue)
    acked: int = 0
    # What waits to be numbered.
    opening: frames.Open | frames.Opened | None = None
    stop: bool = False
    reset: frames.Reset | None = None
    eof: bool = False
    closing: tuple[Code, str] | None = None
    # Ours: the application wants no more of what the peer sends. Theirs: nor do they.
    discarding: bool = False
    unread: bool = False
    open_numbered: bool = False
    # Whether it waits in the session's turn for DATA.
    ready: bool = False

    def move(self, direction: Direction, step: Step) -> None:
        """Take one row of the table. Raises `StreamError` where there is none."""
        state = self.up if direction is Direction.UP else self.down
        try:
            new = TABLE[direction][state, step]
        except KeyError:
            raise StreamError(
                Code.STREAM_PROTOCOL, f"stream {self.id}: {step.value} in state {state.value}"
            ) from None
        if direction is Direction.UP:
            self.up = new
        else:
            self.down = new

    def move_both(self, step: Step) -> None:
        self.move(Direction.UP, step)
        self.move(Direction.DOWN, step)

    @property
    def receives(self) -> Direction:
        return Direction.DOWN if self.sends is Direction.UP else Direction.UP

    @property
    def sending(self) -> State:
        """The state of the direction in which this end sends."""
        return self.up if self.sends is Direction.UP else self.down

    @property
    def receiving(self) -> State:
        """The state of the direction in which this end receives."""
        return self.down if self.sends is Direction.UP else self.up

    @property
    def may_send_eof(self) -> bool:
        """Whether an EOF may be numbered; the server's never overtakes its OPENED."""
        first = State.OPENING if self.sends is Direction.UP else State.OPEN
        return self.eof and self.sending in (first, State.OPEN)

    @property
    def sendable(self) -> int:
        """Bytes of DATA that could be numbered now."""
        first = State.OPENING if self.sends is Direction.UP else State.OPEN
        if self.opening is not None or self.sending not in (first, State.OPEN):
            return 0
        return min(self.queue.size, self.credit.room)

    def check_total(self, total: int) -> None:
        """Compare an EOF's total with what arrived. Raises `StreamError`."""
        if total != self.window.received:
            raise StreamError(
                Code.STREAM_PROTOCOL,
                f"stream {self.id}: EOF at {total} after {self.window.received} bytes",
            )

    def drop_unsent(self) -> None:
        """Forget everything that was not numbered; CLOSED and RESET overtake it."""
        self.queue.clear()
        self.opening = None
        self.stop = False
        self.eof = False


def check_client_id(stream: int) -> None:
    """Raise `PeerError` unless a client may open a stream by this id."""
    if stream == 0 or stream % 2:
        raise PeerError(Code.PROTOCOL, f"stream {stream}: a client's ids are even and above 0")
