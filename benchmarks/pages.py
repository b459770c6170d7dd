"""Who plays the browser?

`Page` is the tests' native client, which also uploads without keeping all in memory;
`RawPage` is a WebSocket to `/raw/<backend>`.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import deferLater
from zope.interface import implementer

from benchmarks.backends import LENGTHS_BYTES
from benchmarks.data import CHUNK_BYTES, chunk
from benchmarks.server import ORIGIN
from tests.integration.http_native import HttpNativeClient

QUEUED_MAX_BYTES = 256 * 1024
DIGESTS_BYTES = 64
LOOK_S = 0.02

Send = Callable[[bytes], None]


def lengths(up_bytes: int, down_bytes: int) -> bytes:
    """Return what asks `exchange` for so many bytes."""
    half = LENGTHS_BYTES // 2
    return up_bytes.to_bytes(half, "big") + down_bytes.to_bytes(half, "big")


class Upload:
    """What is still to be sent on a stream; hashes it on the way."""

    def __init__(self, total_bytes: int) -> None:
        self.left = total_bytes
        self.sha256 = sha256()
        self._number = 0

    def next(self) -> bytes:
        data = chunk(self._number)[: min(CHUNK_BYTES, self.left)]
        self._number += 1
        self.left -= len(data)
        self.sha256.update(data)
        return data


class Download:
    """What comes back from `exchange`: hashes it, and keeps the digests at its end."""

    def __init__(self, total_bytes: int) -> None:
        self.left = total_bytes
        self.sha256 = sha256()
        self.tail = b""

    def take(self, data: bytes) -> None:
        body = data[: self.left]
        self.left -= len(body)
        self.sha256.update(body)
        self.tail += data[len(body) :]

    @property
    def done(self) -> bool:
        return not self.left and len(self.tail) == DIGESTS_BYTES

    def agrees(self, upload: Upload) -> bool:
        """Whether both ends saw the same bytes in both directions."""
        return self.tail == upload.sha256.digest() + self.sha256.digest()


class Page(HttpNativeClient):
    """A session whose uploads are fed as they leave."""

    def __init__(self, reactor: Any, port: int) -> None:
        super().__init__(reactor, port, origin=ORIGIN)
        self.uploads: dict[int, Upload] = {}

    def flush(self) -> None:
        for stream, upload in list(self.uploads.items()):
            while upload.left and self.core.queued(stream) < QUEUED_MAX_BYTES:
                self.core.write(stream, upload.next())
            if not upload.left:
                del self.uploads[stream]
        super().flush()

    def sent(self, stream: int) -> int:
        """Bytes of a stream that credit let go."""
        return self.core.streams[stream].credit.sent


@implementer(IPushProducer)
class RawPage(WebSocketClientProtocol):  # type: ignore[misc]  # autobahn is untyped
    """One WebSocket that is one TCP stream."""

    def __init__(self) -> None:
        super().__init__()
        self.ready: Deferred[None] = Deferred()
        self.on_data: Send = lambda data: None
        self.upload = Upload(0)
        self.sent = 0
        self._full = False

    def onOpen(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.ready.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.on_data(payload)

    def send(self, data: bytes) -> None:
        self.sent += len(data)
        self.sendMessage(data, isBinary=True)

    def feed(self) -> None:
        """Send what the connection takes."""
        while self.upload.left and not self._full:
            self.send(self.upload.next())

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        self.feed()

    def stopProducing(self) -> None:
        self._full = True

    # Without autobahn's coloured debug lines.

    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        self.transport.write(data)


async def raw_page(reactor: Any, port: int, backend: str) -> RawPage:
    """Connect to `/raw/<backend>`."""
    url = f"ws://127.0.0.1:{port}/raw/{backend}"
    factory = WebSocketClientFactory(url, origin=ORIGIN, protocols=["binary"], reactor=reactor)
    factory.protocol = RawPage
    page: Any = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
    await page.ready
    assert isinstance(page, RawPage)
    return page


async def settle(reactor: Any, check: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait until `check` holds."""
    end = reactor.seconds() + timeout_s
    while not check():
        if reactor.seconds() > end:
            raise TimeoutError(f"not within {timeout_s:g} s")
        await deferLater(reactor, LOOK_S)
