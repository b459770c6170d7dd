"""How does a test talk to the service over HTTP, and move between HTTP and a WebSocket?

`HttpNativeClient` is the native client with a second carrier: a connection for DOWNs and one
for UPs, each with one request at a time, as a page has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from sockproxy.codes import Code, HelloTlv, Mode
from sockproxy.core import events, frames, varint
from sockproxy.core.pipe import Inbound, Outbound
from tests.integration.native import NativeClient

MODES = {"stream": Mode.STREAM, "poll": Mode.POLL}
ROOM_BYTES = 64 * 1024

Take = Callable[[bytes], None]


class Wire(Protocol):
    """A kept connection that makes one POST at a time."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone
        self._rest = b""
        self._left: int | None = None
        self._chunked = False
        self._in_body = False
        self._take: Take = lambda data: None
        self._ended: Callable[[], None] = lambda: None

    def post(
        self, path: str, head: str, body: bytes, take: Take, ended: Callable[[], None]
    ) -> None:
        self._take, self._ended = take, ended
        lines = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        )
        assert self.transport is not None
        self.transport.write(lines.encode() + body)

    def dataReceived(self, data: bytes) -> None:
        self._rest += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Take one piece; return whether there may be another one."""
        if not self._in_body:
            return self._head()
        if self._chunked and self._left is None:
            return self._chunk_head()
        assert self._left is not None
        data, self._rest = self._rest[: self._left], self._rest[self._left :]
        self._left -= len(data)
        if data:
            self._take(data)
        if self._left:
            return False
        if not self._chunked:
            self._end()
        elif self._rest.startswith(b"\r\n"):
            self._rest, self._left = self._rest[2:], None
        else:
            return False
        return bool(self._rest)

    def _head(self) -> bool:
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            return False
        self._rest, self._in_body = rest, True
        words = head.lower()
        self._chunked = b"transfer-encoding: chunked" in words
        self._left = None
        if not self._chunked:
            self._left = int(words.partition(b"content-length:")[2].split()[0])
        return True

    def _chunk_head(self) -> bool:
        line, found, rest = self._rest.partition(b"\r\n")
        if not found:
            return False
        size = int(line, 16)
        if size:
            self._rest, self._left = rest, size
            return True
        if len(rest) < len(b"\r\n"):
            return False
        self._rest = rest[2:]
        self._end()
        return False

    def _end(self) -> None:
        self._in_body, self._left = False, None
        self._ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone()


class HttpCarrier:
    """A link over HTTP, in the hands of its client."""

    def __init__(self, client: HttpNativeClient, mode: str) -> None:
        self.client = client
        self.mode = mode
        self.over = False
        self.welcomed = False
        self.downs = 1
        self.ups = 0
        self.in_flight = 0
        self._wires: list[Wire] = []
        self._body = b""
        self._reply = b""
        self._up_busy = False
        self._inbound: Inbound | None = None

    async def start(self) -> None:
        for _ in range(2):
            endpoint = TCP4ClientEndpoint(self.client.reactor, self.client.host, self.client.port)
            wire = await connectProtocol(endpoint, Wire(self._gone))
            transport: Any = wire.transport
            transport.setTcpNoDelay(True)
            self._wires.append(wire)
        core, attach = self.client.core, self.client.attach
        tlvs = {**self._tlvs(), **self.client.shown()}
        self._inbound, outbound = attach.hello(1, tlvs)
        self._ask(core.next_message(outbound, ROOM_BYTES))

    def close(self) -> None:
        """Abort both connections."""
        self.over = True
        for wire in self._wires:
            transport: Any = wire.transport
            if transport is not None:
                transport.abortConnection()

    def flush(self) -> None:
        if not self.welcomed or self._up_busy or self.over:
            return
        core = self.client.core
        rest = core.next_message(Outbound(None, core.log.first), ROOM_BYTES)
        if not rest:
            return
        self.ups += 1
        self._up_busy = True
        self._post(
            1, "up", self.client.attach.short(self.ups) + rest, self._reply_bytes, self._replied
        )

    def say_last(self, frame: bytes) -> None:
        """Say one frame in an UP of its own; what it answers is not heard."""
        self.ups += 1
        body = self.client.attach.short(self.ups) + frame
        self._post(1, "up", body, lambda data: None, self._left)

    def _left(self) -> None:
        self.close()
        self.client.http_gone(self)

    def _tlvs(self) -> frames.Tlvs:
        return {HelloTlv.MODE: varint.encode(MODES[self.mode])}

    def _post(
        self, wire: int, way: str, body: bytes, take: Take, ended: Callable[[], None]
    ) -> None:
        origin = self.client.origin
        head = f"Origin: {origin}\r\n" if origin else ""
        self.in_flight += 1
        self.client.in_flight_max = max(self.client.in_flight_max, self.in_flight)
        self.client.requests += 1
        self._wires[wire].post(f"/sp/_/{way}", head, body, take, ended)

    def _ask(self, body: bytes) -> None:
        self._body = b""
        self._post(0, "down", body, self._down_bytes, self._down_ended)

    def _down_bytes(self, data: bytes) -> None:
        if self.mode == "poll" or self.over:
            self._body += data
        else:
            self._hear(data)

    def _down_ended(self) -> None:
        self.in_flight -= 1
        if self.over:
            return
        body, self._body = self._body, b""
        happened = self._parse(body) if body else []
        if not self.over:
            self._next_down()
        self._tell(happened)

    def _next_down(self) -> None:
        self.downs += 1
        self._inbound = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_DOWN)
        self._ask(self.client.attach.short(self.downs, self._tlvs()))
        self.client.core.acked()

    def _hear(self, data: bytes) -> None:
        self._tell(self._parse(data))

    def _parse(self, data: bytes) -> list[events.Event]:
        assert self._inbound is not None
        happened = self.client.core.receive(self._inbound, data)
        self.welcomed = self.welcomed or not self._inbound.welcome_due
        for event in happened:
            if isinstance(event, events.LinkEnded):
                self.mode = "poll" if event.code == Code.POLL_ADVISED else self.mode
            if isinstance(event, events.Refused | events.SessionEnded):
                self.over = True
        return happened

    def _tell(self, happened: list[events.Event]) -> None:
        if self.client.http is self:
            self.client.told(happened)

    def _reply_bytes(self, data: bytes) -> None:
        self._reply += data

    def _replied(self) -> None:
        self.in_flight -= 1
        self._up_busy = False
        reply, self._reply = self._reply, b""
        if self.over:
            return
        inbound = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_REPLY)
        self._tell(self.client.core.receive(inbound, reply))

    def _gone(self) -> None:
        self.over = True
        self.client.http_gone(self)


class HttpNativeClient(NativeClient):
    """One session with the service, over whichever link the test says."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.http: HttpCarrier | None = None
        self.past: list[HttpCarrier] = []
        self.in_flight_max = 0
        self.requests = 0

    async def connect_by(self, kind: str) -> None:
        """Attach by the next link: websocket, stream or poll; welcomed when this returns."""
        welcomes = len(self.of(events.Welcomed))
        if kind == "websocket":
            await self.connect()
        else:
            await self.connect_http(kind)
        await self.until(lambda: len(self.of(events.Welcomed)) > welcomes)

    def carrier_opened(self, carrier: Any) -> None:
        self._leave_http()
        super().carrier_opened(carrier)

    async def connect_http(self, mode: str) -> None:
        """Attach by HTTP; the older link is left when the new one says HELLO."""
        http = HttpCarrier(self, mode)
        older = self.carrier
        self._leave_http()
        self.http = http
        self.past.append(http)
        self.carrier = None
        self._inbound = self._outbound = None
        await http.start()
        if older is not None:
            older.transport.abortConnection()

    def told(self, happened: list[events.Event]) -> None:
        for event in happened:
            self._note(event)
        self.flush()
        self._check()

    def flush(self) -> None:
        if self.http is None:
            super().flush()
            return
        self.http.flush()
        due = self.core.ack_due_s()
        if due is not None and due > 0 and self._timer is None:
            self._timer = self.reactor.callLater(due, self._late)

    def http_gone(self, http: HttpCarrier) -> None:
        if self.http is http:
            self.http = None
            self.close_code = 0
        self._check()

    def leave(self) -> None:
        """End the session by BYE, and the link behind it."""
        bye = frames.encode(frames.Bye(Code.ABORTED, ""))
        if self.http is not None:
            self.http.say_last(bye)
        else:
            self.send_raw(bye)

    def _leave_http(self) -> None:
        http, self.http = self.http, None
        if http is not None:
            http.close()

    def kill(self) -> None:
        self._leave_http()
        super().kill()

    def close(self) -> None:
        super().close()
        for http in self.past:
            http.close()
