"""How does a link join a session? (docs/protocol.md section 3.)

Creating, resuming after a loss and moving to another carrier are one operation: "here is
link number n; I hold your log up to rx". The client draws the id and the first secret,
so that a lost answer or a race of two links can never make two sessions.

Nothing of a link older than the newest HELLO is listened to: its owner drops the pipe.
"""

from __future__ import annotations

from collections.abc import Callable

from sockproxy.codes import Code, WelcomeTlv
from sockproxy.core import frames, varint
from sockproxy.core.errors import LinkError, PeerError
from sockproxy.core.frames import tlv_int
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.ring import SecretRing, Verdict
from sockproxy.core.session import Session

VERSION = 1


class ClientAttach:
    """The client's side: which link is the newest, and what its HELLO says."""

    def __init__(self, session: Session, random: Callable[[int], bytes]) -> None:
        self.session = session
        self.sid = random(frames.SID_BYTES)
        self.link = 0
        self.known = False
        self.linger_s = 0
        self.ping_ms = 0
        self._secret = random(frames.SECRET_BYTES)
        self._attaching = self._secret
        self._out: Outbound | None = None
        session.on_welcome = self._welcomed

    def hello(self, request: int = 0, tlvs: frames.Tlvs | None = None) -> tuple[Inbound, Outbound]:
        """Start the next link. Until its WELCOME only a new session may send frames.

        Over HTTP the first DOWN attaches: its `request` is 1.
        """
        self.link += 1
        session = self.session
        self._out = session.attach(None)
        self._attaching = self._secret
        session.may_number = not self.known
        flags = 0 if self.known else frames.FLAG_CREATE
        session.local[frames.Hello] = self._hello(flags, request, tlvs)
        return Inbound(frames.MAX_SERVER_DATA_BYTES, welcome_due=True), self._out

    def short(self, request: int, tlvs: frames.Tlvs | None = None) -> bytes:
        """Return what begins a request that goes on with the newest link."""
        return frames.encode(self._hello(0, request, tlvs))

    def _hello(self, flags: int, request: int, tlvs: frames.Tlvs | None) -> frames.Hello:
        rx, secret = self.session.rx, self._attaching
        return frames.Hello(VERSION, flags, self.link, request, rx, self.sid, secret, tlvs or {})

    def farewell(self, code: Code, text: str) -> bytes:
        """Return what ends the session from outside of any link, as a page does that leaves."""
        hello = frames.Hello(VERSION, 0, self.link + 1, 1, 0, self.sid, self._secret)
        return frames.encode(hello) + frames.encode(frames.Bye(code, frames.clip(text)))

    def _welcomed(self, frame: frames.Welcome) -> None:
        if frame.link != self.link:
            raise LinkError(f"WELCOME to link {frame.link} on link {self.link}")
        session, tlvs = self.session, frame.tlvs
        session.log.acknowledge(frame.rx)
        if self._out is not None and self._out.position is None:
            self._out.position = frame.rx
        self._secret = frame.next_secret
        self.known = True
        self.linger_s = tlv_int(tlvs, WelcomeTlv.LINGER_S, self.linger_s)
        self.ping_ms = tlv_int(tlvs, WelcomeTlv.PING_MS, self.ping_ms)
        log_max = tlv_int(tlvs, WelcomeTlv.SESSION_WINDOW_UP, session.log.window_max)
        session.log.limit(log_max)
        session.start(tlv_int(tlvs, WelcomeTlv.STREAM_WINDOW, session.initial_credit))


class ServerAttach:
    """The server's side: which HELLO may have this session."""

    def __init__(self, session: Session, sid: bytes) -> None:
        self.session = session
        self.sid = sid
        self.ring = SecretRing()

    @property
    def confirmed(self) -> bool:
        """Whether the client was seen to hold our latest WELCOME."""
        return self.session.ack_seen

    def judge(self, hello: frames.Hello) -> Code | None:
        """Return why this HELLO may not attach, None where it may; lets nothing in yet."""
        if self.session.ack_seen:
            self.ring.confirm()
        verdict = self.ring.judge(hello.link, hello.secret)
        if verdict is Verdict.STOLEN:
            return Code.SECRET_REUSE
        if verdict in (Verdict.STALE, Verdict.CONTINUE):
            return Code.STALE_LINK
        if verdict is Verdict.UNKNOWN or not self.session.log.has_boundary(hello.rx):
            return Code.SESSION_UNKNOWN
        return None

    def may_end(self, hello: frames.Hello) -> bool:
        """Whether this HELLO, of the current link or of one to come, may end the session."""
        return self.ring.judge(hello.link, hello.secret) in (Verdict.ATTACH, Verdict.CONTINUE)

    def judge_request(self, hello: frames.Hello) -> Code | None:
        """Return why this HELLO may not go on with the current link, None where it does."""
        verdict = self.ring.judge(hello.link, hello.secret)
        if verdict is Verdict.CONTINUE:
            # Only a page that holds the WELCOME sends one.
            self.session.ack_seen = True
            return None
        if verdict is Verdict.STOLEN:
            return Code.SECRET_REUSE
        return Code.SESSION_UNKNOWN if verdict is Verdict.UNKNOWN else Code.STALE_LINK

    def go_on(self, hello: frames.Hello) -> Outbound:
        """Let a judged DOWN carry the log from its `rx` on.

        Raises `PeerError` where the client cannot hold the log up to there.
        """
        log = self.session.log
        if hello.rx < log.base:
            raise PeerError(Code.PROTOCOL, f"DOWN at {hello.rx}, {log.base} was acknowledged")
        log.acknowledge(hello.rx)
        return Outbound(hello.rx, log.first)

    def admit(
        self, hello: frames.Hello, next_secret: bytes, tlvs: dict[WelcomeTlv, int]
    ) -> tuple[Inbound, Outbound]:
        """Let a judged HELLO in; its link is the only one from here on."""
        session = self.session
        resumed = frames.FLAG_RESUMED if self.ring.link else 0
        self.ring.admit(hello.link, hello.secret, next_secret)
        session.log.acknowledge(hello.rx)
        out = session.attach(hello.rx)
        session.may_number = True
        session.local[frames.Welcome] = frames.Welcome(
            hello.link,
            session.rx,
            resumed,
            next_secret,
            {number: varint.encode(value) for number, value in tlvs.items()},
        )
        session.ping()
        return Inbound(frames.MAX_CLIENT_DATA_BYTES), out


def check_hello(hello: frames.Hello) -> None:
    """Raise `PeerError` for a HELLO that no session could take."""
    if hello.version != VERSION:
        raise PeerError(Code.VERSION, f"version {hello.version}, this server speaks {VERSION}")
    if hello.link == 0 or not hello.sid or not hello.secret:
        raise PeerError(Code.PROTOCOL, "HELLO without link number, session id or secret")
