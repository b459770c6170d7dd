"""Does a service outlive what is said to it, and forget it?

A real twistd, its backends in this process, where their connections are counted, and a
neighbour: somebody else's session, which echoes all the while and may notice nothing.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as LateError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sockproxy.core import events
from tests import loopback
from tests.fuzz.cases import Case, Ending, Script
from tests.integration import processes
from tests.integration.native import NativeClient

AT_ONCE = 40
# How long somebody who has said all waits for the server to end it.
PATIENCE_S = 0.15
PAUSE_S = 0.01
FORGOTTEN_S = 20.0
FAULT = re.compile(r"^.*(?:Traceback|#critical|#error|Unhandled).*$", re.MULTILINE)
INI = """
[backend echo]
target = tcp:127.0.0.1:{echo}
origins = https://app.example
[backend text]
target = tcp:127.0.0.1:{echo}
origins = https://app.example
frames = text
[backend refused]
target = tcp:127.0.0.1:{refused}
origins = https://app.example
[limits]
linger = 1s
hello_timeout = 1s
sessions_per_address = 100000
connections_per_address = 100000
unauthenticated_per_address = 100000
handshakes_per_s = 100000
handshakes_burst = 100000
failures_per_s = 100000
failures_burst = 100000
address_opens_per_s = 100000
"""


class Stranger(loopback.Wire):
    """A connection that says its script; of what it hears only the beginning is kept."""

    KEPT_BYTES = 4096

    def dataReceived(self, data: bytes) -> None:
        self.received = (self.received + data)[: self.KEPT_BYTES]


class House:
    """The service, and all who use it."""

    def __init__(self, server: processes.Server, open_backends: set[Protocol]) -> None:
        self.server = server
        self.open_backends = open_backends
        self.neighbour = NativeClient(loopback.reactor, server.port)
        self.trips_s: list[float] = []
        self._stream = 0
        self._is_over = False
        self._descriptors = 0

    async def move_in(self) -> None:
        await self.neighbour.connect()
        self._stream = self.neighbour.open("echo")
        await self._trip()
        self._descriptors = self.descriptors()

    async def play(self, cases: Iterator[Case]) -> int:
        """Let strangers play cases, some at once, while the neighbour echoes; count them."""
        self._is_over = False
        echoing = Deferred.fromCoroutine(self._echo())
        players = [Deferred.fromCoroutine(self._player(cases)) for _ in range(AT_ONCE)]
        played = await gatherResults(players, consumeErrors=True)
        self._is_over = True
        await echoing
        return sum(played)

    async def forgets(self) -> None:
        """Wait until nothing is left but the neighbour."""

        def is_clean() -> bool:
            return len(self.open_backends) == 1 and self.descriptors() == self._descriptors

        with suppress(LateError):
            await _until(is_clean)
        assert len(self.open_backends) == 1, "connections to backends are left"
        assert self.descriptors() == self._descriptors, "descriptors are left"

    def undisturbed(self) -> None:
        """Fail unless the neighbour's link and stream are those of the beginning."""
        assert len(self.neighbour.of(events.Welcomed)) == 1
        assert not self.neighbour.of(events.StreamClosed)

    def faults(self) -> list[str]:
        """Return the lines of the log that say that something of ours went wrong."""
        return FAULT.findall(self.server.said())

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.server.pid}/fd").iterdir())

    async def _player(self, cases: Iterator[Case]) -> int:
        played = 0
        for case in cases:
            for script in case.scripts:
                await talk(self.server.port, script)
            played += 1
        return played

    async def _echo(self) -> None:
        while not self._is_over:
            await self._trip()
            await deferLater(loopback.reactor, PAUSE_S)

    async def _trip(self) -> None:
        client, began_s = self.neighbour, loopback.reactor.seconds()
        before = len(client.data.get(self._stream, b""))
        client.write(self._stream, b"still there?")
        await client.until(lambda: len(client.data.get(self._stream, b"")) == before + 12)
        self.trips_s.append(loopback.reactor.seconds() - began_s)


async def talk(port: int, script: Script) -> bytes:
    """Say a script to a server and return the beginning of what it answered."""
    async with loopback.wire(port, kind=Stranger) as wire:
        transport: Any = wire.transport
        transport.setTcpNoDelay(True)
        for portion in script.portions:
            if wire.lost is None:
                transport.write(portion)
                await loopback.turn()
        if wire.lost is None and script.ending is not Ending.RESET:
            await _leave(wire, script.ending)
        return wire.received


async def _leave(wire: loopback.Wire, ending: Ending) -> None:
    transport: Any = wire.transport
    if ending is Ending.FIN:
        transport.loseConnection()
    elif ending is Ending.HALF:
        transport.loseWriteConnection()
    with suppress(LateError):
        await wire.until(lambda: wire.lost is not None, PATIENCE_S)


async def _until(check: Any) -> None:
    deadline_s = loopback.reactor.seconds() + FORGOTTEN_S
    while not check():
        if loopback.reactor.seconds() > deadline_s:
            raise LateError
        await deferLater(loopback.reactor, PAUSE_S)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """Start the service and let the neighbour move in."""
    open_backends: set[Protocol] = set()

    class Echo(Protocol):
        transport: Any

        def connectionMade(self) -> None:
            open_backends.add(self)

        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            open_backends.discard(self)

    async with loopback.backend(Echo) as echo:
        ini = INI.format(echo=echo, refused=processes.free_port())
        with processes.service(folder, ini) as server:
            there = House(server, open_backends)
            try:
                await there.move_in()
                yield there
            finally:
                there.neighbour.close()
        await _until(lambda: not open_backends)
