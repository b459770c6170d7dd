"""Who is at the door?

The one place that reads Origin, Host, the peer's address and the offered subprotocols,
and it reads them from the twisted.web request only: what follows gets a `Visitor` and
never sees a header. Which requests come so far is `door`'s and `head`'s to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from twisted.web import http
from twisted.web.http import Request

from sockproxy.head import BadHead
from sockproxy.policy.entrance import Entry, uncounted

# A scheme, the longest host name, a port.
ORIGIN_MAX_BYTES = 300

_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HOST = re.compile(r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a request says about who sent it."""

    origin: str | None
    host: str
    peer: str
    offered: tuple[str, ...]
    # The place of the connection in the counts: who serves it says so.
    entry: Entry = field(default_factory=uncounted, compare=False, repr=False)


def visitor(request: Request) -> Visitor:
    """Return who sent a request. Raises `BadHead`."""
    host = one_header(request, "host")
    if host is None or not _HOST.fullmatch(host):
        raise BadHead(http.BAD_REQUEST, "exactly one valid Host is needed")
    offered = [
        token.strip()
        for line in all_headers(request, "sec-websocket-protocol")
        for token in line.split(",")
    ]
    for token in offered:
        if not _TOKEN.fullmatch(token):
            raise BadHead(http.BAD_REQUEST, f"subprotocol {token!r} is no token")
    origin = one_header(request, "origin")
    if origin is not None and len(origin) > ORIGIN_MAX_BYTES:
        text = f"an Origin of {len(origin)} bytes is above {ORIGIN_MAX_BYTES}"
        raise BadHead(http.BAD_REQUEST, text)
    peer = getattr(request.getClientAddress(), "host", None)
    entry = getattr(request.channel, "entry", None) or uncounted()
    return Visitor(origin, host, peer or "unix", tuple(offered), entry)


def one_header(request: Request, name: str) -> str | None:
    """Return a header that may come once. Raises `BadHead`."""
    values = all_headers(request, name)
    if len(values) > 1:
        raise BadHead(http.BAD_REQUEST, f"{name} stands {len(values)} times")
    return values[0] if values else None


def all_headers(request: Request, name: str) -> list[str]:
    """Return all values of a header. Raises `BadHead` for a byte outside 20..7e."""
    values = request.requestHeaders.getRawHeaders(name.encode(), [])
    for value in values:
        if not _PRINTABLE.fullmatch(value):
            raise BadHead(http.BAD_REQUEST, f"{name} holds a byte outside 20..7e")
    return [value.decode("ascii") for value in values]
