"""What do the applications at both ends write, read and see end?

`Traffic` plays the page and the backends, and remembers for each stream what went in and
what came out, so that every promise about bytes can be looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sockproxy.codes import Code
from sockproxy.core import events
from sockproxy.core.session import Session

STREAM_WINDOW = 16 * 1024


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


class Traffic:
    """The streams of one session, as their applications see them."""

    def __init__(self, client: Session, random: Callable[[int], bytes]) -> None:
        self.client = client
        self.server: Session | None = None
        self.random = random
        self.lives: dict[int, Life] = {}
        self.at_server: dict[int, Life] = {}
        self.past: list[Life] = []
        self.pending: dict[int, list[Life]] = {}

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

    def client_acts(self, happened: list[events.Event]) -> None:
        for event in happened:
            match event:
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

    def open(self) -> None:
        if len(self.lives) >= 6:
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

    def check(self) -> None:
        """I1 and I3, and I6 as the applications see it."""
        for life in (*self.lives.values(), *self.at_server.values()):
            for half in (life.up, life.down):
                assert half.written.startswith(half.delivered), "I1: a prefix of what was written"
            assert len(life.ends) <= 1, "I3: one end"
        self.check_held(self.client, self.lives, up=True)
        if self.server is not None:
            self.check_held(self.server, self.at_server, up=False)

    def check_held(self, session: Session, lives: dict[int, Life], up: bool) -> None:
        for stream in session.streams.values():
            life = lives.get(stream.id)
            if life is not None:
                held = life.down.held if up else life.up.held
                assert held <= stream.window.size, "I6: the receiver's bound"
