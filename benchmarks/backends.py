"""What do the measured streams lead to?

A process of its own with four services on free ports; it prints `{name: port}` first.
`echo` answers, `flood` sends without end, `hold` never reads, and `exchange` reads two
lengths, takes as many bytes as the first says and sends as many as the second, then the
SHA-256 of what it took and of what it sent.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory
from zope.interface import implementer

from benchmarks.data import CHUNK_BYTES, chunk

LENGTHS_BYTES = 16


class Echo(Protocol):
    transport: Any

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Hold(Protocol):
    transport: Any

    def connectionMade(self) -> None:
        self.transport.pauseProducing()


@implementer(IPushProducer)
class Sender(Protocol):
    """Sends `next_data` for as long as there is any, and no faster than it leaves."""

    transport: Any
    paused = False

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)

    def next_data(self) -> bytes:
        raise NotImplementedError

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self.send()

    def stopProducing(self) -> None:
        self.paused = True

    def send(self) -> None:
        while not self.paused and (data := self.next_data()):
            self.transport.write(data)


class Flood(Sender):
    def connectionMade(self) -> None:
        super().connectionMade()
        self.send()

    def next_data(self) -> bytes:
        return chunk(0)


class Exchange(Sender):
    def __init__(self) -> None:
        self._head = b""
        self._taken = sha256()
        self._sent = sha256()
        self._to_take = self._to_send = -1
        self._number = 0

    def dataReceived(self, data: bytes) -> None:
        if self._to_take < 0:
            self._head += data
            if len(self._head) < LENGTHS_BYTES:
                return
            head, data = self._head[:LENGTHS_BYTES], self._head[LENGTHS_BYTES:]
            self._to_take = int.from_bytes(head[:8], "big")
            self._to_send = int.from_bytes(head[8:], "big")
            self.send()
        self._taken.update(data)
        self._to_take -= len(data)
        self._end()

    def next_data(self) -> bytes:
        if self._to_send <= 0:
            return b""
        data = chunk(self._number)[: min(CHUNK_BYTES, self._to_send)]
        self._number += 1
        self._sent.update(data)
        self._to_send -= len(data)
        return data

    def send(self) -> None:
        super().send()
        self._end()

    def _end(self) -> None:
        if self._to_take == self._to_send == 0:
            self._to_take = -1
            self._head = b""
            self._number = 0
            self.transport.write(self._taken.digest() + self._sent.digest())
            self._taken, self._sent = sha256(), sha256()


SERVICES: dict[str, type[Protocol]] = {
    "echo": Echo,
    "flood": Flood,
    "hold": Hold,
    "exchange": Exchange,
}


def main() -> None:
    from twisted.internet import reactor

    listening: Any = reactor
    ports = {}
    for name, protocol in SERVICES.items():
        factory = ServerFactory.forProtocol(protocol)
        factory.noisy = False
        port = listening.listenTCP(0, factory, interface="127.0.0.1", backlog=1024)
        ports[name] = port.getHost().port
    print(json.dumps(ports), flush=True)
    listening.run()


if __name__ == "__main__":
    main()
