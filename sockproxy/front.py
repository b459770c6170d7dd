"""Who is at the door?

The one place that reads Origin, Host, the peer's address and the offered subprotocols,
and it reads them from the twisted.web request only: what follows gets a `Visitor` and
never sees a header. A head that two parsers could read in two ways is refused, and so is
a body that is too long or does not say how long it is, before a byte of it is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from twisted.web import http, server
from twisted.web.http import Request
from twisted.web.resource import Resource

# A scheme, the longest host name, a port.
ORIGIN_MAX_BYTES = 300

_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HOST = re.compile(r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


class BadHead(Exception):
    """The request's head is not to be trusted; answer `status` and close."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a request says about who sent it."""

    origin: str | None
    host: str
    peer: str
    offered: tuple[str, ...]


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
    return Visitor(origin, host, peer or "unix", tuple(offered))


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


class Front(server.Site):
    """A site whose requests have bodies of at most `body_max_bytes`, kept in memory."""

    def __init__(self, resource: Resource, body_max_bytes: int, idle_timeout_s: float) -> None:
        super().__init__(
            resource, BoundedRequest, timeout=idle_timeout_s, parsePOSTFormSubmission=False
        )
        self.body_max_bytes = body_max_bytes

    def log(self, request: Request) -> None:
        """Log a request, but none that carries a session: there is one every few bytes."""
        if request.method != b"POST" or request.code != http.OK:
            super().log(request)


class BoundedRequest(server.Request):
    """A request that is answered from its head alone where its body is not to be read."""

    channel: Any
    site: Any
    refused = False

    def gotLength(self, length: int | None) -> None:
        """Decide on the body; twisted.web would spool a long one to a file."""
        self.content = BytesIO()
        most = self.channel.site.body_max_bytes
        if length is None:
            self._refuse(http.LENGTH_REQUIRED, "a body needs a Content-Length")
        elif length > most:
            text = f"a body of {length} bytes is above {most}"
            self._refuse(http.REQUEST_ENTITY_TOO_LARGE, text)

    def handleContentChunk(self, data: bytes) -> None:
        if not self.refused:
            super().handleContentChunk(data)

    def process(self) -> None:
        if not self.refused:
            super().process()

    def _refuse(self, status: int, text: str) -> None:
        """Answer and close: past twisted.web, which answers whole requests only."""
        self.refused = True
        # Or the channel would say "100 Continue" behind it.
        self.requestHeaders.removeHeader(b"expect")
        body = text.encode() + b"\n"
        head = (
            f"HTTP/1.1 {status} {http.RESPONSES[status].decode()}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        self.channel.transport.write("\r\n".join([*head, "", ""]).encode() + body)
        self.channel.loseConnection()
