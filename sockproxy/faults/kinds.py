"""Which faults are there? One frozen dataclass each, with the numbers drawn for one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

UP = "up"
DOWN = "down"
BOTH = "both"
REQUEST = "request"
RESPONSE = "response"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Ends the connection after so many bytes of one direction, or after a time."""

    after_bytes: int | None
    step_bytes: int
    age_s: float | None
    direction: str
    body: bool
    reset: bool

    @property
    def verb(self) -> str:
        return "reset" if self.reset else "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Holds a direction from a byte on, for a time or for good, its end included."""

    verb: ClassVar[str] = "stall"
    after_bytes: int
    for_s: float | None
    direction: str
    body: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Makes the way longer; nothing overtakes."""

    verb: ClassVar[str] = "delay"
    for_s: float
    jitter_s: float
    direction: str
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Makes the way narrower."""

    verb: ClassVar[str] = "throttle"
    rate_bytes_per_s: int
    direction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Holds what the server answers.

    Until its `end`, until a number of bytes have gathered, the `first` chunk until the second
    is there, or each chunk until the `next` is there.
    """

    verb: ClassVar[str] = "buffer"
    until: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Loses a request before the server or an answer before the page, and the connection."""

    verb: ClassVar[str] = "drop"
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Sends a request or an answer twice."""

    verb: ClassVar[str] = "duplicate"
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder:
    """Holds a request or an answer until its successor was answered."""

    verb: ClassVar[str] = "reorder"
    what: str
    within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Sends a request again after its successor was answered."""

    verb: ClassVar[str] = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Takes a header out of requests (up) or answers (down)."""

    verb: ClassVar[str] = "strip"
    header: str
    direction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answers in place of the server."""

    verb: str
    status: int
    retry_after_s: int | None = None
    location: str = ""


Fault = (
    Cut | Stall | Delay | Throttle | Buffer | Drop | Duplicate | Reorder | Replay | Strip | Answer
)

STATUSES: Mapping[int, str] = {
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    413: "Content Too Large",
    421: "Misdirected Request",
    425: "Too Early",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    511: "Network Authentication Required",
}
REDIRECTS = (301, 302, 303, 307, 308)


def concerns(direction: str, lane: str) -> bool:
    """Return whether a fault of `direction` is meant for the bytes that go `lane`."""
    return direction in (BOTH, lane)
