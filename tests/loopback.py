"""How does a test speak HTTP and WebSocket by hand to a real site on loopback?"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

reactor: Any = global_reactor
WAIT_S = 10.0

HEAD = (
    "GET {path} HTTP/1.1",
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def head(path: str, *more: str, without: str = "") -> bytes:
    """Return an upgrade request, less the line that starts with `without`."""
    lines = [line.format(path=path) for line in HEAD if not without or not line.startswith(without)]
    return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")


def masked(
    opcode: int, payload: bytes, *, final: bool = True, mask: bool = True, key: bytes = b""
) -> bytes:
    """Return one frame of a client (RFC 6455 section 5.2), under a fresh key unless told."""
    first = (0x80 if final else 0) | opcode
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        length = bytes((bit | len(payload),))
    elif len(payload) < 1 << 16:
        length = bytes((bit | 126,)) + len(payload).to_bytes(2, "big")
    else:
        length = bytes((bit | 127,)) + len(payload).to_bytes(8, "big")
    if not mask:
        return bytes((first,)) + length + payload
    key = key or os.urandom(4)
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return bytes((first,)) + length + key + body


@dataclass(slots=True)
class Frame:
    """One frame of a server."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        return int.from_bytes(self.payload[:2], "big")


class Wire(Protocol):
    """A TCP connection whose bytes a test writes and reads."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None
        self._waiters: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        self._look()

    async def until(self, check: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Wait until `check` holds; looked at whenever this wire hears something."""
        if check():
            return
        waiter: Deferred[None] = Deferred()
        item = (check, waiter)
        self._waiters.append(item)
        try:
            await waiter.addTimeout(timeout_s, reactor)
        finally:
            if item in self._waiters:
                self._waiters.remove(item)

    def _look(self) -> None:
        for item in list(self._waiters):
            if item[0]():
                self._waiters.remove(item)
                item[1].callback(None)

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """Return the status of the HTTP answer and its head."""
        await self.until(lambda: b"\r\n\r\n" in self.received or self.lost is not None)
        found, _, self.received = self.received.partition(b"\r\n\r\n")
        return int(found.split()[1]), found

    async def frame(self) -> Frame:
        """Return the server's next frame."""
        await self.until(lambda: cut(self.received) is not None or self.lost is not None)
        first = cut(self.received)
        assert first is not None, f"connection lost before a frame: {self.lost}"
        found, size = first
        self.received = self.received[size:]
        return found

    async def gone(self) -> None:
        await self.until(lambda: self.lost is not None)

    async def close(self) -> None:
        """Leave at once."""
        if self.lost is None and self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]
            await self.gone()


def cut(data: bytes) -> tuple[Frame, int] | None:
    """Return the first frame of a server in `data` and its size, None while it is not whole."""
    if len(data) < 2:
        return None
    length, at = data[1] & 0x7F, 2
    if length == 126:
        length, at = int.from_bytes(data[2:4], "big"), 4
    elif length == 127:
        length, at = int.from_bytes(data[2:10], "big"), 10
    if len(data) < at + length:
        return None
    return Frame(data[0] & 0x0F, data[at : at + length]), at + length


@asynccontextmanager
async def site(root: Resource) -> AsyncIterator[int]:
    """Serve a resource tree on a free port and give its number."""
    port = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()


@asynccontextmanager
async def backend(protocol: Callable[[], Protocol]) -> AsyncIterator[int]:
    """Serve a protocol on a free port and give its number."""
    factory = ServerFactory.forProtocol(protocol)
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()


@asynccontextmanager
async def wire(port: int, own: str = "127.0.0.1", kind: type[Wire] = Wire) -> AsyncIterator[Wire]:
    """Connect to a port of this machine, from an address of this machine."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=(own, 0))
    connected = await connectProtocol(endpoint, kind())
    try:
        yield connected
    finally:
        await connected.close()


async def turn() -> None:
    """Let the reactor run once."""
    await deferLater(reactor, 0)


async def settle(check: Callable[[], bool]) -> None:
    """Let the reactor run until `check` holds."""
    for _ in range(int(WAIT_S / 0.005)):
        if check():
            return
        await deferLater(reactor, 0.005)
    raise AssertionError("it did not settle")
