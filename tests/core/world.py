"""Two ends of a session, and everything that a network can do to them.

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

STREAM_WINDOW = 16 * 1024
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
class Half:
    """One direction of one stream, from its two ends."""

    written: bytearray = field(default_factory=bytearray)
    delivered: bytearray = field(default_factory=bytearray)
    eof_written: bool = False
    eof_seen: bool = False
    held: int = 0


@dataclass
class Life:
    """One incarnation of a stream id."""

    id: int
    up: Half = field(default_factory=Half)
    down: Half = field(default_factory=Half)
    asked: int = 0
    answered: bool = False
    finished: Code | None = None
    ends: list[int] = field(default_factory=list)
    reset: bool = False
    stopped: bool = False


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
        self.lives: dict[int, Life] = {}
        self.at_server: dict[int, Life] = {}
        self.past: list[Life] = []
        self.pending: dict[int, list[Life]] = {}
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
            self.server_acts(self.server.receive(server_in, message))
        except LinkError:
            assert link.http, "a WebSocket has no holes"
            self.server_acts(self.server.take_events())

    def hello_heard(self, link: Link, hello: frames.Hello) -> bool:
        """Play the hub: return whether the rest of the message is listened to."""
        check_hello(hello)
        if self.gate is None:
            if self.made or not hello.flags & frames.FLAG_CREATE:
                return False
            self.made += 1
            server = Session(Role.SERVER, WINDOWS, lambda: self.now)
            self.gate = ServerAttach(server, hello.sid)
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
            self.client_acts(link, self.client.receive(pipe, message))
        except LinkError:
            assert link.http, "a WebSocket has no holes"
            self.client_acts(link, self.client.take_events())
        if (cut_at is not None and not link.http) or (cut_at is not None and pipe.welcome_due):
            self.cut()

    # What the ends do about events.

    def server_acts(self, happened: list[events.Event]) -> None:
        server = self.server
        assert server is not None
        for event in happened:
            match event:
                case events.OpenRequested():
                    self.server_opens(event)
                case events.DataReceived():
                    life = self.at_server[event.stream]
                    life.up.delivered += event.data
                    life.up.held += len(event.data)
                case events.EofReceived():
                    self.at_server[event.stream].up.eof_seen = True
                case events.ResetReceived():
                    life = self.at_server[event.stream]
                    assert life.reset, f"stream {event.stream} reset by nobody: {event.text}"
                    if life.finished is None:
                        life.finished = Code.ABORTED
                        server.finish(event.stream, Code.ABORTED, abort=True)
                case events.StopReceived():
                    assert self.at_server[event.stream].stopped

    def server_opens(self, event: events.OpenRequested) -> None:
        life = self.pending[event.stream].pop(0)
        life.asked += 1
        assert life.asked == 1, "one OPEN is one backend"
        assert (event.host, event.port) == (f"life-{id(life)}", 1)
        self.at_server[event.stream] = life

    def client_acts(self, link: Link, happened: list[events.Event]) -> None:
        for event in happened:
            match event:
                case events.Welcomed():
                    link.answered = True
                case events.DataReceived():
                    life = self.lives[event.stream]
                    assert not life.ends
                    life.down.delivered += event.data
                    life.down.held += len(event.data)
                case events.EofReceived():
                    self.lives[event.stream].down.eof_seen = True
                case events.StreamClosed():
                    self.client_ended(event)

    def client_ended(self, event: events.StreamClosed) -> None:
        life = self.lives.pop(event.stream)
        life.ends.append(event.code)
        self.past.append(life)
        if event.code == Code.CLEAN:
            assert life.up.delivered == life.up.written
            assert life.up.eof_seen
            if not life.stopped:
                assert life.down.delivered == life.down.written
                assert life.down.eof_seen

    # What applications do.

    def open(self) -> None:
        if self.lost or len(self.lives) >= 6:
            return
        life = Life(0)
        life.id = self.client.open(f"life-{id(life)}", 1)
        assert life.id not in self.lives, "an id is used once at a time"
        self.lives[life.id] = life
        self.pending.setdefault(life.id, []).append(life)

    def pick(self, number: int, server: bool) -> Life | None:
        lives = self.at_server if server else self.lives
        sessions = self.server if server else self.client
        ids = [i for i in lives if sessions is not None and i in sessions.streams]
        return lives[ids[number % len(ids)]] if ids else None

    def write(self, number: int, size: int, server: bool) -> None:
        life = self.pick(number, server)
        session = self.server if server else self.client
        if life is None or session is None or life.reset:
            return
        half = life.down if server else life.up
        closing = half.eof_written or life.finished is not None
        if closing or (server and (not life.answered or life.stopped)):
            return
        if session.queued(life.id) > 2 * STREAM_WINDOW:
            return
        data = self.random(size)
        half.written += data
        session.write(life.id, data)

    def end_half(self, number: int, server: bool) -> None:
        life = self.pick(number, server)
        session = self.server if server else self.client
        if life is None or session is None or life.reset or life.finished is not None:
            return
        half = life.down if server else life.up
        if half.eof_written or (server and not life.answered):
            return
        half.eof_written = True
        session.write_eof(life.id)

    def consume(self, number: int, server: bool) -> None:
        life = self.pick(number, server)
        session = self.server if server else self.client
        if life is None or session is None:
            return
        half = life.up if server else life.down
        session.consume(life.id, half.held)
        half.held = 0

    def answer(self, number: int, refuse: bool) -> None:
        """The server's backend is there, or is not."""
        life, server = self.pick(number, True), self.server
        if life is None or server is None or life.answered or life.finished is not None:
            return
        if refuse:
            life.finished = Code.REFUSED
            server.finish(life.id, Code.REFUSED, "refused")
        else:
            life.answered = True
            server.opened(life.id, ("192.0.2.1", 1), ("192.0.2.2", 2))

    def finish(self, number: int) -> None:
        """The server's backend is gone in order: both halves have ended."""
        life, server = self.pick(number, True), self.server
        if life is None or server is None or life.finished is not None:
            return
        if life.up.eof_seen and (life.down.eof_written or life.stopped) and life.answered:
            life.finished = Code.CLEAN
            server.finish(life.id, Code.CLEAN)

    def break_backend(self, number: int) -> None:
        """The server's backend resets: what was read goes first."""
        life, server = self.pick(number, True), self.server
        if life is None or server is None or life.finished is not None:
            return
        life.finished = Code.BACKEND_RESET
        server.finish(life.id, Code.BACKEND_RESET, "reset")

    def reset(self, number: int) -> None:
        life = self.pick(number, False)
        if life is None or life.reset:
            return
        life.reset = True
        end = self.client.reset(life.id, Code.ABORTED, "enough")
        if end is not None:
            self.pending[life.id].remove(life)
            self.client_ended(end)

    def stop(self, number: int) -> None:
        life = self.pick(number, False)
        if life is None or life.reset:
            return
        life.stopped = True
        self.client.stop(life.id)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def lose_server(self) -> None:
        """The server's state is gone; every stream that it may have heard of is lost."""
        self.gate, self.current = None, None
        self.cut()
        self.lost = True
        for end in self.client.lose():
            life = self.lives[end.stream]
            assert end.acked <= len(life.up.delivered), "acked was delivered"
            self.client_ended(end)

    # Invariants.

    def check(self) -> None:
        for life in (*self.lives.values(), *self.at_server.values()):
            for half in (life.up, life.down):
                assert half.written.startswith(half.delivered), "I1: a prefix of what was written"
            assert len(life.ends) <= 1, "I3: one end"
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
            life = (self.lives if up else self.at_server).get(stream.id)
            if life is not None:
                held = life.down.held if up else life.up.held
                assert held <= stream.window.size, "I6: the receiver's bound"

    # Stretches.

    def flood(self, number: int, server: bool, deliver: bool) -> None:
        """One end writes and writes, the other does not read, or nothing arrives."""
        for other in range(4):
            self.open()
            self.answer(number + other, False)
        for turn in range(40):
            self.write(number + turn % 4, 5000, server)
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
            lambda: self.consume(number, True),
            lambda: self.consume(number, False),
            lambda: self.answer(number, False),
            lambda: self.write(number, 3000, True),
            lambda: self.write(number, 3000, False),
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
                    self.consume(number, server)
                    self.end_half(number, server)
                self.answer(number, False)
                self.finish(number)
            self.advance(0.05)
            if not busy and not self.lives and not self.client.log.entries:
                break
        assert not self.lives, f"I2, I10: streams {list(self.lives)} never ended"
        assert not self.client.log.entries
        assert self.server is None or not self.server.streams
