"""What can a network do between a page and its server? What a test says, at the byte it says.

A page in memory over the carriers of `tests.links`, whose bytes pass a `Wire` each way: it
breaks the link after so many bytes. What is under way can be held until a test lets it land,
also on a link that has been replaced; what went up can be said again; and a middlebox can
answer in the server's place.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from sockproxy.codes import Code, Mode
from sockproxy.core import events, frames
from sockproxy.core.errors import LinkError
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.front import Visitor
from sockproxy.links.http import Down, Up
from sockproxy.links.websocket import WebSocketLink
from sockproxy.live import LiveSession
from tests.links.carriers import (
    PEER,
    UP_ROOM_BYTES,
    OverHttp,
    OverWebSocket,
    PlainRequest,
    PlainSocket,
)
from tests.memory import Page, Server

TURNS = 10_000
POLL_TURN_S = 0.006
TOO_LARGE = 413


@dataclass
class Wire:
    """One way: what passes before it breaks, everything where `left` is None."""

    left: int | None = None
    passed: int = 0
    numbered: int = 0

    @property
    def broken(self) -> bool:
        return self.left == 0

    def carry(self, data: bytes) -> bytes:
        """Return what of `data` arrives; behind its last byte the link breaks."""
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        self.passed += len(data)
        return data


@dataclass(frozen=True)
class Middlebox:
    """Answers an UP in the server's place, which got it or not."""

    status: int
    page: bytes = b"<html><h1>Bad Gateway</h1></html>"
    forwards: bool = False


class Socket(OverWebSocket):
    """A WebSocket: of a message that is cut nothing arrives."""

    def __init__(self, net: Network) -> None:
        super().__init__(net.server, net.page)
        self.net = net
        self.gone = False
        self.under_way: deque[bytes] = deque()

    def attach(self) -> None:
        visitor = Visitor(self.origin, "gw.example", PEER, ("sockproxy.v1",))
        self.link, self.socket = WebSocketLink(self.server.hub, visitor), PlainSocket()
        self.link.opened(self.socket)
        self.inbound, self.outbound = self.page.attach.hello()
        self.say()

    def say(self) -> int:
        self.land()
        message = b"" if self.gone else self.page.core.next_message(self.outbound)
        if message:
            self.under_way.append(message)
        if not self.net.lags:
            self.land()
        return len(message)

    def land(self) -> None:
        """Let arrive what is under way up."""
        while self.under_way and not self.gone:
            message = self.under_way.popleft()
            if self.net.up.carry(message) == message:
                self.net.said(self.net.up, message)
                self.link.message(message, text=False)
            if self.net.up.broken:
                self.lose()

    def hear(self) -> int:
        messages = self.socket.take()
        for message in messages:
            self.net.said(self.net.down, message)
            if self.gone or self.net.way is not self:
                continue
            if self.net.down.carry(message) == message:
                self._told(message)
            if self.net.down.broken:
                self.lose()
        return sum(map(len, messages))

    @property
    def told(self) -> bool:
        """Whether the server has said its last."""
        return self.socket.ended is not None

    def hold(self, held: bool) -> None:
        """Let the server's messages wait, or go in one."""
        self.socket.writable = not held
        if not held:
            self.link.drained()

    def lose(self) -> None:
        self.gone = True
        super().lose()

    def _told(self, message: bytes) -> None:
        happened = self.page.core.receive_message(self.inbound, message)
        self.page.happened += happened
        self.gone = self.gone or self.net.is_over(happened)


class Posts(OverHttp):
    """POSTs. The worst case everywhere: a body that is cut is served all the same."""

    def __init__(self, net: Network, mode: Mode) -> None:
        super().__init__(net.server, net.page)
        self.net = net
        self.mode = mode
        self.gone = False
        self.welcomed = False
        self.under_way: bytes | None = None
        # What a path that lags by a piece has not let through.
        self.kept = b""
        self.room = UP_ROOM_BYTES
        # Every UP and every DOWN, for a proxy that says it again.
        self.bodies: list[bytes] = []
        self.asked: list[bytes] = []

    def attach(self) -> None:
        self.welcomed = False
        super().attach()

    def next_down(self) -> None:
        self.gone = False
        super().next_down()

    def post_down(self, body: bytes) -> PlainRequest:
        self.asked.append(body)
        return self._post(body, Down(self.server.hub))

    def _post(self, body: bytes, resource: Up | Down) -> PlainRequest:
        passed = self.net.up.carry(body)
        self.net.said(self.net.up, passed)
        request = PlainRequest(passed)
        if passed:
            request.render(resource)
        if self.net.up.broken:
            request.lose()
            request.take()
            self.gone = True
        return request

    def post_up(self, body: bytes) -> PlainRequest:
        """Send an UP to wherever it goes."""
        self.bodies.append(body)
        box = self.net.middleboxes.popleft() if self.net.middleboxes else None
        if box is None and len(body) > self.net.largest_post:
            box = Middlebox(TOO_LARGE)
        if box is not None and not box.forwards:
            request = PlainRequest(body)
        else:
            request = self._post(body, Up(self.server.hub))
        if box is not None:
            request.status, request.written = box.status, box.page
        return request

    def again(self, body: bytes, kind: type[Up | Down] = Up) -> list[Any]:
        """Say a body again, as a proxy does; the page hears nothing of the answer."""
        return PlainRequest(body).render(kind(self.server.hub)).frames()

    def hear(self) -> int:
        if self.mode is Mode.POLL:
            self.server.reactor.advance(POLL_TURN_S)
        down = self.down
        if down is None or self.inbound is None or self.gone:
            return 0
        if self.mode is Mode.POLL and not down.finished:
            return 0
        body = down.take()
        self.net.said(self.net.down, body)
        if self.net.way is not self:
            return len(body)
        body = self._let_through(body, down.finished)
        happened = self._told(self.inbound, self.net.down.carry(body))
        self.welcomed = self.welcomed or not self.inbound.welcome_due
        if self.net.down.broken:
            self.gone = True
            down.lose()
        if down.finished and not self.gone and not self.net.is_over(happened):
            self.next_down()
        return len(body)

    def _let_through(self, piece: bytes, finished: bool) -> bytes:
        if not self.net.trails or finished:
            piece, self.kept = self.kept + piece, b""
        elif piece:
            piece, self.kept = self.kept, piece
        return piece

    def up_body(self) -> bytes:
        self.ups += 1
        core = self.page.core
        rest = core.next_message(Outbound(None, core.log.first), self.room)
        return self.page.attach.short(self.ups) + rest

    def say(self) -> int:
        before = self.under_way
        self.land()
        core = self.page.core
        busy = core.attention or core.ready or core.local or core.log.entries
        idle = not busy and core.ack_due_s() != 0.0
        if before is not None or idle or self.gone or not self.welcomed:
            return len(before or b"")
        self.under_way = self.up_body()
        size = len(self.under_way)
        if not self.net.lags:
            self.land()
        return size

    def land(self) -> None:
        """Let arrive the UP that is under way, and its answer."""
        body, self.under_way = self.under_way, None
        if body is None or self.gone:
            return
        request = self.post_up(body)
        if request.status == TOO_LARGE and len(body) > self.net.largest_post:
            self.room //= 2
        if self.net.way is self and not self.gone:
            inbound = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_REPLY)
            self._told(inbound, self.net.down.carry(request.take()))
            self.gone = self.gone or self.net.down.broken

    @property
    def told(self) -> bool:
        return self.down is None or self.down.finished

    def hold(self, held: bool) -> None:
        """Let what the server says wait, or go at once; a poll gathers by itself."""
        if self.down is None or self.mode is Mode.POLL:
            return
        if held:
            self.down.producer.pauseProducing()
        else:
            self.down.producer.resumeProducing()

    def lose(self) -> None:
        self.gone = True
        super().lose()

    def _told(self, inbound: Inbound, body: bytes) -> list[events.Event]:
        core = self.page.core
        try:
            happened = core.receive(inbound, body)
        except LinkError:
            happened = core.take_events()
            self.net.strange += 1
        self.page.happened += happened
        for event in happened:
            if isinstance(event, events.LinkEnded) and event.code == Code.POLL_ADVISED:
                self.mode = Mode.POLL
        self.gone = self.gone or self.net.is_over(happened)
        return happened


Way = Socket | Posts


class Network:
    """One page, one server, and what is between them."""

    def __init__(self, kind: str, server: Server | None = None, seed: int = 7) -> None:
        self.server = server or Server()
        self.page = Page(self.server, seed=seed)
        self.up, self.down = Wire(), Wire()
        # Whether what goes up waits for the next turn, and so may land on a replaced link.
        self.lags = False
        self.counts = False
        self.middleboxes: deque[Middlebox] = deque()
        self.largest_post = 2**30
        # Whether a stream's last piece waits for the next one.
        self.trails = False
        # Answers that were not the server's.
        self.strange = 0
        self.kind = kind
        self.way: Way = self.made(kind)

    def made(self, kind: str) -> Way:
        if kind == "websocket":
            return Socket(self)
        return Posts(self, Mode.STREAM if kind == "stream" else Mode.POLL)

    @property
    def live(self) -> LiveSession:
        """The session at the server."""
        return self.server.hub._live[self.page.attach.sid]

    def switch(self, kind: str | None = None) -> Way:
        """Start a new link and return the old one, which nobody has told anything."""
        older = self.way
        self.way = self.made(kind or self.kind)
        self.way.attach()
        return older

    def recover(self, fresh: bool = True) -> None:
        """The network is well again: ask on where that is possible, unless `fresh`."""
        self.up.left = self.down.left = None
        way = self.way
        if isinstance(way, Posts) and way.welcomed and not fresh:
            way.next_down()
        else:
            self.switch()

    def turn(self) -> int:
        """Carry once each way; return how many bytes that were."""
        return self.way.hear() + self.way.say()

    def exchange(self) -> None:
        """Carry bytes both ways until nobody has any, or the link is gone."""
        for _ in range(TURNS):
            if self.way.gone or not self.turn():
                return
        raise AssertionError("they never stop talking")

    def connect(self) -> None:
        self.switch()
        self.exchange()

    def tick(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time pass, with the server's look at the clock."""
        for _ in range(round(seconds / step_s)):
            self.server.reactor.advance(step_s)
            self.server.hub.sweep()

    def said(self, wire: Wire, data: bytes) -> None:
        """Count the numbered bytes that an end said, whether or not they arrive."""
        if self.counts:
            decoder = frames.Decoder(frames.MAX_SERVER_DATA_BYTES)
            found = decoder.feed(data)
            assert not decoder.pending_bytes
            wire.numbered += sum(raw.size for raw in found if raw.kind >= frames.FIRST_NUMBERED)

    def is_over(self, happened: list[events.Event]) -> bool:
        """Whether the server wants no more of this link."""
        return any(
            isinstance(event, events.Refused | events.SessionEnded)
            or (isinstance(event, events.LinkEnded) and event.code not in ONE_ANSWER)
            for event in happened
        )


# These end an answer, not the link.
ONE_ANSWER = (Code.POLL_ADVISED, Code.SUPERSEDED)
