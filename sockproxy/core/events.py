"""What does a session tell its owner?"""

from __future__ import annotations

from dataclasses import dataclass, field

from sockproxy.core.frames import Tlvs


@dataclass(slots=True)
class Welcomed:
    """The server accepted our HELLO; `resumed` tells an old session from a new one."""

    link: int
    resumed: bool


@dataclass(slots=True)
class Refused:
    """The server did not accept our HELLO."""

    code: int
    retry_ms: int
    text: str


@dataclass(slots=True)
class LinkEnded:
    """The peer will say no more on this link; the session goes on."""

    code: int
    text: str


@dataclass(slots=True)
class SessionEnded:
    """The peer ended the session (BYE)."""

    code: int
    text: str


@dataclass(slots=True)
class AuthReceived:
    """The page shows a fresh ticket; answer with `auth_result`."""

    ticket: str = field(repr=False)


@dataclass(slots=True)
class AuthResult:
    """What the server makes of our ticket; `expires_s` is 0 where no end is known."""

    code: int
    expires_s: int


@dataclass(slots=True)
class GoingAway:
    """New streams belong to another session; this one drains."""

    code: int
    deadline_ms: int


@dataclass(slots=True)
class OpenRequested:
    """The page wants a stream; answer with `opened` or `finish`. Port 0: a name."""

    stream: int
    host: str
    port: int
    tlvs: Tlvs


@dataclass(slots=True)
class StreamOpened:
    """The backend is connected; hosts may be empty where they are not told."""

    stream: int
    remote: tuple[str, int]
    local: tuple[str, int]


@dataclass(slots=True)
class DataReceived:
    """Bytes of a stream, in order; give them back to `consume` when they are used."""

    stream: int
    data: bytes


@dataclass(slots=True)
class EofReceived:
    """The peer will send no more on this stream."""

    stream: int


@dataclass(slots=True)
class ResetReceived:
    """The stream is to be aborted in both directions."""

    stream: int
    code: int
    text: str


@dataclass(slots=True)
class StopReceived:
    """Nobody reads this stream any more: read the backend on and throw it away."""

    stream: int


@dataclass(slots=True)
class StreamClosed:
    """The last event of a stream; `acked` bytes of ours reached the peer for sure."""

    stream: int
    code: int
    text: str
    acked: int


Event = (
    Welcomed
    | Refused
    | LinkEnded
    | SessionEnded
    | AuthReceived
    | AuthResult
    | GoingAway
    | OpenRequested
    | StreamOpened
    | DataReceived
    | EofReceived
    | ResetReceived
    | StopReceived
    | StreamClosed
)
