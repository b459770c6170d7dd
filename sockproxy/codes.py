"""Which code says why something ended, and what does each surface make of it?

One table for the whole project (docs/protocol.md section 2). A code travels in
REFUSE, END, BYE, RESET, CLOSED and GOAWAY; the WebSocket close code is 4000 + code
and only a hint.
"""

from __future__ import annotations

from enum import IntEnum

WEBSOCKET_CLOSE_BASE = 4000


class Code(IntEnum):
    """Why a stream, link or session ended."""

    # How a stream ended.
    CLEAN = 0x00
    ABORTED = 0x01
    DENIED = 0x02
    BAD_TARGET = 0x03
    NAME_NOT_FOUND = 0x04
    REFUSED = 0x05
    CONNECT_TIMEOUT = 0x06
    UNREACHABLE = 0x07
    BACKEND_RESET = 0x08
    IDLE = 0x09
    QUOTA = 0x0A
    KILLED = 0x0B
    LOST = 0x0C
    BACKEND_TLS = 0x0D
    INTERNAL = 0x0E
    STREAM_PROTOCOL = 0x0F
    # How a link or a session ended, or why it was refused.
    VERSION = 0x20
    TICKET_REQUIRED = 0x21
    TICKET_REFUSED = 0x22
    ORIGIN = 0x23
    SESSION_UNKNOWN = 0x24
    SECRET_REUSE = 0x25
    SUPERSEDED = 0x26
    STALE_LINK = 0x27
    BUSY = 0x28
    RESTART = 0x29
    LINGER_EXPIRED = 0x2A
    FLOW = 0x2B
    TOO_BIG = 0x2C
    PROTOCOL = 0x2D
    TIMEOUT = 0x2E
    POLL_ADVISED = 0x2F


def close_code(code: Code) -> int:
    """Return the WebSocket close code that hints at `code`."""
    return WEBSOCKET_CLOSE_BASE + code


class HelloTlv(IntEnum):
    """Optional fields of HELLO."""

    TICKET = 1
    STREAM_WINDOW = 2
    SESSION_WINDOW = 3
    CLIENT = 4
    MODE = 5


class Mode(IntEnum):
    """How the server answers a DOWN, in HELLO's MODE field."""

    STREAM = 1
    POLL = 2
    BRIEF = 3


class WelcomeTlv(IntEnum):
    """Optional fields of WELCOME."""

    ROUTE = 1
    STREAM_WINDOW = 2
    SESSION_WINDOW_UP = 3
    SESSION_WINDOW_DOWN = 4
    MAX_POST = 5
    PING_MS = 6
    LINGER_S = 7
    STREAMS = 8


class OpenTlv(IntEnum):
    """Optional fields of OPEN."""

    NO_DELAY = 1
    KEEP_ALIVE_MS = 2
    TLS_NAME = 3
