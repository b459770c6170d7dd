"""Does a real service refuse what is too much, cheaply, while who is in notices nothing?"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest_twisted

from tests import loopback
from tests.integration import processes
from tests.integration.native import NativeClient
from tests.integration.test_native import Backend

ORIGIN = "https://app.example"
FILE = b"GET /sockproxy.js HTTP/1.1\r\nHost: gw.example\r\n%s\r\n"
DESCRIPTORS = 256
CROWD = 400


class House:
    """A service with a page in it, whose stream is echoed."""

    def __init__(self, server: processes.Server) -> None:
        self.server = server
        self.port = server.port
        self.page = NativeClient(loopback.reactor, server.port)
        self._stream = 0

    async def move_in(self) -> None:
        await self.page.connect()
        self._stream = self.page.open("there")
        await self.undisturbed()

    async def undisturbed(self) -> None:
        before = len(self.page.data.get(self._stream, b""))
        self.page.write(self._stream, b"still there?")
        await self.page.until(lambda: len(self.page.data.get(self._stream, b"")) == before + 12)
        assert len(self.page.carriers) == 1


@asynccontextmanager
async def house(folder: Path, more: str, descriptors: int | None = None) -> AsyncIterator[House]:
    kind: Any = type("Played", (Backend,), {"made": [], "echoes": True})
    async with loopback.backend(kind) as backend:
        ini = f"[backend there]\ntarget = tcp:127.0.0.1:{backend}\norigins = {ORIGIN}\n{more}"
        with processes.service(folder, ini, descriptors=descriptors) as server:
            made = House(server)
            try:
                await made.move_in()
                yield made
                await made.undisturbed()
            finally:
                made.page.close()
        await loopback.settle(lambda: all(played.lost for played in kind.made))


async def asked(wire: loopback.Wire, more: bytes = b"") -> tuple[int, bytes]:
    """Ask for a file and return status and head."""
    wire.send(FILE % more)
    return await wire.answer()


async def upgraded(wire: loopback.Wire, client: str) -> tuple[int, bytes]:
    """Ask for a raw stream as a proxy does for a client, and return status and head."""
    said = (f"Origin: {ORIGIN}", f"X-Forwarded-For: {client}")
    wire.send(loopback.head("/raw/there", *said))
    return await wire.answer()


@contextmanager
def crowd(port: int) -> Iterator[list[socket.socket]]:
    """Begin many connections that say nothing; those that are not accepted wait."""
    held = [socket.socket() for _ in range(CROWD)]
    try:
        for one in held:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield held
    finally:
        for one in held:
            one.close()


@pytest_twisted.ensureDeferred
async def test_one_connection_too_many_is_told_when_to_come_again(tmp_path: Path) -> None:
    limits = "[limits]\nconnections_per_address = 4\n"
    async with house(tmp_path, limits) as there, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(loopback.wire(there.port)) for _ in range(3)]
        for wire in wires:
            assert (await asked(wire))[0] == 200
        for _ in range(20):
            async with loopback.wire(there.port) as late:
                status, head = await asked(late)
                assert status == 503
                assert b"\r\nRetry-After: 2" in head
            await there.undisturbed()
        await wires[0].close()
        async with loopback.wire(there.port) as again:
            assert (await asked(again))[0] == 200

    refused = re.findall(r"refused 127.0.0.1: more than 4 .*", there.server.said())
    assert refused == ["refused 127.0.0.1: more than 4 connections from one address; 0 more since"]


@pytest_twisted.ensureDeferred
async def test_where_descriptors_run_out_who_is_in_goes_on_and_the_rest_waits(
    tmp_path: Path,
) -> None:
    limits = "[limits]\nunauthenticated_per_address = 1000\n"
    async with house(tmp_path, limits, DESCRIPTORS) as there:
        with crowd(there.port):
            paused = "accepting pauses: 230 of 256 descriptors are taken"
            await loopback.settle(lambda: paused in there.server.said())
            held = len(list(Path(f"/proc/{there.server.pid}/fd").iterdir()))
            assert 200 < held <= 230
            stream = there.page.open("there")
            there.page.write(stream, b"one more")
            await there.page.until(lambda: there.page.data.get(stream, b"") == b"one more")
            for _ in range(20):
                await there.undisturbed()
        async with loopback.wire(there.port) as again:
            assert (await asked(again))[0] == 200

    assert "EMFILE" not in there.server.said()


@pytest_twisted.ensureDeferred
async def test_a_trusted_proxy_is_not_limited_but_its_clients_are(tmp_path: Path) -> None:
    more = (
        "[sockproxy]\ntrusted_proxies = 127.0.0.1\n"
        "[limits]\nconnections_per_address = 3\nunauthenticated_per_address = 3\n"
    )
    async with house(tmp_path, more) as there, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(loopback.wire(there.port)) for _ in range(20)]
        for number, wire in enumerate(wires):
            assert (await upgraded(wire, f"192.0.2.{number // 3}"))[0] == 101
        async with loopback.wire(there.port) as late:
            status, head = await upgraded(late, "192.0.2.1")
            assert status == 503
            assert b"\r\nRetry-After: 2" in head
        async with loopback.wire(there.port) as other:
            assert (await upgraded(other, "192.0.2.99"))[0] == 101

    assert "refused 192.0.2.1: more than 3 connections from one address" in there.server.said()
