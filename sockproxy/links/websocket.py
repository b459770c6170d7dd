"""How does a WebSocket carry a session?

One WebSocket is one link: its first frame is HELLO, within a time and a size, before
anything is allocated; every message holds whole frames. What a message means is the
session's business, who may attach the hub's.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from sockproxy.codes import Code, close_code
from sockproxy.core import frames
from sockproxy.core.errors import PeerError
from sockproxy.front import Visitor
from sockproxy.hub import Hub, Refused
from sockproxy.live import LiveSession
from sockproxy.policy.access import Asker
from sockproxy.upgrade import Greet, Refusal, Socket

SUBPROTOCOL = "sockproxy.v1"
HELLO_MAX_BYTES = 8 * 1024


class WebSocketLink:
    """A link over one WebSocket: the peer of `upgrade.Socket`, the link of a session."""

    log = Logger()
    subprotocol: str | None = SUBPROTOCOL
    pings = False

    def __init__(self, hub: Hub, visitor: Visitor) -> None:
        self._hub = hub
        self._visitor = visitor
        self._socket: Socket | None = None
        self._live: LiveSession | None = None
        self._deadline: IDelayedCall | None = None

    # As the peer of a socket.

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        shared = self._hub.shared
        origin = self._visitor.origin
        if not shared.policy.origin_known(origin):
            hint = shared.policy.origin_hint(origin)
            self.log.info("refused {origin}: {hint}", origin=origin, hint=hint)
            self._refuse(Refused(Code.ORIGIN, hint))
            return
        timeout_s = shared.limits.hello_timeout
        self._deadline = shared.clock.callLater(timeout_s, self._late)

    def message(self, data: bytes, text: bool) -> None:
        if text:
            self._fail(Refused(Code.PROTOCOL, "text message, this protocol is binary"))
        elif self._live is not None:
            self._live.received(self, data)
        elif self._socket is not None:
            self._first(data)

    def drained(self) -> None:
        if self._live is not None:
            self._live.flush()

    def closed(self, code: int, reason: str) -> None:
        self._disarm()
        self._socket = None
        if self._live is not None:
            self._live.lost(self)

    # As the link of a session.

    @property
    def writable(self) -> bool:
        return self._socket is not None and self._socket.writable

    def send(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.send(data)

    def end(self, code: Code, text: str) -> None:
        self._say_last(frames.End(code, frames.clip(text)), code)

    def bye(self, code: Code, text: str) -> None:
        self._say_last(frames.Bye(code, frames.clip(text)), code)

    def abort(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.abort()

    def _first(self, data: bytes) -> None:
        """Take the message that must begin with HELLO."""
        try:
            raw = frames.first(data, frames.MAX_CLIENT_DATA_BYTES)
            hello = frames.parse(raw) if raw is not None else None
        except PeerError as error:
            self._refuse(Refused(error.code, error.text))
            return
        if raw is None or not isinstance(hello, frames.Hello):
            self._refuse(Refused(Code.PROTOCOL, "the first frame is not HELLO"))
        elif raw.size > HELLO_MAX_BYTES:
            text = f"HELLO of {raw.size} bytes above {HELLO_MAX_BYTES}"
            self._refuse(Refused(Code.TOO_BIG, text))
        else:
            self._attach(hello, data[raw.size :])

    def _attach(self, hello: frames.Hello, rest: bytes) -> None:
        self._disarm()
        asker = Asker(origin=self._visitor.origin, principal=None, peer=self._visitor.peer)
        try:
            self._live = self._hub.attach(hello, self, asker)
        except Refused as refused:
            self._refuse(refused)
            return
        if rest:
            self._live.received(self, rest)

    def _fail(self, refused: Refused) -> None:
        if self._live is not None:
            self._live.end(refused.code, refused.text)
        else:
            self._refuse(refused)

    def _late(self) -> None:
        self._deadline = None
        timeout_s = self._hub.shared.limits.hello_timeout
        self._refuse(Refused(Code.TIMEOUT, f"no HELLO within {timeout_s:g} s"))

    def _refuse(self, refused: Refused) -> None:
        frame = frames.Refuse(refused.code, refused.retry_ms, frames.clip(refused.text))
        self._say_last(frame, refused.code)

    def _say_last(self, frame: frames.Frame, code: Code) -> None:
        self._disarm()
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.send(frames.encode(frame))
            socket.close(close_code(code), code.name.lower())

    def _disarm(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()


def greeter(hub: Hub) -> Greet:
    """Return what decides on an upgrade to a native session."""

    def greet(visitor: Visitor) -> WebSocketLink | Refusal:
        if SUBPROTOCOL not in visitor.offered:
            return Refusal(400, f"this URL speaks the WebSocket subprotocol {SUBPROTOCOL}")
        return WebSocketLink(hub, visitor)

    return greet
