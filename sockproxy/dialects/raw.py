"""How is one WebSocket one TCP stream? (The convention of websockify.)

Frames have no meaning of their own: what a read of the backend gave is one message, what
a message holds is written. A close frame is what comes nearest to a FIN: the backend's
end is told by one at once, and what the page had sent before it knew still arrives. A
WebSocket that is lost without one is a reset, so that an upload that was cut off never
looks complete. Nothing is resumed; for that there is the native session.
"""

from __future__ import annotations

from codecs import getincrementaldecoder

from sockproxy.codes import Code
from sockproxy.front import Visitor
from sockproxy.logs import Logger
from sockproxy.policy.access import Allow, Asker, Deny
from sockproxy.policy.target import BadTarget, parse
from sockproxy.relay import Relay
from sockproxy.streams import Shared
from sockproxy.upgrade import ABNORMAL, Greet, Peer, Refusal, Socket

log = Logger(__name__)

PENDING_MAX_BYTES = 64 * 1024

NORMAL = 1000
FAILED = 1011


def greeter(name: str, shared: Shared) -> Greet:
    """Return what decides on an upgrade to the backend of this name."""

    def greet(visitor: Visitor) -> Peer | Refusal:
        asker = Asker(origin=visitor.origin, principal=None, peer=visitor.peer)
        try:
            answer = shared.policy.decide(asker, parse(name, 0))
        except BadTarget as error:
            return Refusal(404, str(error))
        if isinstance(answer, Deny):
            log.info(
                "raw {backend} for {origin} from {peer} denied: {reason}",
                backend=name,
                origin=visitor.origin,
                peer=visitor.peer,
                reason=answer.reason,
            )
            return Refusal(403, answer.reason)
        return RawPeer(answer, choose(visitor.offered), shared)

    return greet


def choose(offered: tuple[str, ...]) -> str | None:
    """Return the subprotocol: `binary` if offered, else the first one, else none."""
    if "binary" in offered:
        return "binary"
    return offered[0] if offered else None


class RawPeer:
    """The WebSocket's side: what the browser sends goes to the relay."""

    pings = True

    def __init__(self, allow: Allow, subprotocol: str | None, shared: Shared) -> None:
        self.subprotocol = subprotocol
        self.socket: Socket | None = None
        self._allow = allow
        self._relay = Relay(RawPage(self, allow), shared.opening, allow, shared.clock)
        self._unconsumed = 0
        self._held = False
        self._backend_gone = False

    def opened(self, socket: Socket) -> None:
        self.socket = socket
        self._relay.start()

    def message(self, data: bytes, text: bool) -> None:
        if self._backend_gone:
            return
        self._unconsumed += len(data)
        self._relay.write(data)
        self._hold()

    def drained(self) -> None:
        self._relay.resume()

    def closed(self, code: int, reason: str) -> None:
        """The browser left: the backend gets the last bytes, then a FIN or a reset."""
        self.socket = None
        if code != ABNORMAL:
            self._relay.write_eof()
        self._relay.finish()

    def consumed(self, count: int) -> None:
        self._unconsumed -= count
        self._hold()

    def forward(self, data: bytes, text: bool) -> None:
        """Send one read of the backend as one message."""
        if self.socket is not None:
            self.socket.send(data, text=text)
            if not self.socket.writable:
                self._relay.pause()

    def end(self, code: int, text: str = "") -> None:
        """Say the last word; what the browser sends until it answers is still delivered."""
        if self.socket is not None:
            self.socket.close(code, text)

    def end_backend(self) -> None:
        """Nothing waits for the backend any more: listen, for the browser's close."""
        self._backend_gone = True
        self._unconsumed = 0
        self._hold()

    def _hold(self) -> None:
        """Read the browser only while the backend keeps up."""
        hold = self._unconsumed > PENDING_MAX_BYTES
        if self.socket is None or hold == self._held:
            return
        self._held = hold
        if hold:
            self.socket.pause_reading()
        else:
            self.socket.resume_reading()


class RawPage:
    """The relay's side: what the backend sends goes to the WebSocket."""

    def __init__(self, peer: RawPeer, allow: Allow) -> None:
        self._peer = peer
        decoder = getincrementaldecoder("utf-8")(errors="replace")
        self._text = decoder if allow.frames == "text" else None

    def opened(self, remote: tuple[str, int], local: tuple[str, int]) -> None:
        """The browser is told by the first byte only: the convention has no other word."""

    def data(self, data: bytes) -> None:
        if self._text is None:
            self._peer.forward(data, text=False)
        else:
            self._forward_text(self._text.decode(data))

    def eof(self) -> None:
        if self._text is not None:
            self._forward_text(self._text.decode(b"", final=True))
        self._peer.end(NORMAL)

    def closed(self, code: Code, text: str) -> None:
        self._peer.end(NORMAL if code is Code.CLEAN else FAILED, text)
        self._peer.end_backend()

    def consumed(self, count: int) -> None:
        self._peer.consumed(count)

    def _forward_text(self, text: str) -> None:
        if text:
            self._peer.forward(text.encode(), text=True)
