"""Which frame goes next?

On a link: what is link-local, then what the peer may have missed, then control, then
DATA in turns of a quantum. Nothing is numbered while older frames wait to be repeated or
the log is full. An ACK rides on whatever is sent and goes alone only when it is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockproxy.core import frames
from sockproxy.core.log import FRAME_CHARGE_BYTES
from sockproxy.core.pipe import Outbound
from sockproxy.core.stream import Direction, State, Step, Stream

if TYPE_CHECKING:
    from sockproxy.core.session import Session

QUANTUM_BYTES = 16 * 1024
SMALL_BYTES = 1024
ACK_FRAME_CHARGE_BYTES = FRAME_CHARGE_BYTES


def next_message(session: Session, pipe: Outbound, room: int) -> bytes:
    """Return the next message of about `room` bytes, or nothing."""
    parts: list[bytes] = []
    left = room
    pipe.cursor = max(pipe.cursor, session.log.first)
    while left > 0 and session.may_number:
        if pipe.cursor == session.log.end and not _number(session, left):
            break
        entry = session.log.entry(pipe.cursor)
        start = entry.end - len(entry.data)
        if pipe.position != start:
            parts.append(frames.encode(frames.At(start)))
        parts.append(entry.data)
        pipe.position = entry.end
        pipe.cursor += 1
        left -= len(entry.data)
    return b"".join(_local(session, bool(parts)) + parts)


def _local(session: Session, company: bool) -> list[bytes]:
    """Return the link-local frames; an ACK that need not go alone goes in company."""
    found = _link_local(session)
    due = session.ack_due_s()
    if session.may_number and due is not None and (company or found or due == 0.0):
        found.append(frames.encode(frames.Ack(session.rx)))
        session.acked()
    return found


def reply(session: Session) -> bytes:
    """Return what answers an UP: ACK first, by which the client knows whose answer it is."""
    session.acked()
    return b"".join([frames.encode(frames.Ack(session.rx)), *_link_local(session)])


def _link_local(session: Session) -> list[bytes]:
    found = [frames.encode(frame) for frame in session.local.values()]
    session.local.clear()
    return found


def _number(session: Session, room: int) -> bool:
    """Number one frame if there is one and the log has room."""
    if not (session.going_away or session.attention or session.ready) or session.log.full:
        return False
    if session.going_away:
        session.log.append(frames.encode(session.going_away))
        session.going_away = None
        return True
    return _number_control(session) or _number_data(session, room)


def _number_control(session: Session) -> bool:
    while session.attention:
        stream = next(iter(session.attention.values()))
        frame = _control_of(session, stream)
        if frame is not None:
            session.log.append(frames.encode(frame))
            _after_numbering(session, stream, frame)
            return True
        session.attention.pop(stream.id, None)
    return False


def _control_of(session: Session, stream: Stream) -> frames.Frame | None:
    """Return the next control frame that a stream owes, in its own order."""
    if stream.reset is not None:
        frame, stream.reset = stream.reset, None
        return frame
    if stream.opening is not None:
        return _opening_of(session, stream)
    if stream.window.due and not stream.discarding and _receives(stream):
        return _window_of(session, stream)
    if stream.stop:
        stream.stop = False
        return frames.Stop(stream.id)
    if stream.queue.size:
        return None
    if stream.may_send_eof:
        stream.eof = False
        return frames.Eof(stream.id, stream.credit.sent)
    if stream.closing is not None:
        code, text = stream.closing
        totals = (stream.window.received, stream.credit.sent)
        return frames.Closed(stream.id, code, *totals, text)
    return None


def _opening_of(session: Session, stream: Stream) -> frames.Frame | None:
    if session.early_opens is not None:
        if session.early_opens == 0:
            session.waiting_opens.append(stream)
            return None
        session.early_opens -= 1
    frame, stream.opening = stream.opening, None
    return frame


def _window_of(session: Session, stream: Stream) -> frames.Window:
    windows, size = session.windows, stream.window.size
    spare = min(windows.stream_max - size, windows.streams_total - session.window_total)
    limit = stream.window.grant(session.clock(), session.rtt_s or 0.0, spare)
    session.window_total += stream.window.size - size
    return frames.Window(stream.id, limit)


def _receives(stream: Stream) -> bool:
    return stream.receiving in (State.OPENING, State.OPEN)


def _after_numbering(session: Session, stream: Stream, frame: frames.Frame) -> None:
    match frame:
        case frames.Open():
            stream.open_numbered = True
            session.wake(stream)
        case frames.Opened():
            stream.move_both(Step.OPENED)
            session.wake(stream)
        case frames.Reset():
            stream.move(Direction.UP, Step.RESET)
        case frames.Eof():
            stream.move(stream.sends, Step.EOF)
        case frames.Closed():
            stream.move_both(Step.CLOSED)
            session.busy[stream.id] = session.log.next
            session.forget(stream)


def _number_data(session: Session, room: int) -> bool:
    """Number one DATA frame of the stream whose turn it is."""
    while session.ready:
        stream = session.ready.popleft()
        stream.ready = False
        limit = min(stream.sendable, room, _largest(session))
        if limit <= 0:
            continue
        payload = stream.queue.take(limit)
        stream.move(stream.sends, Step.DATA)
        stream.credit.spend(len(payload))
        session.log.append(frames.encode_data(stream.id, payload), stream, len(payload))
        session.progressed.add(stream.id)
        if stream.sendable:
            stream.ready = True
            session.ready.append(stream)
        elif not stream.queue.size and (stream.eof or stream.closing is not None):
            session.attention[stream.id] = stream
        return True
    return False


def _largest(session: Session) -> int:
    if session.up:
        return frames.MAX_CLIENT_DATA_BYTES
    return QUANTUM_BYTES if session.ready else frames.MAX_SERVER_DATA_BYTES
