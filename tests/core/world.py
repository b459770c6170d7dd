"""What can a network do to the two ends of a session?

The client's core and the server's core talk over links that a test controls: a WebSocket
that is cut with whatever is under way, or HTTP bodies that are lost, cut, doubled, late,
overtaken by their successors or answered in vain. The owner's part (which link is listened
to, what is a new session) is played as `hub` and `links` play it. `check` looks at the
invariants of docs/protocol.md section 6 after every step.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from sockproxy.codes import Code, WelcomeTlv
from sockproxy.core import events, frames
from sockproxy.core.attach import ClientAttach, ServerAttach, check_hello
from sockproxy.core.errors import LinkError
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.ring import Verdict
from sockproxy.core.session import Role, Session, Windows
from tests.core.traffic import STREAM_WINDOW, Traffic

SESSION_WINDOW = 24 * 1024
WINDOWS = Windows(STREAM_WINDOW, 4 * STREAM_WINDOW, 16 * STREAM_WINDOW, SESSION_WINDOW)
TLVS = {
    WelcomeTlv.STREAM_WINDOW: STREAM_WINDOW,
    WelcomeTlv.SESSION_WINDOW_UP: SESSION_WINDOW,
    WelcomeTlv.LINGER_S: 120,
}
ROOM = 8 * 1024
FRAME_MAX = 16 * 1024 + 80
LATE_MAX = 12


@dataclass
class Link:
    """One carrier and what is under way on it; over HTTP each message is one body."""

    number: int
    http: bool
    to_server: list[bytes] = field(default_factory=list)
    to_client: list[bytes] = field(default_factory=list)
    client_in: Inbound | None = None
    client_out: Outbound | None = None
    server_in: Inbound | None = None
    server_out: Outbound | None = None
    secret: bytes = b""
    answered: bool = False
    request: int = 0
    last_request: int = 0


class World:
    """Everything, with a verb for each thing that may happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self.random = random.Random(1).randbytes
        self.client = Session(Role.CLIENT, WINDOWS, lambda: self.now)
        self.attach = ClientAttach(self.client, self.random)
        self.gate: ServerAttach | None = None
        self.made = 0
        self.link: Link | None = None
        self.current: Link | None = None
        self.old: list[Link] = []
        self.late: list[tuple[Link, bytes]] = []
        self.traffic = Traffic(self.client, self.random)
        self.offsets: dict[tuple[bool, int], bytes] = {}
        self.acked = {True: 0, False: 0}
        self.lost = False

    @property
    def server(self) -> Session | None:
        return self.gate.session if self.gate else None

    # Links.

    def connect(self, http: bool) -> None:
        """The client starts a new link; nothing of an older one is listened to."""
        if self.lost:
            return
        if self.link is not None:
            self.old.append(self.link)
        secret = self.attach._secret
        inbound, outbound = self.attach.hello()
        self.link = Link(self.attach.link, http, client_in=inbound, client_out=outbound)
        self.link.secret = secret
        self.link.to_server.append(self.client.next_message(outbound, ROOM))

    def cut(self) -> None:
        """The newest link is gone with all that is under way on it."""
        if self.link is not None:
            self.link.to_server.clear()
            self.link.to_client.clear()
            self.link = None

    def client_says(self) -> None:
        """The client sends what it has: a message, or the body of an UP."""
        link = self.link
        if link is None or link.client_out is None or (link.to_server and link.http):
            return
        if not link.http:
            message = self.client.next_message(link.client_out, ROOM)
            if message:
                link.to_server.append(message)
            return
        if link.answered:
            self.post(link)

    def post(self, link: Link) -> None:
        """Build an UP: HELLO's short form, then the log from its first unacked frame."""
        link.request += 1
        hello = frames.Hello(
            1, 0, link.number, link.request, self.client.rx, self.attach.sid, link.secret
        )
        body = self.client.next_message(Outbound(None, self.client.log.first), ROOM)
        link.to_server.append(frames.encode(hello) + body)

    def server_says(self) -> None:
        """The server sends what it has: a message, or a DOWN."""
        link, server = self.current, self.server
        if link is None or server is None or link.server_out is None:
            return
        out = Outbound(None, server.log.first) if link.http else link.server_out
        message = server.next_message(out, ROOM)
        if message:
            link.to_client.append(message)

    def to_server(self, lose: bool = False, keep: bool = False) -> None:
        """Deliver, lose or double the oldest message on its way up."""
        link = self.link
        if link is None or not link.to_server:
            return
        message = link.to_server.pop(0)
        if keep and link.http:
            self.keep(link, message)
        if not lose:
            self.server_hears(link, message)
        elif not link.http:
            self.cut()

    def to_client(self, lose: bool = False, cut_at: int | None = None) -> None:
        """Deliver, lose or cut the oldest message on its way down."""
        link = self.link
        if link is None or not link.to_client:
            return
        message = link.to_client.pop(0)
        if lose and not link.http:
            self.cut()
        elif not lose:
            self.client_hears(link, message if cut_at is None else message[:cut_at], cut_at)

    def keep(self, link: Link, message: bytes) -> None:
        """A proxy keeps a body, to say it again when nobody wants it any more."""
        self.late.append((link, message))
        del self.late[:-LATE_MAX]

    def replay(self, number: int) -> None:
        """A proxy says an old body again."""
        if self.late:
            link, message = self.late[number % len(self.late)]
            self.server_hears(link, message)

    def zombie(self, number: int, up: bool) -> None:
        """An older link delivers what was under way on it."""
        if not self.old:
            return
        link = self.old[number % len(self.old)]
        queue = link.to_server if up else link.to_client
        if not queue:
            return
        message = queue.pop(0)
        if up:
            self.server_hears(link, message)
        else:
            self.client_hears(link, message, None)

    def server_hears(self, link: Link, message: bytes) -> None:
        raw = frames.first(message, frames.MAX_CLIENT_DATA_BYTES)
        hello = frames.parse(raw) if raw is not None and raw.kind == 0x05 else None
        if raw is not None and isinstance(hello, frames.Hello):
            message = message[raw.size :]
            if not self.hello_heard(link, hello):
                return
            server_in = link.server_in
            if link.http and hello.request:
                server_in = Inbound(frames.MAX_CLIENT_DATA_BYTES)
        else:
            server_in = link.server_in
        if link is not self.current or server_in is None or self.server is None:
            return
        try:
            self.traffic.server_acts(self.server.receive(server_in, message))
        except LinkError:
            assert link.http, "a WebSocket has no holes"
            self.traffic.server_acts(self.server.take_events())

    def hello_heard(self, link: Link, hello: frames.Hello) -> bool:
        """Play the hub: return whether the rest of the message is listened to."""
        check_hello(hello)
        if self.gate is None:
            if self.made or not hello.flags & frames.FLAG_CREATE:
                return False
            self.made += 1
            server = Session(Role.SERVER, WINDOWS, lambda: self.now)
            self.gate = ServerAttach(server, hello.sid)
            self.traffic.server = server
        if hello.request:
            return self.continued(link, hello)
        code = self.gate.judge(hello)
        assert code is not Code.SECRET_REUSE, "an honest client is never taken for a thief"
        if code is not None:
            return False
        link.server_in, link.server_out = self.gate.admit(hello, self.random(32), TLVS)
        self.current = link
        if link.http:
            self.server_says()
        return True

    def continued(self, link: Link, hello: frames.Hello) -> bool:
        """Whether an UP belongs to the current link, and is not older than another."""
        assert self.gate is not None
        verdict = self.gate.ring.judge(hello.link, hello.secret)
        if verdict is not Verdict.CONTINUE or hello.request <= link.last_request:
            return False
        link.last_request = hello.request
        return True

    def client_hears(self, link: Link, message: bytes, cut_at: int | None) -> None:
        if link is not self.link or link.client_in is None:
            return
        pipe = link.client_in
        if link.http and not pipe.welcome_due:
            pipe = Inbound(frames.MAX_SERVER_DATA_BYTES)
        try:
            self.client_told(link, self.client.receive(pipe, message))
        except LinkError:
            assert link.http, "a WebSocket has no holes"
            self.client_told(link, self.client.take_events())
        if (cut_at is not None and not link.http) or (cut_at is not None and pipe.welcome_due):
            self.cut()

    def client_told(self, link: Link, happened: list[events.Event]) -> None:
        link.answered = link.answered or any(type(e) is events.Welcomed for e in happened)
        self.traffic.client_acts(happened)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def lose_server(self) -> None:
        """The server's state is gone: every stream that it may have heard of is lost."""
        self.gate, self.current = None, None
        self.cut()
        self.lost = True
        ends = self.client.lose()
        for end in ends:
            delivered = self.traffic.lives[end.stream].up.delivered
            assert end.acked <= len(delivered), "what was acked was delivered"
        self.traffic.server = None
        self.traffic.client_acts(list(ends))

    # Invariants.

    def check(self) -> None:
        self.traffic.check()
        self.check_end(self.client, True)
        if self.server is not None:
            self.check_end(self.server, False)
            assert self.server.rx <= self.client.log.next
            assert self.client.rx <= self.server.log.next
        assert self.made <= 1, "I15: one create makes at most one session"

    def check_end(self, session: Session, up: bool) -> None:
        log = session.log
        assert log.charged <= log.window + FRAME_MAX, "I5: the log is bounded"
        assert log.window <= SESSION_WINDOW
        assert log.base >= self.acked[up], "I7: acks go forward"
        self.acked[up] = log.base
        for entry in log.entries:
            start = entry.end - len(entry.data)
            known = self.offsets.setdefault((up, start), entry.data)
            assert known == entry.data, "I8: an offset denotes the same bytes for ever"
        for stream in session.streams.values():
            assert stream.credit.sent <= stream.credit.max, "I6: the sender's bound"

    # Stretches.

    def flood(self, number: int, server: bool, deliver: bool) -> None:
        """One end writes and writes, the other does not read, or nothing arrives."""
        for other in range(4):
            self.traffic.open()
            self.traffic.answer(number + other, False)
        for turn in range(40):
            self.traffic.write(number + turn % 4, 5000, server)
            self.client_says()
            self.server_says()
            if deliver:
                self.to_server()
                self.to_client()
            self.check()

    def healthy_step(self, number: int) -> None:
        """One thing that a healthy network and busy applications do."""
        verbs = (
            self.client_says,
            self.server_says,
            self.to_server,
            self.to_client,
            lambda: self.traffic.consume(number, True),
            lambda: self.traffic.consume(number, False),
            lambda: self.traffic.answer(number, False),
            lambda: self.traffic.write(number, 3000, True),
            lambda: self.traffic.write(number, 3000, False),
            lambda: self.advance(0.03),
        )
        verbs[number % len(verbs)]()

    def heal(self) -> None:
        """Stop all faults, keep a link up, read everything: I2 and I10."""
        if self.lost:
            return
        self.connect(http=False)
        for _ in range(3000):
            self.client_says()
            self.server_says()
            busy = bool(self.link and (self.link.to_server or self.link.to_client))
            while self.link and self.link.to_server:
                self.to_server()
            while self.link and self.link.to_client:
                self.to_client()
            for number in range(6):
                for server in (True, False):
                    self.traffic.consume(number, server)
                    self.traffic.end_half(number, server)
                self.traffic.answer(number, False)
                self.traffic.finish(number)
            self.advance(0.05)
            if not busy and not self.traffic.lives and not self.client.log.entries:
                break
        assert not self.traffic.lives, f"I2, I10: streams {list(self.traffic.lives)} never ended"
        assert not self.client.log.entries
        assert self.server is None or not self.server.streams
