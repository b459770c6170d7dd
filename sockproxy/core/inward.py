"""What does a received frame do?

Two tables, one for each role, name every frame that may arrive; what is in neither is a
protocol error or, where the protocol says so, skipped. A numbered frame counts first and
acts then, so that a fault in one stream leaves both ends with the same offset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.core.errors import LinkError, PeerError, StreamError
from sockproxy.core.pipe import Inbound
from sockproxy.core.stream import Direction, State, Step, Stream, check_client_id

if TYPE_CHECKING:
    from sockproxy.core.session import Session

MAX_BUSY_IDS = 128
RTT_WEIGHT = 0.125


def receive(session: Session, pipe: Inbound, data: bytes) -> None:
    """Take bytes; what they mean is appended to `session.events`."""
    pipe.begin(data)
    for raw in pipe.decoder.feed(data):
        if pipe.welcome_due and raw.kind not in frames.OPENS_LINK:
            raise LinkError(f"frame {raw.kind:#04x} before WELCOME")
        if raw.kind < frames.FIRST_NUMBERED:
            _link_local(session, pipe, raw)
        elif pipe.place(raw.size, session.rx):
            session.note_received(raw.size)
            _numbered(session, raw)


def _link_local(session: Session, pipe: Inbound, raw: frames.Raw) -> None:
    frame = frames.parse(raw)
    match frame:
        case frames.Ack():
            session.log.acknowledge(frame.rx)
            session.ack_seen = True
        case frames.Ping():
            session.local[frames.Pong] = frames.Pong(frame.token, session.rx)
        case frames.Pong():
            session.log.acknowledge(frame.rx)
            session.pongs += 1
            _measure(session, frame.token)
        case frames.At():
            pipe.at(frame.offset)
        case frames.Welcome() if session.up:
            _welcome(session, pipe, frame)
        case _:
            _tell(session, frame)


def _tell(session: Session, frame: frames.Frame | None) -> None:
    """Leave to the owner what is not the session's own to act on."""
    match frame:
        case frames.Refuse() if session.up:
            session.events.append(events.Refused(frame.code, frame.retry_ms, frame.text))
        case frames.AuthResult() if session.up:
            session.events.append(events.AuthResult(frame.code, frame.expires_s))
        case frames.Auth() if not session.up:
            session.events.append(events.AuthReceived(frame.ticket))
        case frames.End():
            session.events.append(events.LinkEnded(frame.code, frame.text))
        case frames.Bye():
            session.events.append(events.SessionEnded(frame.code, frame.text))


def _measure(session: Session, token: int) -> None:
    """Take a round trip into the smoothed average (RFC 6298 section 2)."""
    sample_s = ((session.token() - token) % (1 << 30)) / 1000
    if session.rtt_s is None:
        session.rtt_s = sample_s
    else:
        session.rtt_s += RTT_WEIGHT * (sample_s - session.rtt_s)


def _welcome(session: Session, pipe: Inbound, frame: frames.Welcome) -> None:
    if not pipe.welcome_due or session.on_welcome is None:
        raise LinkError(f"WELCOME to link {frame.link} where none was due")
    session.on_welcome(frame)
    pipe.welcome_due = False
    resumed = bool(frame.flags & frames.FLAG_RESUMED)
    session.events.append(events.Welcomed(frame.link, resumed))


def _numbered(session: Session, raw: frames.Raw) -> None:
    try:
        if raw.kind == frames.DATA:
            _data(session, raw.stream, raw.body)
            return
        act = (_AT_CLIENT if session.up else _AT_SERVER).get(raw.kind)
        if act is not None:
            act(session, frames.parse(raw))
        elif raw.kind < frames.FIRST_SKIPPABLE:
            raise PeerError(Code.PROTOCOL, f"frame {raw.kind:#04x} is not for this end")
    except StreamError as fault:
        raise PeerError(fault.code, fault.text) from None


def _find(session: Session, stream_id: int) -> Stream | None:
    """Return a live stream, None for one that has ended. Raises for one that never was."""
    if session.up:
        return _own(session, stream_id)
    stream = session.streams.get(stream_id)
    if stream is None and (stream_id == 0 or stream_id % 2 or stream_id > session.highest_id):
        raise PeerError(Code.PROTOCOL, f"stream {stream_id} was never opened")
    return stream


def _own(session: Session, stream_id: int) -> Stream:
    """Return a stream of this client that the server may have heard of, or raise."""
    stream = session.streams.get(stream_id)
    if stream is None or not stream.open_numbered:
        raise PeerError(Code.PROTOCOL, f"stream {stream_id} was never opened")
    return stream


def _fault(session: Session, stream: Stream, fault: StreamError) -> None:
    """End one stream for what the peer did on it; the session goes on."""
    if session.up:
        session.reset(stream.id, fault.code, fault.text)
    else:
        _aborted(session, stream, fault.code, fault.text)


def _aborted(session: Session, stream: Stream, code: int, text: str) -> None:
    stream.drop_unsent()
    # A CLOSED that waited for the last byte waits no more.
    session.attention[stream.id] = stream
    if stream.closing is None:
        stream.up = State.CLOSED
        session.events.append(events.ResetReceived(stream.id, code, text))


def _data(session: Session, stream_id: int, payload: bytes) -> None:
    stream = _find(session, stream_id)
    if stream is None or stream.receiving is State.CLOSED:
        return
    try:
        stream.move(stream.receives, Step.DATA)
        stream.window.receive(len(payload))
    except StreamError as fault:
        _fault(session, stream, fault)
        return
    if not stream.discarding:
        session.events.append(events.DataReceived(stream_id, payload))


def _eof(session: Session, frame: frames.Eof) -> None:
    stream = _find(session, frame.stream)
    if stream is None or stream.receiving is State.CLOSED:
        return
    try:
        stream.move(stream.receives, Step.EOF)
        stream.check_total(frame.total)
    except StreamError as fault:
        _fault(session, stream, fault)
        return
    if not stream.discarding or not session.up:
        session.events.append(events.EofReceived(frame.stream))


def _window(session: Session, frame: frames.Window) -> None:
    stream = _find(session, frame.stream)
    if stream is not None:
        stream.credit.grant(frame.max)
        session.wake(stream)


def _open(session: Session, frame: frames.Open) -> None:
    check_client_id(frame.stream)
    _forget_acked(session)
    if frame.stream in session.streams or frame.stream in session.busy:
        raise PeerError(Code.PROTOCOL, f"stream {frame.stream}: OPEN while it is in use")
    if len(session.streams) + len(session.busy) >= MAX_BUSY_IDS:
        raise PeerError(Code.FLOW, f"stream {frame.stream}: more than {MAX_BUSY_IDS} ids in use")
    session.highest_id = max(session.highest_id, frame.stream)
    session.make_stream(frame.stream, frame.window, Direction.DOWN)
    if session.draining:
        session.finish(frame.stream, Code.BUSY, "this session is draining", abort=True)
        return
    session.events.append(events.OpenRequested(frame.stream, frame.host, frame.port, frame.tlvs))


def _forget_acked(session: Session) -> None:
    """Free the ids whose CLOSED the client holds."""
    for stream_id, end in list(session.busy.items()):
        if end > session.log.base:
            break
        del session.busy[stream_id]


def _reset(session: Session, frame: frames.Reset) -> None:
    stream = _find(session, frame.stream)
    if stream is not None:
        _aborted(session, stream, frame.code, frame.text)


def _stop(session: Session, frame: frames.Stop) -> None:
    stream = _find(session, frame.stream)
    if stream is None or stream.unread:
        return
    stream.queue.clear()
    stream.unread = True
    session.attention[stream.id] = stream
    if stream.closing is None:
        stream.eof = stream.sending in (State.OPENING, State.OPEN)
        session.events.append(events.StopReceived(frame.stream))


def _opened(session: Session, frame: frames.Opened) -> None:
    stream = _own(session, frame.stream)
    stream.move_both(Step.OPENED)
    stream.credit.grant(frame.window)
    session.wake(stream)
    if not stream.discarding:
        remote = (frame.remote_host, frame.remote_port)
        local = (frame.local_host, frame.local_port)
        session.events.append(events.StreamOpened(frame.stream, remote, local))


def _closed(session: Session, frame: frames.Closed) -> None:
    stream = _own(session, frame.stream)
    if frame.out_total != stream.window.received:
        raise PeerError(
            Code.PROTOCOL,
            f"stream {frame.stream}: CLOSED at {frame.out_total}"
            f" after {stream.window.received} bytes",
        )
    if frame.code == Code.CLEAN and frame.in_total != stream.credit.sent:
        raise PeerError(
            Code.PROTOCOL,
            f"stream {frame.stream}: clean end at {frame.in_total} of {stream.credit.sent} bytes",
        )
    stream.move_both(Step.CLOSED)
    session.forget(stream)
    session.events.append(events.StreamClosed(frame.stream, frame.code, frame.text, frame.in_total))


def _go_away(session: Session, frame: frames.GoAway) -> None:
    session.events.append(events.GoingAway(frame.code, frame.deadline_ms))


_Table = dict[int, Callable[["Session", Any], None]]

_AT_CLIENT: _Table = {
    frames.TYPE_OF[frames.Opened]: _opened,
    frames.TYPE_OF[frames.Eof]: _eof,
    frames.TYPE_OF[frames.Window]: _window,
    frames.TYPE_OF[frames.Closed]: _closed,
    frames.TYPE_OF[frames.GoAway]: _go_away,
}

_AT_SERVER: _Table = {
    frames.TYPE_OF[frames.Open]: _open,
    frames.TYPE_OF[frames.Eof]: _eof,
    frames.TYPE_OF[frames.Window]: _window,
    frames.TYPE_OF[frames.Reset]: _reset,
    frames.TYPE_OF[frames.Stop]: _stop,
}
