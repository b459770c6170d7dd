"""How does a test talk to the service without a browser?

`NativeClient` is the core's client end over a real WebSocket: enough of a page to open
streams, lose its connection, come back and misbehave.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint

from sockproxy.codes import HelloTlv
from sockproxy.core import events
from sockproxy.core.attach import ClientAttach
from sockproxy.core.frames import SECRET_BYTES, Tlvs
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.session import Role, Session, Windows

Check = Callable[[], bool]


class Carrier(WebSocketClientProtocol):  # type: ignore[misc]  # autobahn is untyped
    """A WebSocket that hands everything to its client."""

    client: NativeClient
    deaf = False
    cut_at: int | None = None

    def onOpen(self) -> None:
        self.client.carrier_opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.client.received(self, payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.client.carrier_closed(self, code)

    # Without the coloured debug line that autobahn builds for every read and write.

    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        if sync or chopsize:
            super().sendData(data, sync, chopsize)
        elif self.cut_at is None or self.state != self.STATE_OPEN:
            self.transport.write(data)
        else:
            self._send_some(data, self.cut_at)

    def _send_some(self, data: bytes, most: int) -> None:
        self.transport.write(data[:most])
        self.cut_at = max(0, most - len(data))
        if not self.cut_at:
            # A FIN behind the last byte: an abort would take back what the kernel holds.
            self.transport.loseConnection()


class NativeClient:
    """One session with the service, in the hands of a test."""

    host = "127.0.0.1"

    def __init__(
        self,
        reactor: Any,
        port: int,
        *,
        origin: str | None = "https://app.example",
        windows: Windows | None = None,
        ticket: str = "",
        source: str | None = None,
    ) -> None:
        self.reactor = reactor
        self.source = source
        self.port = port
        self.origin = origin
        self.ticket = ticket
        self.core = Session(Role.CLIENT, windows or Windows(), reactor.seconds)
        self.secrets: list[bytes] = []
        self.attach = ClientAttach(self.core, self._draw)
        self.carrier: Carrier | None = None
        self.carriers: list[Carrier] = []
        self.happened: list[events.Event] = []
        self.data: dict[int, bytearray] = {}
        self.close_code: int | None = None
        self.reading = True
        self.on_data: Callable[[int, bytes], None] | None = None
        self._inbound: Inbound | None = None
        self._outbound: Outbound | None = None
        self._waiters: list[tuple[Check, Deferred[None]]] = []
        self._timer: Any = None

    async def connect(
        self,
        path: str = "/sp/_/ws",
        protocols: tuple[str, ...] = ("sockproxy.v1",),
        *,
        await_welcome: bool = True,
        cut_at: int | None = None,
    ) -> None:
        """Open a WebSocket and say HELLO on it; the older one is forgotten, not closed.

        Without `await_welcome` nothing that comes on it is ever heard. With `cut_at` the
        connection dies when so many bytes of what it says have gone.
        """
        self.close_code = None
        url = f"ws://{self.host}:{self.port}{path}"
        factory = WebSocketClientFactory(
            url, origin=self.origin, protocols=list(protocols), reactor=self.reactor
        )
        factory.setProtocolOptions(openHandshakeTimeout=5, closeHandshakeTimeout=1)
        client = self

        def build() -> Carrier:
            carrier = Carrier()
            carrier.client = client
            carrier.deaf = not await_welcome
            carrier.cut_at = cut_at
            client.carriers.append(carrier)
            return carrier

        factory.protocol = build
        here = (self.source, 0) if self.source is not None else None
        endpoint = TCP4ClientEndpoint(self.reactor, self.host, self.port, bindAddress=here)
        carrier = await endpoint.connect(factory)
        await self.until(lambda: self.carrier is carrier or self.close_code is not None)

    def _draw(self, count: int) -> bytes:
        drawn = os.urandom(count)
        if count == SECRET_BYTES:
            self.secrets.append(drawn)
        return drawn

    def carrier_opened(self, carrier: Carrier) -> None:
        self.carrier = carrier
        carrier.transport.setTcpNoDelay(True)
        self._inbound, self._outbound = self.attach.hello(0, self.shown())
        self.flush()
        self._check()

    def shown(self) -> Tlvs:
        """Return what shows who the user is."""
        return {HelloTlv.TICKET: self.ticket.encode()} if self.ticket else {}

    def received(self, carrier: Carrier, payload: bytes) -> None:
        if carrier is not self.carrier or carrier.deaf or self._inbound is None:
            return
        for event in self.core.receive_message(self._inbound, payload):
            self._note(event)
        self.flush()
        self._check()

    def _note(self, event: events.Event) -> None:
        if not isinstance(event, events.DataReceived):
            self.happened.append(event)
            return
        if self.on_data is not None:
            self.on_data(event.stream, event.data)
        else:
            self.data.setdefault(event.stream, bytearray()).extend(event.data)
        if self.reading:
            self.core.consume(event.stream, len(event.data))

    def carrier_closed(self, carrier: Carrier, code: int | None) -> None:
        if carrier is self.carrier or self.carrier is None:
            self.carrier = None
            self.close_code = code if code is not None else 0
        self._check()

    def flush(self) -> None:
        """Say what there is to say."""
        carrier = self.carrier
        if carrier is None or self._outbound is None or carrier.state != carrier.STATE_OPEN:
            return
        while message := self.core.next_message(self._outbound):
            carrier.sendMessage(message, isBinary=True)
        due = self.core.ack_due_s()
        if due is not None and self._timer is None:
            self._timer = self.reactor.callLater(due, self._late)

    def _late(self) -> None:
        self._timer = None
        self.flush()

    def open(self, host: str, port: int = 0) -> int:
        stream = self.core.open(host, port)
        self.flush()
        return stream

    def write(self, stream: int, data: bytes) -> None:
        self.core.write(stream, data)
        self.flush()

    def write_eof(self, stream: int) -> None:
        self.core.write_eof(stream)
        self.flush()

    def send_raw(self, data: bytes, *, binary: bool = True) -> None:
        """Send what no honest client would."""
        assert self.carrier is not None
        self.carrier.sendMessage(data, isBinary=binary)

    def kill(self) -> None:
        """Lose the connection with an RST, as a broken path does."""
        carrier, self.carrier = self.carrier, None
        self._inbound = self._outbound = None
        if carrier is not None:
            carrier.transport.abortConnection()

    def close(self) -> None:
        """Leave: no timer, no connection."""
        self.kill()
        for carrier in self.carriers:
            carrier.transport.abortConnection()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def of(self, kind: type, stream: int | None = None) -> list[Any]:
        """Events of a kind, of one stream where it is named."""
        return [
            event
            for event in self.happened
            if isinstance(event, kind) and stream in (None, getattr(event, "stream", None))
        ]

    async def until(self, check: Check, timeout_s: float = 20.0) -> None:
        """Wait until `check` holds; it is looked at after everything that happens."""
        if check():
            return
        waiter: Deferred[None] = Deferred()
        self._waiters.append((check, waiter))
        waiter.addTimeout(timeout_s, self.reactor)
        await waiter

    def _check(self) -> None:
        for check, waiter in list(self._waiters):
            if check():
                self._waiters.remove((check, waiter))
                waiter.callback(None)
