"""How does a WebSocket carry a session?

One WebSocket is one link: its first frame is HELLO, within a time and a size, before
anything is allocated; every message holds whole frames. What a message means is the
session's business, who may attach the hub's.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from sockproxy import tasks
from sockproxy.codes import Code, close_code
from sockproxy.core import frames
from sockproxy.core.flow import BEFORE_WELCOME_BYTES
from sockproxy.core.session import EARLY_STREAMS
from sockproxy.front import Visitor
from sockproxy.hub import Hub
from sockproxy.links import hello
from sockproxy.links.probe import PROBE_WITHIN_S, Probe
from sockproxy.live import LiveSession
from sockproxy.logs import Logger
from sockproxy.refused import Refused
from sockproxy.upgrade import Greet, Refusal, Socket

SUBPROTOCOL = "sockproxy.v1"
HELLO = bytes((frames.TYPE_OF[frames.Hello],))
# What may follow a HELLO before it is answered, and a message of its headers.
EARLY_MAX_BYTES = EARLY_STREAMS * (BEFORE_WELCOME_BYTES + frames.MAX_BODY_BYTES)


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
        self._probe: Probe | None = None
        # While it is found out who asks: the sequence that does, and what he says meanwhile.
        self._entering: Deferred[None] | None = None
        self._early = b""
        self._deadline: IDelayedCall | None = None

    # As the peer of a socket.

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        shared = self._hub.shared
        origin = self._visitor.origin
        if not shared.policy.origin_known(origin):
            hint = shared.policy.origin_hint(origin)
            self.log.info(
                "refused {origin} from {peer}: {hint}",
                origin=origin,
                peer=self._visitor.peer,
                hint=hint,
            )
            self._refuse(Refused(Code.ORIGIN, hint))
            return
        self._expect_hello(shared.limits.hello_timeout)

    def message(self, data: bytes, text: bool) -> None:
        if text:
            self._fail(Refused(Code.PROTOCOL, "text message, this protocol is binary"))
        elif self._live is not None:
            self._live.received(self, data)
        elif self._entering is not None:
            self._keep(data)
        elif self._socket is not None:
            self._first(data)

    def drained(self) -> None:
        if self._live is not None:
            self._live.flush()

    def closed(self, code: int, reason: str) -> None:
        self._socket = None
        self._disarm()
        self._stop_entering()
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
        self._say_last(frames.encode(frames.End(code, frames.clip(text))), code)

    def bye(self, code: Code, text: str) -> None:
        self._say_last(frames.encode(frames.Bye(code, frames.clip(text))), code)

    def abort(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.abort()

    def tick(self, now: float) -> None:
        """A WebSocket lasts: its silence is the session's to judge."""

    def _first(self, data: bytes) -> None:
        """Take a message of a link that is none yet: HELLO, or what follows a probe's."""
        try:
            if self._probe is not None and not data.startswith(HELLO):
                self._echo(self._probe, data)
            else:
                self._greet(*hello.cut(data))
        except Refused as refused:
            self._refuse(refused)

    def _greet(self, said: frames.Hello, rest: bytes) -> None:
        self._disarm()
        if said.flags & frames.FLAG_PROBE and self._probe is None:
            hello.check_version(said)
            self._expect_hello(PROBE_WITHIN_S)
            self._probe = Probe()
            self._echo(self._probe, rest)
            return
        self._early = rest
        entering = tasks.start(self._enter(said), "letting a link in").addCallback(self._entered)
        if not entering.called and self._socket is not None:
            self._entering = entering
            self._socket.pause_reading()

    async def _enter(self, said: frames.Hello) -> None:
        """Let the link in when it is known who asks, then take what he has said meanwhile."""
        visitor, shown = self._visitor, hello.shown(said, self._visitor)
        try:
            auth = self._hub.shared.auth
            asker = await auth.identify(visitor.asker(), shown, said.sid)
            self._live = self._hub.attach(said, self, asker, shown)
        except Refused as refused:
            self._listen()
            self._refuse(refused)
            return
        visitor.entry.served()
        early, self._early = self._early, b""
        if early:
            self._live.received(self, early)
        self._listen()

    def _listen(self) -> None:
        """Read on, if nothing was read while it was found out who asks."""
        waited, self._entering = self._entering, None
        if waited is not None and self._socket is not None:
            self._socket.resume_reading()

    def _entered(self, _: None) -> None:
        """A fault of ours, which the log tells, lets nobody in and keeps nobody waiting."""
        if self._live is None and self._socket is not None:
            self._listen()
            self._refuse(Refused(Code.INTERNAL, "internal error"))

    def _keep(self, data: bytes) -> None:
        """Hold what was under way when reading was paused."""
        self._early += data
        if len(self._early) > EARLY_MAX_BYTES:
            text = f"{len(self._early)} bytes before WELCOME, above {EARLY_MAX_BYTES}"
            self._refuse(Refused(Code.TOO_BIG, text))

    def _echo(self, probe: Probe, data: bytes) -> None:
        said = probe.answer(data)
        if said:
            self.send(said)

    def _fail(self, refused: Refused) -> None:
        if self._live is not None:
            self._live.end(refused.code, refused.text)
        else:
            self._refuse(refused)

    def _expect_hello(self, timeout_s: float) -> None:
        self._deadline = self._hub.shared.clock.callLater(timeout_s, self._late, timeout_s)

    def _late(self, timeout_s: float) -> None:
        self._deadline = None
        self._refuse(Refused(Code.TIMEOUT, f"no HELLO within {timeout_s:g} s"))

    def _refuse(self, refused: Refused) -> None:
        hello.note(refused, self._visitor)
        self._say_last(hello.refusal(refused), refused.code)

    def _say_last(self, frame: bytes, code: Code) -> None:
        socket, self._socket = self._socket, None
        self._disarm()
        if self._stop_entering() and socket is not None:
            # Or its close would not be heard.
            socket.resume_reading()
        if socket is not None:
            socket.send(frame)
            socket.close(close_code(code), code.name.lower())

    def _stop_entering(self) -> bool:
        """Return whether it was being found out who asks, which is not wanted any more."""
        entering, self._entering = self._entering, None
        if entering is not None:
            entering.cancel()
        return entering is not None

    def _disarm(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()


def greeter(hub: Hub) -> Greet:
    """Return what decides on an upgrade to a native session."""

    async def greet(visitor: Visitor) -> WebSocketLink | Refusal:
        if SUBPROTOCOL not in visitor.offered:
            return Refusal(400, f"this URL speaks the WebSocket subprotocol {SUBPROTOCOL}")
        return WebSocketLink(hub, visitor)

    return greet
