"""How is one WebSocket one TCP stream? (The convention of websockify.)

Frames have no meaning of their own: what a read of the backend gave is one message, what
a message holds is written. A close frame is what comes nearest to a FIN: the backend's
end is told by one at once, and what the page had sent before it knew still arrives. A
WebSocket that is lost without one is a reset, so that an upload that was cut off never
looks complete. Nothing is resumed; for that there is the native session.
"""

from __future__ import annotations

from codecs import getincrementaldecoder

from sockproxy.auth.shown import Shown
from sockproxy.auth.standing import Standing
from sockproxy.codes import Code
from sockproxy.front import Visitor
from sockproxy.hub import Hub, who
from sockproxy.logs import Logger
from sockproxy.policy.access import Allow, Asker, Deny
from sockproxy.policy.target import BadTarget, parse
from sockproxy.refused import Refused
from sockproxy.relay import Relay
from sockproxy.streams import Shared
from sockproxy.upgrade import ABNORMAL, Greet, Peer, Refusal, Socket
from sockproxy.usage import RETRY_S, Seat

log = Logger(__name__)

PENDING_MAX_BYTES = 64 * 1024

NORMAL = 1000
POLICY = 1008
FAILED = 1011
TRY_AGAIN = 1013
# What there is too much of now.
PASSING = (Code.BUSY, Code.QUOTA)
CLOSE_CODES = {Code.CLEAN: NORMAL, **dict.fromkeys(PASSING, TRY_AGAIN)}


def greeter(name: str, hub: Hub) -> Greet:
    """Return what decides on an upgrade to the backend of this name."""

    auth = hub.shared.auth

    async def greet(visitor: Visitor) -> Peer | Refusal:
        shown = Shown(visitor.ticket, visitor.cookies)
        # A ticket that is good for one session is good for this one, to which nobody comes back.
        owner = object()
        try:
            asker = await auth.identify(visitor.asker(), shown, owner)
            seat = _seat(name, hub, asker)
        except BadTarget as error:
            return Refusal(404, str(error))
        except Refused as refused:
            seat = Deny(refused.code, refused.text)
        if isinstance(seat, Deny):
            log.info(
                "raw {backend} for {origin} from {peer} denied: {reason}",
                backend=name,
                origin=visitor.origin,
                peer=visitor.peer,
                reason=seat.why or seat.reason,
            )
            passing = seat.code in PASSING
            return Refusal(503 if passing else 403, seat.reason, RETRY_S if passing else 0)
        peer = RawPeer(seat, choose(visitor.offered), hub.shared)
        peer.standing = auth.enter(asker, shown, owner, peer.expel)
        visitor.entry.served()
        return peer

    return greet


def _seat(name: str, hub: Hub, asker: Asker) -> Seat | Deny:
    """Return a place at a backend, or why there is none. Raises `BadTarget`."""
    target = parse(name, 0)
    share = hub.usage.alone(who(asker))
    answer = share.knock() or hub.shared.policy.decide(asker, target)
    return answer if isinstance(answer, Deny) else share.seat(answer, asker.caps)


def choose(offered: tuple[str, ...]) -> str | None:
    """Return the subprotocol: `binary` if offered, else the first one, else none."""
    if "binary" in offered:
        return "binary"
    return offered[0] if offered else None


class RawPeer:
    """The WebSocket's side: what the browser sends goes to the relay."""

    pings = True

    def __init__(self, seat: Seat, subprotocol: str | None, shared: Shared) -> None:
        self.subprotocol = subprotocol
        self.socket: Socket | None = None
        self.standing: Standing | None = None
        self._relay = Relay(RawPage(self, seat.allow), shared.opening, seat, shared.clock)
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
        if self.standing is not None:
            self.standing.leave()
        if code != ABNORMAL:
            self._relay.write_eof()
        self._relay.finish()

    def expel(self, code: Code, text: str) -> None:
        """The browser's user is not welcome any more."""
        self.end(POLICY, text)
        self._relay.reset(code, text)

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
        self._peer.end(CLOSE_CODES.get(code, FAILED), text)
        self._peer.end_backend()

    def consumed(self, count: int) -> None:
        self._peer.consumed(count)

    def _forward_text(self, text: str) -> None:
        if text:
            self._peer.forward(text.encode(), text=True)
