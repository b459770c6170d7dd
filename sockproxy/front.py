"""Who is at the door?

The one place that reads Origin, Host, the peer's address and the offered subprotocols,
and it reads them from the twisted.web request only: what follows gets a `Visitor` and
never sees a header. Which requests come so far is `door`'s and `head`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from twisted.internet.interfaces import IAddress
from twisted.web import http
from twisted.web.http import Request

from sockproxy.head import BadHead
from sockproxy.policy.access import Asker
from sockproxy.policy.entrance import Entry, uncounted

# A browser's WebSocket can say nothing else of its page's choice.
TICKET_PREFIX = "ticket."
# A scheme, the longest host name, a port.
ORIGIN_MAX_BYTES = 300

_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HOST = re.compile(r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a request says about who sent it.

    `server` and its port are the address it came in at; `secure`: it is known that the sender
    himself came by TLS, and not a proxy, whose word for an address has no port.
    """

    origin: str | None
    host: str
    peer: str
    offered: tuple[str, ...]
    ticket: str = field(default="", repr=False)
    cookies: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    peer_port: int = 0
    server: str = ""
    server_port: int = 0
    secure: bool = False
    # The place of the connection in the counts: who serves it says so.
    entry: Entry = field(default_factory=uncounted, compare=False, repr=False)

    def asker(self) -> Asker:
        """Return who asks, for the policy, as far as the head tells: nobody's principal yet."""
        return Asker(
            origin=self.origin,
            principal=None,
            peer=self.peer,
            peer_port=self.peer_port,
            server=self.server,
            server_port=self.server_port,
            secure=self.secure,
        )


def visitor(request: Request) -> Visitor:
    """Return who sent a request. Raises `BadHead`."""
    host = one_header(request, "host")
    if host is None or not _HOST.fullmatch(host):
        raise BadHead(http.BAD_REQUEST, "exactly one valid Host is needed")
    offered, ticket = _offered(request)
    origin = one_header(request, "origin")
    if origin is not None and len(origin) > ORIGIN_MAX_BYTES:
        text = f"an Origin of {len(origin)} bytes is above {ORIGIN_MAX_BYTES}"
        raise BadHead(http.BAD_REQUEST, text)
    peer, peer_port = _place(request.getClientAddress())
    server, server_port = _place(request.getHost())
    return Visitor(
        origin,
        host,
        peer or "unix",
        offered,
        ticket,
        tuple(_cookies(request)),
        peer_port,
        server,
        server_port,
        secure=bool(peer_port) and request.isSecure(),
        entry=getattr(request.channel, "entry", None) or uncounted(),
    )


def _offered(request: Request) -> tuple[tuple[str, ...], str]:
    """Return the subprotocols, and the ticket among them. Raises `BadHead`."""
    offered = [
        token.strip()
        for line in all_headers(request, "sec-websocket-protocol")
        for token in line.split(",")
    ]
    for number, token in enumerate(offered, 1):
        if not _TOKEN.fullmatch(token):
            raise BadHead(http.BAD_REQUEST, f"subprotocol {number} is no token")
    tickets = [token for token in offered if token.startswith(TICKET_PREFIX)]
    if len(tickets) > 1:
        raise BadHead(http.BAD_REQUEST, f"{len(tickets)} tickets, one is enough")
    rest = tuple(token for token in offered if token not in tickets)
    return rest, "".join(tickets).removeprefix(TICKET_PREFIX)


def _place(address: IAddress) -> tuple[str, int]:
    """Return host and port, or what stands for them at a UNIX socket."""
    return getattr(address, "host", None) or "", getattr(address, "port", 0)


def _cookies(request: Request) -> Iterator[tuple[str, str]]:
    """Yield the cookies that can be handed on as they came; others are nobody's business."""
    for line in request.requestHeaders.getRawHeaders(b"cookie", []):
        for pair in line.split(b";"):
            name, sign, value = pair.strip().partition(b"=")
            if sign and _PRINTABLE.fullmatch(name) and _PRINTABLE.fullmatch(value):
                yield name.decode("ascii"), value.decode("ascii")


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
