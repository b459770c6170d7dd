"""How is a request let in?

Between the transport and twisted.web: a head is judged whole by `head`, under a deadline
that no byte puts off, and twisted.web is handed what was judged, followed by exactly the
body that the head announced. What comes behind waits until the request is answered, so
that an upgrade gets its own bytes and nothing is parsed that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.resource import Resource
from zope.interface import implementer

from sockproxy import accept
from sockproxy.head import (
    END,
    HEAD_MAX_BYTES,
    MISDIRECTED,
    SERVICE_UNAVAILABLE,
    BadHead,
    Head,
    hopeless,
    judge,
    refusal,
)
from sockproxy.kernel import unsent_bytes
from sockproxy.logs import Logger
from sockproxy.policy import forwarded, host
from sockproxy.policy.entrance import Entry, TurnedAway, uncounted
from sockproxy.settings import Service

HEAD_S = 10.0
BODY_S = 20.0
ANSWER_S = 20.0
IDLE_S = 60.0
# For a client to read why it is refused, before its unread bytes reset the connection.
FAREWELL_S = 2.0
EARLY_MAX_BYTES = 16 * 1024

# Of what is answered, that which makes an address wait when it comes too often.
FAILURES = frozenset((http.BAD_REQUEST, http.FORBIDDEN))
# Of what is refused, that which is nobody's failure: silence and a lack of room.
BLAMELESS = frozenset((http.REQUEST_TIMEOUT, SERVICE_UNAVAILABLE))


class Front(server.Site):
    """A site of strict requests whose bodies are short, and kept in memory.

    `options` say under which names it may be asked for, and which proxies are believed.
    """

    doubts = Logger()
    served = Logger()

    def __init__(
        self, resource: Resource, body_max_bytes: int, options: Service, reactor: Any
    ) -> None:
        super().__init__(
            resource, Request, timeout=None, reactor=reactor, parsePOSTFormSubmission=False
        )
        self.protocol = Channel  # type: ignore[assignment]  # no choice of protocols: HTTP/1.1
        self.body_max_bytes = body_max_bytes
        self.options = options
        self._has_warned = False

    def client(self, peer: IAddress, head: Head) -> IAddress:
        """Return who is behind a peer. Raises `BadHead` where a trusted proxy says nonsense."""
        options = self.options
        if options.client_header == "Forwarded":
            entries = forwarded.forwarded(head.forwarded)
        else:
            entries = forwarded.x_forwarded_for(head.x_forwarded_for)
        nearest = getattr(peer, "host", forwarded.UNIX)
        try:
            found = forwarded.client(nearest, options.trusted_proxies, entries)
        except forwarded.BadForwarded as error:
            raise BadHead(http.BAD_REQUEST, f"{options.client_header}: {error}") from None
        if found != nearest:
            kind = IPv6Address if ":" in found else IPv4Address
            return kind("TCP", found, 0)
        if entries and not forwarded.is_trusted(nearest, options.trusted_proxies):
            self._warn(nearest)
        return peer

    def _warn(self, peer: str) -> None:
        """Say once that limits count a proxy's clients as one."""
        if not self._has_warned:
            self._has_warned = True
            self.doubts.warn(
                "{header} from {peer} is not believed: if that is your proxy, write"
                " trusted_proxies = {peer} into [sockproxy]",
                header=self.options.client_header,
                peer=peer,
            )

    def acceptableProtocols(self) -> list[bytes]:
        """Return what TLS may agree on: no HTTP/2, which nobody here judges."""
        return [b"http/1.1"]

    def log(self, request: http.Request) -> None:
        """Log a request, but none that carries a session: there is one every few bytes.

        Neither the query nor the Referer is told: they may hold what opens a door elsewhere.
        """
        if request.method != b"POST" or request.code != http.OK:
            self.served.info(
                '{peer} "{method} {path} {version}" {status} {bytes} "{agent}"',
                peer=getattr(request.getClientAddress(), "host", forwarded.UNIX),
                method=request.method,
                path=request.path,
                version=request.clientproto,
                status=request.code,
                bytes=request.sentLength,
                agent=request.getHeader(b"user-agent") or "-",
            )


class Request(server.Request):
    """A request whose body is kept in memory: it is short, or it would not be here."""

    def process(self) -> None:
        """Let no other site load an answer as a part of its page, unless what answers says so."""
        self.setHeader(b"X-Content-Type-Options", b"nosniff")
        self.setHeader(b"Cross-Origin-Resource-Policy", b"same-origin")
        super().process()

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()


@implementer(IHandshakeListener)
class Channel(http.HTTPChannel):
    """One connection, from its first byte to its end or its upgrade."""

    refused = Logger()
    site: Front
    transport: Any
    entry: Entry

    def __init__(self) -> None:
        super().__init__()
        self._waiting = b""
        self._body_left = 0
        self._has_blank = False
        self._is_idle = False
        self._is_feeding = False
        self._is_over = False
        self._is_secret = False
        self._late: IDelayedCall | None = None
        self._client: IAddress | None = None

    # What comes.

    def connectionMade(self) -> None:
        super().connectionMade()
        self.entry = accept.entry_of(self.transport) or uncounted()
        self._within(HEAD_S, self._slow)

    def handshakeCompleted(self) -> None:
        """From here on TLS can carry an answer."""
        self._is_secret = True

    def dataReceived(self, data: bytes) -> None:
        if self._is_over:
            return
        if self._is_idle:
            self._is_idle = False
            self._within(HEAD_S, self._slow)
        self._waiting += data
        self._feed()
        if len(self._waiting) > EARLY_MAX_BYTES and not self._is_over:
            self._networkProducer.pauseProducing()

    def getPeer(self) -> IAddress:
        """Return who sends the request: the client, where trusted proxies stand between."""
        return self._client or self.transport.getPeer()

    def clearLineBuffer(self) -> bytes:
        """Return what came behind an upgrade."""
        rest, self._waiting = self._waiting, b""
        before: bytes = super().clearLineBuffer()
        return before + rest

    def requestDone(self, request: http.Request) -> None:
        super().requestDone(request)
        self._count(request)
        if not self.persistent:
            self._within(ANSWER_S, self._abort)
            return
        self._is_idle = True
        self._within(ANSWER_S, self._untaken)
        if not self._is_feeding:
            self._feed()

    def resumeProducing(self) -> None:
        """Go on with the next request: the answers to those before it have left."""
        super().resumeProducing()
        if not self._is_feeding:
            self._feed()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()
        super().connectionLost(reason)

    def _count(self, request: http.Request) -> None:
        """Say to the entry what came of a request; of a session's, its link says it."""
        if request.code in FAILURES:
            self.entry.failed()
        elif request.code < http.BAD_REQUEST and request.method != b"POST":
            self.entry.served()
        if self._client != self.transport.getPeer():
            self.entry.rest()

    def _feed(self) -> None:
        """Hand over all that may be handed over now, none on top of answers nobody reads."""
        self._is_feeding = True
        while self._waiting and not self._is_over and not self._is_busy():
            if self._body_left:
                self._feed_body()
            elif not self._feed_head():
                break
        self._is_feeding = False

    def _is_busy(self) -> bool:
        return self._handlingRequest or self._waitingForTransport

    def _feed_body(self) -> None:
        part, self._waiting = self._waiting[: self._body_left], self._waiting[self._body_left :]
        self._body_left -= len(part)
        if not self._body_left:
            self._in_time()
        super().dataReceived(part)

    def _feed_head(self) -> bool:
        """Return whether there was a whole one."""
        try:
            head = self._head()
        except BadHead as bad:
            self._refuse(bad)
            return False
        if head is None:
            return False
        self._is_idle = self._has_blank = False
        self._body_left = head.body_bytes
        if self._body_left:
            self._within(BODY_S, self._slow)
        else:
            self._in_time()
        super().dataReceived(head.raw)
        if self.transport is None:  # a WebSocket now
            self._end()
        return True

    def _head(self) -> Head | None:
        if self._waiting.startswith(b"\r\n") and not self._has_blank:
            self._has_blank = True
            self._waiting = self._waiting[2:]
        raw, end, rest = self._waiting.partition(END)
        if not end or len(raw) > HEAD_MAX_BYTES:
            hopeless(raw)
            return None
        head = judge(raw, self.site.body_max_bytes)
        if not host.allowed(head.host, self.site.options.hosts):
            text = f"Host {head.host} is not served here; [sockproxy] hosts lists what is"
            raise BadHead(MISDIRECTED, text)
        self._client = client = self.site.client(self.transport.getPeer(), head)
        try:
            self.entry.belong(getattr(client, "host", forwarded.UNIX), knocks=head.upgrades)
        except TurnedAway as full:
            raise accept.unavailable(full) from None
        self._waiting = rest
        return head

    # What is late, or refused.

    def _within(self, seconds: float, late: Callable[[], None]) -> None:
        self._in_time()
        self._late = self.factory.reactor.callLater(seconds, late)

    def _in_time(self) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._late = None

    def _slow(self) -> None:
        if self._is_tls and not self._is_secret:
            self._abort()
            return
        self._refuse(BadHead(http.REQUEST_TIMEOUT, "the request does not come to its end"))

    def _untaken(self) -> None:
        """Give up a client that does not take its answer; wait on for one that has nothing."""
        if unsent_bytes(self.transport):
            self._abort()
        else:
            self._within(IDLE_S - ANSWER_S, self._abort)

    def _refuse(self, bad: BadHead) -> None:
        """Answer and close: past twisted.web, which answers whole requests only."""
        if bad.status not in BLAMELESS:
            self.entry.failed()
        self.refused.info(
            "refused {peer}: {status}, {text}",
            peer=getattr(self._client or self.transport.getPeer(), "host", forwarded.UNIX),
            status=bad.status,
            text=bad.text,
        )
        self._end()
        self.transport.write(refusal(bad))
        self._within(FAREWELL_S, self._abort)
        self.transport.unregisterProducer()
        if self._is_tls:  # which cannot be half closed
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()

    @property
    def _is_tls(self) -> bool:
        return isinstance(self.transport, TLSMemoryBIOProtocol)

    def _abort(self) -> None:
        self.transport.abortConnection()

    def _end(self) -> None:
        """Nothing more is read."""
        self._is_over = True
        self._waiting = b""
        self._in_time()
