"""How does an HTTP upgrade become a WebSocket?

The only file that knows autobahn. We validate the head ourselves and hand autobahn a
fresh minimal handshake, because it splits header lines where twisted.web does not: from
then on it only frames, masks, pings and closes. Limits, origins and meaning are ours.

A `Peer` gets whole messages and a `Socket` that says when it is full; what goes wrong on
the wire ends in its `closed`, once.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import Request
from zope.interface import implementer

from sockproxy.front import Visitor, all_headers, one_header, visitor
from sockproxy.head import BadHead
from sockproxy.kernel import limit_unsent, unsent_bytes
from sockproxy.logs import Logger
from sockproxy.place import Place, answer, answer_later
from sockproxy.policy.limits import TokenBucket

MESSAGE_MAX_BYTES = 256 * 1024
FRAGMENTS_MAX = 1024
# Nobody who wants to know whether we are there asks so often.
PINGS_PER_S = 10
PINGS_BURST = 256
SLICE_BYTES = 8 * 1024
CLOSE_TIMEOUT_S = 2.0
SLOW_CLOSE_TIMEOUTS = 15
CLOSE_REASON_MAX_BYTES = 123
# How far the answer to a close is looked for in what a browser that we failed still sends.
FAREWELL_MAX_BYTES = 64 * 1024
PING_S = 25
PING_TIMEOUT_S = 15
UPGRADE_REQUIRED = 426
POLICY = 1008
TOO_BIG = 1009
INTERNAL_ERROR = 1011
NO_CODE = 1005
ABNORMAL = 1006

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==", re.ASCII)


class Socket(Protocol):
    """An open WebSocket, as its peer sees it."""

    @property
    def writable(self) -> bool:
        """False while more than the transport's buffer waits to be sent."""

    def send(self, data: bytes, *, text: bool = False) -> None:
        """Send one message."""

    def close(self, code: int, reason: str = "") -> None:
        """Send what waits and a close frame, then end the connection.

        A browser that does not answer within 2 s is cut; within 30 s while it still takes
        what was sent before, or while reading is paused.
        """

    def abort(self) -> None:
        """Cut the connection."""

    def pause_reading(self) -> None:
        """Take no more from the browser for now."""

    def resume_reading(self) -> None:
        """Go on."""


class Peer(Protocol):
    """What answers a WebSocket."""

    subprotocol: str | None
    pings: bool

    def opened(self, socket: Socket) -> None:
        """The handshake is over."""

    def message(self, data: bytes, text: bool) -> None:
        """One whole message."""

    def drained(self) -> None:
        """The socket is writable again."""

    def closed(self, code: int, reason: str) -> None:
        """The connection is gone: exactly once, last.

        The code is the browser's, 1005 where it gave none, 1006 where it was cut off or
        broke the protocol.
        """


@dataclass(frozen=True, slots=True)
class Refusal:
    """No upgrade: an ordinary HTTP answer."""

    status: int
    text: str
    retry_after_s: int = 0


Greet = Callable[[Visitor], Awaitable[Peer | Refusal]]


class UpgradeResource(Place):
    """A URL that takes WebSockets."""

    def __init__(self, greet: Greet, sockets: SocketFactory) -> None:
        super().__init__()
        self._greet = greet
        self._sockets = sockets

    def render(self, request: Request) -> int:
        return answer_later(request, self._upgrade(request))

    async def _upgrade(self, request: Request) -> None:
        answer: Peer | Refusal
        try:
            key = check_upgrade(request)
            answer = await self._greet(visitor(request))
        except BadHead as bad:
            answer = Refusal(bad.status, bad.text)
        if isinstance(answer, Refusal):
            _refuse(request, answer)
        else:
            self._sockets.take_over(request, key, answer)


class SocketFactory(WebSocketServerFactory):  # type: ignore[misc]  # autobahn is untyped
    """Makes sockets of connections that twisted.web has accepted."""

    def __init__(self, reactor: Any, close_timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        super().__init__(reactor=reactor)
        self.close_timeout_s = close_timeout_s
        self.setProtocolOptions(
            webStatus=False,
            allowNullOrigin=True,
            maxFramePayloadSize=MESSAGE_MAX_BYTES,
            maxMessagePayloadSize=MESSAGE_MAX_BYTES,
            failByDrop=False,
            openHandshakeTimeout=close_timeout_s,
            closeHandshakeTimeout=close_timeout_s,
            tcpNoDelay=True,
        )

    def take_over(self, request: Request, key: str, peer: Peer) -> None:
        """Make the connection under `request` the WebSocket of `peer`."""
        channel = request.channel
        rest = channel.clearLineBuffer()
        transport: Any = channel.transport
        channel.transport = None
        channel.setTimeout(None)
        transport.unregisterProducer()
        limit_unsent(transport)
        connection = Connection(peer, self.reactor.seconds)
        connection.factory = self
        _give(transport, connection)
        connection.makeConnection(transport)
        transport.registerProducer(connection, True)
        # It may have been paused while it was found out who asks.
        transport.resumeProducing()
        connection.dataReceived(_handshake(key, peer.subprotocol) + rest)


def check_upgrade(request: Request) -> str:
    """Return the key of a valid upgrade. Raises `BadHead` (RFC 6455 section 4.2.1)."""
    if request.method != b"GET" or request.clientproto != b"HTTP/1.1":
        raise BadHead(http.BAD_REQUEST, "this URL takes WebSockets: GET, HTTP/1.1")
    upgrade = [word.strip().lower() for word in _words(request, "upgrade")]
    connection = [word.strip().lower() for word in _words(request, "connection")]
    if "websocket" not in upgrade or "upgrade" not in connection:
        request.setHeader("Upgrade", "websocket")
        raise BadHead(UPGRADE_REQUIRED, "this URL takes WebSockets")
    version = one_header(request, "sec-websocket-version")
    if version != "13":
        request.setHeader("Sec-WebSocket-Version", "13")
        raise BadHead(UPGRADE_REQUIRED, f"WebSocket version {version}, this server speaks 13")
    key = one_header(request, "sec-websocket-key") or ""
    if not _KEY.fullmatch(key):
        raise BadHead(http.BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64")
    return key


def _words(request: Request, name: str) -> list[str]:
    return ",".join(all_headers(request, name)).split(",")


def _refuse(request: Request, refusal: Refusal) -> None:
    request.setResponseCode(refusal.status)
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    request.setHeader("Cache-Control", "no-store")
    request.setHeader("X-Content-Type-Options", "nosniff")
    if refusal.retry_after_s:
        request.setHeader("Retry-After", str(refusal.retry_after_s))
    answer(request, refusal.text.encode() + b"\n")


def _handshake(key: str, subprotocol: str | None) -> bytes:
    """Return the request that autobahn gets to see."""
    lines = [
        "GET / HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _give(transport: Any, connection: Connection) -> None:
    """Let `connection` have what the transport receives."""
    holder, name = transport, "protocol"
    if isinstance(transport, ProtocolWrapper):
        name = "wrappedProtocol"
    while isinstance(held := getattr(holder, name), ProtocolWrapper):
        holder, name = held, "wrappedProtocol"
    setattr(holder, name, connection)


class Wire(Logger):
    """What autobahn logs: warnings as ours are, and nothing for each frame."""

    def debug(self, format: str | None = None, **fields: object) -> None:
        """Said of every read and write."""

    info = trace = debug


@implementer(IPushProducer)
class Connection(WebSocketServerProtocol):  # type: ignore[misc]  # autobahn is untyped
    """A WebSocket on autobahn's wire; the `Socket` of its peer."""

    failures = Logger()
    log = Wire()
    closeHandshakeTimeoutCall: IDelayedCall | None
    message_data: list[bytes] | None
    frame_data: list[bytes] | None = None
    control_frame_data: list[bytes] | None = None

    def __init__(self, peer: Peer, seconds: Callable[[], float]) -> None:
        super().__init__()
        self._peer = peer
        self._seconds = seconds
        self._full = False
        self._held = False
        self._told = False
        self._fragments = 0
        self._farewell_bytes = FAREWELL_MAX_BYTES
        self._pong_due: bytes | None = None
        self._pings = TokenBucket(PINGS_PER_S, PINGS_BURST, seconds())
        self._timeouts_left = SLOW_CLOSE_TIMEOUTS
        self._linger: IDelayedCall | None = None

    # Towards the peer. Its faults are ours: logged once, and the browser is told.

    def _tell(self, act: Callable[..., None], *words: Any) -> None:
        try:
            act(*words)
        except Exception:
            self.failures.failure("a WebSocket's peer failed")
            self.close(INTERNAL_ERROR, "internal error")

    def onConnect(self, request: Any) -> str | None:
        return self._peer.subprotocol

    def onOpen(self) -> None:
        if self._peer.pings:
            self.autoPingInterval, self.autoPingTimeout = PING_S, PING_TIMEOUT_S
            self._sendAutoPing()
        self._tell(self._peer.opened, self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._tell(self._peer.message, payload, not isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self._told:
            self._told = True
            if self.failedByMe:
                code = ABNORMAL
            self._tell(self._peer.closed, NO_CODE if code is None else code, reason or "")

    # As a socket.

    @property
    def writable(self) -> bool:
        return not self._full and self.state == WebSocketProtocol.STATE_OPEN

    def send(self, data: bytes, *, text: bool = False) -> None:
        # While the browser closes there is nobody to hear it.
        if self.state == WebSocketProtocol.STATE_OPEN:
            self.sendMessage(data, isBinary=not text)

    def close(self, code: int, reason: str = "") -> None:
        if self.state != WebSocketProtocol.STATE_OPEN:
            return
        self.transport.unregisterProducer()
        clipped = reason.encode()[:CLOSE_REASON_MAX_BYTES].decode(errors="ignore")
        self.sendCloseFrame(code=code, reasonUtf8=clipped.encode(), isReply=False)

    def abort(self) -> None:
        self.transport.abortConnection()

    def pause_reading(self) -> None:
        self._held = True
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        self._held = False
        self.transport.resumeProducing()

    # As the producer of its transport.

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        payload, self._pong_due = self._pong_due, None
        if payload is not None:
            self.sendPong(payload)
        self._tell(self._peer.drained)

    def stopProducing(self) -> None:
        """The connection ends; `onClose` says the rest."""

    # As autobahn's, where its timers are too quick.

    def onAutoPingTimeout(self) -> None:
        """Give up a browser that did not answer, unless it is we who do not listen."""
        if not self._held:
            super().onAutoPingTimeout()
            return
        self.autoPingTimeoutCall = None
        self._sendAutoPing()

    def onCloseHandshakeTimeout(self) -> None:
        """Give up a browser that did not answer, unless it could not, or we do not listen."""
        self._timeouts_left -= 1
        if self._timeouts_left and (self._held or unsent_bytes(self.transport)):
            self.closeHandshakeTimeoutCall = self._later(self.onCloseHandshakeTimeout)
        else:
            super().onCloseHandshakeTimeout()

    def dropConnection(self, abort: bool = False) -> None:
        """End the connection: by a FIN where both have said close, but not for ever."""
        graceful = self.wasClean or not abort
        super().dropConnection(abort=not graceful)
        if graceful and self._linger is None:
            self._linger = self._later(self._cut)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave no timer behind, which autobahn does."""
        for timer in (self._linger, self.closeHandshakeTimeoutCall):
            if timer is not None:
                timer.cancel()
        self._linger = None
        self.closeHandshakeTimeoutCall = None
        super().connectionLost(reason)

    def _cut(self) -> None:
        self._linger = None
        self.abort()

    def _later(self, act: Callable[[], None]) -> IDelayedCall:
        factory = self.factory
        later: IDelayedCall = factory.reactor.callLater(factory.close_timeout_s, act)
        return later

    # As autobahn's, where it would go on without end.

    def onPing(self, payload: bytes) -> None:
        """Answer; a browser that does not read is owed a pong to its newest ping only."""
        if not self._pings.take(self._seconds()):
            self._fail_connection(POLICY, f"more than {PINGS_PER_S} pings a second")
        elif self._full:
            self._pong_due = payload
        else:
            self.sendPong(payload)

    def onMessageFrame(self, payload: list[bytes]) -> None:
        assert self.message_data is not None
        self._fragments += 1
        if self._fragments > FRAGMENTS_MAX:
            self.message_data.clear()
            self._fail_connection(TOO_BIG, f"a message of more than {FRAGMENTS_MAX} fragments")
        else:
            self.message_data += payload

    def _is_over(self, more_bytes: int) -> bool:
        """Return whether what comes has no meaning any more, not even an answer to a close."""
        if self.failedByMe:
            self._farewell_bytes -= more_bytes
        return self._farewell_bytes < 0 or self.state == WebSocketProtocol.STATE_CLOSED

    # autobahn builds a coloured debug line for every read and write, even unseen ones, copies
    # all that it has not looked at for every frame, and makes a Deferred for every message.

    def dataReceived(self, data: bytes) -> None:
        for at in range(0, len(data), SLICE_BYTES):
            part = data[at : at + SLICE_BYTES]
            if not self._is_over(len(part)):
                self._dataReceived(part)

    def onMessageEnd(self) -> None:
        self._fragments = 0
        if not self.failedByMe and self.message_data is not None:
            self.onMessage(b"".join(self.message_data), self.message_is_binary)
        self.message_data = None

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        if sync or chopsize or self.send_queue:
            super().sendData(data, sync, chopsize)
        else:
            self.transport.write(data)
