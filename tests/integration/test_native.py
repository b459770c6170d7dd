"""Does a native session with a real service survive what networks do to it?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sockproxy.codes import Code
from sockproxy.core import events
from tests import loopback
from tests.integration import processes
from tests.integration.native import NativeClient

ORIGIN = "https://app.example"


@implementer(IHalfCloseableProtocol)
class Backend(Protocol):
    """A backend that a test watches and plays; all that were made are in `made`."""

    made: list[Any]
    echoes = False

    def connectionMade(self) -> None:
        type(self).made.append(self)
        self.received = b""
        self.half_closed = False
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self.echoes and self.transport is not None:
            self.transport.write(data)

    def readConnectionLost(self) -> None:
        self.half_closed = True
        if self.transport is not None:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Ours went first."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class World:
    """A service, a backend of it, and the clients of a test."""

    def __init__(self, port: int, kind: type[Backend]) -> None:
        self.port = port
        self.made = kind.made
        self.clients: list[NativeClient] = []

    async def client(self, **options: Any) -> NativeClient:
        made = NativeClient(loopback.reactor, self.port, **options)
        self.clients.append(made)
        await made.connect()
        return made

    async def open(self) -> tuple[NativeClient, int, Any]:
        """Connect, open the backend, and return both ends of the stream."""
        client = await self.client()
        before = len(self.made)
        stream = client.open("there")
        await client.until(lambda: bool(client.of(events.StreamOpened)))
        await loopback.settle(lambda: len(self.made) > before)
        return client, stream, self.made[-1]


@asynccontextmanager
async def world(folder: Path, *, echoes: bool = False, more: str = "") -> AsyncIterator[World]:
    kind: Any = type("Played", (Backend,), {"made": [], "echoes": echoes})
    async with loopback.backend(kind) as backend:
        refused = processes.free_port()
        ini = (
            f"[backend there]\ntarget = tcp:127.0.0.1:{backend}\norigins = {ORIGIN}\n"
            f"[backend refused]\ntarget = tcp:127.0.0.1:{refused}\norigins = {ORIGIN}\n{more}"
        )
        with processes.service(folder, ini) as server:
            made = World(server.port, kind)
            try:
                yield made
            finally:
                for client in made.clients:
                    client.close()
        await loopback.settle(lambda: all(played.lost for played in made.made))


@pytest_twisted.ensureDeferred
async def test_half_closes_go_through_both_ways(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        client, stream, backend = await there.open()
        client.write(stream, b"question")
        client.write_eof(stream)
        await loopback.settle(lambda: backend.half_closed)
        assert backend.received == b"question"
        await client.until(lambda: bool(client.of(events.StreamClosed)))
        assert client.of(events.StreamClosed)[0].code == Code.CLEAN

        client, stream, backend = await there.open()
        backend.transport.write(b"answer")
        backend.transport.loseWriteConnection()
        await client.until(lambda: bool(client.of(events.EofReceived)))
        client.write(stream, b"still heard")
        client.write_eof(stream)
        await loopback.settle(lambda: backend.received == b"still heard")


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (("refused", 0), Code.REFUSED),
        (("nowhere", 0), Code.DENIED),
        (("127.0.0.1", 1), Code.DENIED),
        (("0x7f.1", 80), Code.BAD_TARGET),
        (("localho\u017ft", 80), Code.BAD_TARGET),
        (("there", 65_536), Code.BAD_TARGET),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_opened_says_why(
    tmp_path: Path, target: tuple[str, int], code: Code
) -> None:
    async with world(tmp_path) as there:
        client = await there.client()
        client.open(*target)
        await client.until(lambda: bool(client.of(events.StreamClosed)))
        assert client.of(events.StreamClosed)[0].code == code


@pytest_twisted.ensureDeferred
async def test_a_reset_by_the_backend_comes_behind_its_bytes(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        client, stream, backend = await there.open()
        client.write(stream, b"x")
        await loopback.settle(lambda: backend.received == b"x")
        backend.transport.write(b"last")
        await client.until(lambda: bytes(client.data.get(stream, b"")) == b"last")
        backend.transport.abortConnection()
        await client.until(lambda: bool(client.of(events.StreamClosed)))
        assert client.of(events.StreamClosed)[0].code == Code.BACKEND_RESET


@pytest_twisted.ensureDeferred
async def test_megabytes_echo_while_the_connection_is_killed(tmp_path: Path) -> None:
    data = os.urandom(4 * 1024 * 1024)
    async with world(tmp_path, echoes=True) as there:
        client, stream, _ = await there.open()
        size, killed_at, kills = 0, 300_000, 0
        back = hashlib.sha256()

        def take(_: int, chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            back.update(chunk)

        client.on_data = take
        client.core.write(stream, data)
        client.flush()
        while size < len(data):
            limit = min(killed_at, len(data))
            await client.until(lambda limit=limit: size >= limit)  # type: ignore[misc]
            if size < len(data):
                client.kill()
                kills += 1
                killed_at += 300_000
                await client.connect()
    assert kills >= 5
    assert back.digest() == hashlib.sha256(data).digest()


@pytest_twisted.ensureDeferred
async def test_a_lost_welcome_costs_one_more_link_and_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        client = NativeClient(loopback.reactor, there.port)
        there.clients.append(client)
        stream = client.open("there")
        client.write(stream, b"once")
        # HELLO and its frames go, the answer is never read: the page only knows silence.
        await client.connect(await_welcome=False)
        zombie = client.carrier
        assert zombie is not None
        await loopback.settle(lambda: bool(there.made) and there.made[0].received == b"once")
        client.happened.clear()
        await client.connect()
        await client.until(lambda: client.attach.known)
        client.write(stream, b" and again")
        await loopback.settle(lambda: there.made[0].received == b"once and again")
        await loopback.settle(lambda: zombie.state == zombie.STATE_CLOSED)
        assert len(there.made) == 1, "one OPEN is one backend"
        assert there.made[0].received == b"once and again"


@pytest_twisted.ensureDeferred
async def test_a_stolen_secret_kills_the_session(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        client, _, backend = await there.open()
        thief = await there.client()
        thief.attach.sid, thief.attach._secret = client.attach.sid, bytes(32)
        await thief.connect()
        await thief.until(lambda: bool(thief.of(events.Refused)))
        assert thief.of(events.Refused)[0].code == Code.SESSION_UNKNOWN
        assert backend.lost is None

        first = client.secrets[0]
        await client.connect()
        await client.until(lambda: len(client.of(events.Welcomed)) == 2)
        client.flush()
        await loopback.settle(lambda: client.core.ack_due_s() is None)
        thief.attach.link, thief.attach._secret, thief.attach.known = 50, first, True
        await thief.connect()
        await thief.until(lambda: len(thief.of(events.Refused)) == 2)
        assert thief.of(events.Refused)[1].code == Code.SECRET_REUSE
        await loopback.settle(lambda: backend.lost is not None)


@pytest.mark.parametrize("whole", [True, False], ids=["with its end", "cut off"])
@pytest_twisted.ensureDeferred
async def test_an_expired_upload_looks_whole_only_where_it_is(tmp_path: Path, whole: bool) -> None:
    async with world(tmp_path, more="[limits]\nlinger = 1s\n") as there:
        client, stream, backend = await there.open()
        client.write(stream, b"upload")
        if whole:
            client.write_eof(stream)
        await loopback.settle(lambda: backend.received == b"upload")
        client.kill()
        await loopback.settle(lambda: backend.lost is not None)
        assert backend.half_closed is whole


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
@pytest_twisted.ensureDeferred
async def test_a_foreign_page_is_refused_by_name(tmp_path: Path, origin: str | None) -> None:
    async with world(tmp_path) as there:
        client = NativeClient(loopback.reactor, there.port, origin=origin)
        there.clients.append(client)
        client.open("there")
        await client.connect()
        await client.until(lambda: bool(client.of(events.Refused)))
        assert client.of(events.Refused)[0].code == Code.ORIGIN
        await client.until(lambda: client.close_code == 4035)
        assert not there.made
