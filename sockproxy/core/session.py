"""How do many streams survive any number of broken links? (docs/protocol.md sections 1, 3.)

Guarantees: what is delivered of a stream is always a prefix of what was written, and all
of it once some link stays up; each stream ends once, with one code; what is held is
bounded by the windows. Nothing here does IO, sets a timer or reads a clock of its own:
time is an argument, and the owner asks `ack_due_s` when it must call again.

Assumes that the owner gives `receive` the bytes of a link in order, and offers
`next_message` to a link only while that link can take bytes: a frame is numbered at the
last moment (*late binding*), so that a RESET drops what waits and control overtakes data.

Rejected: a log for each stream (an ack and an offset for every one of them, and nothing
orders OPEN before DATA), and credit that moves on receipt (it bounds nothing).

The file holds the state and the verbs. What a received frame does is in `inward`, which
frame goes next in `outward`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from sockproxy.codes import Code
from sockproxy.core import frames, inward, outward
from sockproxy.core.errors import LocalError, PeerError
from sockproxy.core.events import Event, StreamClosed
from sockproxy.core.flow import BEFORE_WELCOME_BYTES, ReceiveWindow, SendCredit
from sockproxy.core.log import Log
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.stream import Direction, State, Step, Stream

MESSAGE_BYTES = 64 * 1024
ACK_DELAY_S = 0.1
ACK_CHARGE_BYTES = 32 * 1024
EARLY_STREAMS = 8
TOKEN_MODULUS = 2**30
DEFAULT_RTT_S = 0.1


class Role(Enum):
    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Windows:
    """What this end takes and how much it keeps; all in bytes."""

    stream: int = 64 * 1024
    stream_max: int = 1024 * 1024
    streams_total: int = 8 * 1024 * 1024
    session: int = 4 * 1024 * 1024


class Session:
    """One end of a session: its streams, its log, and how far it heard the peer."""

    def __init__(self, role: Role, windows: Windows, clock: Callable[[], float]) -> None:
        self.role = role
        self.windows = windows
        self.clock = clock
        self.log = Log(windows.session)
        self.rx = 0
        self.streams: dict[int, Stream] = {}
        self.up = role is Role.CLIENT
        # Credit that a stream starts with, before its window is known.
        self.initial_credit = BEFORE_WELCOME_BYTES if self.up else 0
        self.window_total = 0
        self.events: list[Event] = []
        self.rtt_s: float | None = None
        # This link: what it owes the peer.
        self.local: dict[type[frames.Frame], frames.Frame] = {}
        self.acked()
        self.ack_seen = False
        self.pongs = 0
        self.may_number = False
        self.on_welcome: Callable[[frames.Welcome], None] | None = None
        # What waits to be numbered: control by stream, and streams with DATA.
        self.attention: dict[int, Stream] = {}
        self.ready: deque[Stream] = deque()
        self.going_away: frames.GoAway | None = None
        self.draining = False
        self.progressed: set[int] = set()
        # Client: ids to use again, and OPENs that may go before WELCOME.
        self.free_ids: list[int] = []
        self.next_id = 2
        self.early_opens: int | None = EARLY_STREAMS if self.up else None
        self.waiting_opens: list[Stream] = []
        # Server: ids whose CLOSED was not acked, and the highest one ever opened.
        self.busy: dict[int, int] = {}
        self.highest_id = 0

    # Links.

    def attach(self, position: int | None) -> Outbound:
        """Start a link; return its outbound pipe, sending from the first unacked frame.

        `position` is the offset that the peer expects there, None before it can know.
        """
        self.local.clear()
        self.acked()
        self.ack_seen = False
        return Outbound(position, self.log.first)

    def start(self, stream_window: int) -> None:
        """The peer welcomed this link: number frames, with at least this much credit."""
        self.may_number = True
        self.ack_owed = True
        self.ping()
        self.early_opens = None
        self.initial_credit = max(self.initial_credit, stream_window)
        for stream in self.streams.values():
            stream.credit.grant(self.initial_credit)
            self.wake(stream)
        for stream in self.waiting_opens:
            if self.streams.get(stream.id) is stream:
                self.attention[stream.id] = stream
        self.waiting_opens.clear()

    def receive(self, pipe: Inbound, data: bytes) -> list[Event]:
        """Take bytes from the link and return what they mean.

        Raises `PeerError` (end the session) or `LinkError` (attach again): whatever came
        before the fault in `data` has been taken, and its events come with the next call.
        """
        inward.receive(self, pipe, data)
        return self.take_events()

    def take_events(self) -> list[Event]:
        """Return the events that no call has returned yet."""
        events, self.events = self.events, []
        return events

    def receive_message(self, pipe: Inbound, data: bytes) -> list[Event]:
        """`receive` for a WebSocket, whose messages hold whole frames."""
        inward.receive(self, pipe, data)
        if pipe.decoder.pending_bytes:
            cut = pipe.decoder.pending_bytes
            raise PeerError(Code.PROTOCOL, f"message ends inside a frame, after {cut} bytes of it")
        return self.take_events()

    def next_message(self, pipe: Outbound, room: int = MESSAGE_BYTES) -> bytes:
        """Return what to send now, about `room` bytes, or nothing."""
        return outward.next_message(self, pipe, room)

    def reply(self) -> bytes:
        """Return the answer to an UP: how far we heard the peer, and what else is link-local."""
        return outward.reply(self)

    def acked(self) -> None:
        """What was received has been acknowledged elsewhere: in the HELLO of a DOWN."""
        self.ack_owed = False
        self.ack_since: float | None = None
        self.ack_charge = 0

    def ack_due_s(self) -> float | None:
        """Seconds until `next_message` has an ACK to send, None when it owes none."""
        if self.ack_owed:
            return 0.0
        if self.ack_since is None:
            return None
        return max(0.0, self.ack_since + ACK_DELAY_S - self.clock())

    @property
    def silent(self) -> bool:
        """Whether a link that was up to date has nothing to send, but for an ACK in time."""
        return not (self.ready or self.attention or self.local or self.ack_owed or self.going_away)

    def ping(self) -> None:
        """Ask the peer for a sign of life on this link."""
        self.local[frames.Ping] = frames.Ping(self.token())

    def auth(self, ticket: str) -> None:
        """Show a fresh ticket; the answer comes as `AuthResult`."""
        self.local[frames.Auth] = frames.Auth(ticket)

    def auth_result(self, code: Code, expires_s: int) -> None:
        """Say what was made of a ticket."""
        self.local[frames.AuthResult] = frames.AuthResult(code, expires_s)

    def token(self) -> int:
        return int(self.clock() * 1000) % TOKEN_MODULUS

    # Streams, from the client.

    def open(self, host: str, port: int, tlvs: frames.Tlvs | None = None) -> int:
        """Start a stream and return its id. Port 0: `host` is the name of a backend."""
        if self.role is not Role.CLIENT:
            raise LocalError("only a client opens streams")
        if self.free_ids:
            stream_id = heapq.heappop(self.free_ids)
        else:
            stream_id = self.next_id
            self.next_id += 2
        stream = self.make_stream(stream_id, self.initial_credit, Direction.UP)
        stream.opening = frames.Open(stream_id, stream.window.max, port, host, tlvs or {})
        self.attention[stream_id] = stream
        return stream_id

    def reset(self, stream_id: int, code: Code, text: str = "") -> StreamClosed | None:
        """Abort both directions. Returns the end at once where the peer never heard of it."""
        stream = self.streams[stream_id]
        unheard = not stream.open_numbered
        stream.drop_unsent()
        stream.discarding = True
        if unheard:
            self.forget(stream)
            return StreamClosed(stream_id, code, text, 0)
        stream.reset = frames.Reset(stream_id, code, frames.clip(text))
        self.attention[stream_id] = stream
        return None

    def stop(self, stream_id: int) -> None:
        """Nobody reads this stream any more."""
        stream = self.streams[stream_id]
        if not stream.discarding and stream.receiving in (State.OPENING, State.OPEN):
            stream.stop = True
            self.attention[stream_id] = stream
        stream.discarding = True

    # Streams, from the server.

    def opened(self, stream_id: int, remote: tuple[str, int], local: tuple[str, int]) -> None:
        """The backend of this stream is connected."""
        stream = self.streams[stream_id]
        stream.opening = frames.Opened(stream_id, stream.window.max, *remote, *local)
        self.attention[stream_id] = stream

    def finish(self, stream_id: int, code: Code, text: str = "", *, abort: bool = False) -> None:
        """End a stream: after its queued DATA, or at once with `abort`."""
        stream = self.streams[stream_id]
        if abort:
            stream.drop_unsent()
        stream.closing = (code, frames.clip(text))
        stream.up = State.CLOSED
        self.attention[stream_id] = stream

    def go_away(self, code: Code, deadline_ms: int) -> None:
        """Ask the client to open its next streams elsewhere; this end opens no more."""
        self.draining = True
        self.going_away = frames.GoAway(code, deadline_ms)

    # Streams, from both ends.

    def write(self, stream_id: int, data: bytes) -> None:
        """Queue bytes to send; the caller stops while `queued` says so."""
        stream = self.streams[stream_id]
        if not data or stream.unread:
            return
        if stream.eof or stream.sending not in (State.OPENING, State.OPEN):
            raise LocalError(f"stream {stream_id}: write in state {stream.sending.value}")
        stream.queue.put(data)
        self.wake(stream)

    def write_eof(self, stream_id: int, *, discard: bool = False) -> None:
        """End our direction after the queued bytes; `discard` drops these instead."""
        stream = self.streams[stream_id]
        if stream.unread:
            return
        if discard:
            stream.queue.clear()
        stream.eof = True
        self.attention[stream_id] = stream

    def queued(self, stream_id: int) -> int:
        """Bytes written and not in a frame yet; 0 for a stream that has ended."""
        stream = self.streams.get(stream_id)
        return stream.queue.size if stream else 0

    def consume(self, stream_id: int, count: int) -> None:
        """`count` received bytes were used: let the peer send as many more."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        stream.window.consume(count)
        if stream.window.due and stream.receiving in (State.OPENING, State.OPEN):
            self.attention[stream_id] = stream

    def take_progress(self) -> set[int]:
        """Streams of which bytes were numbered since the last call."""
        progressed, self.progressed = self.progressed, set()
        return progressed

    def lose(self) -> list[StreamClosed]:
        """The other end's state is gone: end every stream that it may have heard of."""
        lost = [stream for stream in self.streams.values() if stream.open_numbered]
        for stream in lost:
            self.forget(stream)
        return [StreamClosed(s.id, Code.LOST, "session lost", s.acked) for s in lost]

    # For the files beside this one.

    def make_stream(self, stream_id: int, credit: int, sends: Direction) -> Stream:
        window = ReceiveWindow(self.windows.stream, self.clock())
        stream = Stream(stream_id, SendCredit(credit), window, sends)
        stream.move_both(Step.OPEN)
        self.streams[stream_id] = stream
        self.window_total += window.size
        return stream

    def forget(self, stream: Stream) -> None:
        del self.streams[stream.id]
        self.attention.pop(stream.id, None)
        self.window_total -= stream.window.size
        stream.queue.clear()
        if self.up:
            heapq.heappush(self.free_ids, stream.id)

    def wake(self, stream: Stream) -> None:
        """Put a stream where `outward` finds its DATA; a little goes first."""
        if stream.ready or not stream.sendable:
            return
        stream.ready = True
        if stream.queue.size < outward.SMALL_BYTES:
            self.ready.appendleft(stream)
        else:
            self.ready.append(stream)

    def note_received(self, size: int) -> None:
        """A numbered frame was taken: an ack is owed, soon or now."""
        self.rx += size
        self.ack_charge += size + outward.ACK_FRAME_CHARGE_BYTES
        if self.ack_since is None:
            self.ack_since = self.clock()
        if self.ack_charge >= ACK_CHARGE_BYTES:
            self.ack_owed = True
