"""How does a page in memory reach the server: over a WebSocket, a stream, or polls?

Each carrier joins a client's core to the real links of the server, without a network: the
test decides what arrives. The three have one face, so that one test runs over each.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import NOT_DONE_YET

from sockproxy.codes import HelloTlv, Mode
from sockproxy.core import frames, varint
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.front import Visitor
from sockproxy.links.http import Down, Up
from sockproxy.links.websocket import WebSocketLink
from tests.memory import ORIGIN, Page, Server

KINDS = ("websocket", "stream", "poll")
PEER = "192.0.2.1"
UP_ROOM_BYTES = 64 * 1024
TURNS = 1000


class PlainSocket:
    """A WebSocket that remembers what was said on it."""

    def __init__(self) -> None:
        self.writable = True
        self.sent: list[bytes] = []
        self.ended: int | str | None = None

    def send(self, data: bytes, *, text: bool = False) -> None:
        assert self.ended is None, "said something after the end"
        self.sent.append(data)

    def close(self, code: int, reason: str = "") -> None:
        self.ended = code

    def abort(self) -> None:
        self.ended = "abort"

    def pause_reading(self) -> None:
        raise AssertionError("a shared link is never paused")

    def resume_reading(self) -> None:
        raise AssertionError("a shared link is never paused")

    def take(self) -> list[bytes]:
        sent, self.sent = self.sent, []
        return sent

    def frames(self) -> list[Any]:
        decoder = frames.Decoder(frames.MAX_SERVER_DATA_BYTES)
        return [frames.parse(raw) for data in self.sent for raw in decoder.feed(data)]


class PlainRequest:
    """A POST that remembers how it was answered."""

    method = b"POST"

    def __init__(self, body: bytes, origin: str | None = ORIGIN, peer: str = PEER) -> None:
        self.content = BytesIO(body)
        self.requestHeaders = Headers({b"Host": [b"gw.example"]})
        if origin is not None:
            self.requestHeaders.setRawHeaders(b"Origin", [origin.encode()])
        self.peer = peer
        self.status = 200
        self.headers: dict[bytes, bytes] = {}
        self.written = b""
        self.finished = False
        self.producer: Any = None
        self.channel: Any = self
        self.transport = self
        self.aborted = False
        self._done: list[Deferred[None]] = []

    # As twisted.web has it.

    def getClientAddress(self) -> IPv4Address:
        return IPv4Address("TCP", self.peer, 50_000)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "198.51.100.1", 8080)

    def isSecure(self) -> bool:
        return False

    def setResponseCode(self, code: int) -> None:
        self.status = code

    def setHeader(self, name: bytes | str, value: bytes | str) -> None:
        self.headers[_bytes(name).lower()] = _bytes(value)

    def notifyFinish(self) -> Deferred[None]:
        self._done.append(Deferred())
        return self._done[-1]

    def write(self, data: bytes) -> None:
        assert not self.finished, "written after the end"
        self.written += data

    def finish(self) -> None:
        assert not self.finished, "finished twice"
        assert self.producer is None
        self.finished = True
        done, self._done = self._done, []
        for deferred in done:
            deferred.callback(None)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def abortConnection(self) -> None:
        self.aborted = True
        self.lose()

    # What the test does.

    def render(self, resource: Up | Down) -> PlainRequest:
        answer = resource.render(self)  # type: ignore[arg-type]  # as much of one as is used
        if answer != NOT_DONE_YET:
            assert isinstance(answer, bytes)
            self.written += answer
            self.finished = True
        return self

    def lose(self) -> None:
        """The connection under the request is gone."""
        if self.finished:
            return
        self.finished = True
        done, self._done = self._done, []
        for deferred in done:
            deferred.errback(Failure(ConnectionLost()))

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written

    def frames(self) -> list[Any]:
        decoder = frames.Decoder(frames.MAX_SERVER_DATA_BYTES)
        return [frames.parse(raw) for raw in decoder.feed(self.written)]


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


class Carrier:
    """The way of one page to the server."""

    def __init__(self, server: Server, page: Page, origin: str | None = ORIGIN) -> None:
        self.server = server
        self.page = page
        self.origin = origin

    def attach(self) -> None:
        """Start the next link, up to what the server answers at once."""
        raise NotImplementedError

    def hear(self) -> int:
        """Let the page hear what is under way; return how many bytes that was."""
        raise NotImplementedError

    def say(self) -> int:
        """Let the server hear what the page has to say; return how many bytes that was."""
        raise NotImplementedError

    def lose(self) -> None:
        """Lose the link, with all that is under way."""
        raise NotImplementedError

    def exchange(self) -> None:
        """Carry bytes both ways until nobody has any."""
        for _ in range(TURNS):
            if not self.hear() + self.say():
                return
        raise AssertionError("they never stop talking")

    def connect(self) -> None:
        self.attach()
        self.exchange()


class OverWebSocket(Carrier):
    """One WebSocket."""

    inbound: Inbound
    outbound: Outbound
    make_socket: type[PlainSocket] = PlainSocket

    def attach(self) -> None:
        visitor = Visitor(self.origin, "gw.example", PEER, ("sockproxy.v1",))
        self.link, self.socket = WebSocketLink(self.server.hub, visitor), self.make_socket()
        self.link.opened(self.socket)
        self.inbound, self.outbound = self.page.attach.hello(0, self._tlvs())
        self.link.message(self.page.core.next_message(self.outbound), text=False)

    def hear(self) -> int:
        messages = self.socket.take()
        for message in messages:
            self.page.happened += self.page.core.receive_message(self.inbound, message)
        return sum(map(len, messages))

    def say(self) -> int:
        message = self.page.core.next_message(self.outbound)
        if message and self.socket.ended is None:
            self.link.message(message, text=False)
        return len(message)

    def lose(self) -> None:
        self.link.closed(1006, "")

    def _tlvs(self) -> frames.Tlvs:
        return {HelloTlv.TICKET: self.page.ticket.encode()} if self.page.ticket else {}


class OverHttp(Carrier):
    """POSTs: one DOWN that waits, and an UP whenever there is something to say."""

    mode = Mode.STREAM

    def __init__(self, server: Server, page: Page, origin: str | None = ORIGIN) -> None:
        super().__init__(server, page, origin)
        self.ups = self.downs = 0
        self.down: PlainRequest | None = None
        self.inbound: Inbound | None = None

    def attach(self) -> None:
        self.ups, self.downs = 0, 1
        tlvs = self._tlvs()
        if self.page.ticket:
            tlvs[HelloTlv.TICKET] = self.page.ticket.encode()
        self.inbound, outbound = self.page.attach.hello(1, tlvs)
        self.down = self.post_down(self.page.core.next_message(outbound, UP_ROOM_BYTES))

    def next_down(self) -> None:
        """Issue the DOWN that goes on where the page has heard to."""
        self.downs += 1
        self.inbound = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_DOWN)
        self.down = self.post_down(self.page.attach.short(self.downs, self._tlvs()))
        self.page.core.acked()

    def post_down(self, body: bytes) -> PlainRequest:
        return PlainRequest(body, self.origin).render(Down(self.server.hub))

    def post_up(self, body: bytes) -> PlainRequest:
        return PlainRequest(body, self.origin).render(Up(self.server.hub))

    def up_body(self) -> bytes:
        """Return the body of the next UP, from the first frame that is not acknowledged."""
        self.ups += 1
        core = self.page.core
        rest = core.next_message(Outbound(None, core.log.first), UP_ROOM_BYTES)
        return self.page.attach.short(self.ups) + rest

    def hear(self) -> int:
        down = self.down
        if down is None or self.inbound is None:
            return 0
        body = down.take()
        happened = self.page.core.receive(self.inbound, body)
        if down.finished:
            self.next_down()
        self.page.happened += happened
        return len(body)

    def say(self) -> int:
        core = self.page.core
        busy = core.attention or core.ready or core.local or core.log.entries
        if not busy and core.ack_due_s() != 0.0:
            return 0
        reply = self.post_up(self.up_body()).take()
        inbound = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_REPLY)
        self.page.happened += core.receive(inbound, reply)
        return len(reply)

    def lose(self) -> None:
        down, self.down = self.down, None
        if down is not None:
            down.lose()

    def _tlvs(self) -> frames.Tlvs:
        return {HelloTlv.MODE: varint.encode(self.mode)}


class OverPolls(OverHttp):
    """A DOWN is answered whole; the test's clock lets its moment pass."""

    mode = Mode.POLL

    def hear(self) -> int:
        self.server.reactor.advance(0.006)
        down = self.down
        return super().hear() if down is not None and down.finished else 0


def carrier(kind: str, server: Server, page: Page, origin: str | None = ORIGIN) -> Carrier:
    made = {"websocket": OverWebSocket, "stream": OverHttp, "poll": OverPolls}[kind]
    return made(server, page, origin)
