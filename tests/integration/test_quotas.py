"""Do the limits of a real service hold, and does nobody else notice?"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from sockproxy import ini, site
from sockproxy.codes import Code
from sockproxy.core import events
from sockproxy.hub import Hub
from sockproxy.policy.descriptors import Descriptors
from sockproxy.service import shared_by_all
from sockproxy.upgrade import SocketFactory
from tests import loopback
from tests.integration.test_native import ORIGIN, Backend, World, world

KIB = 1024
RATE = 256 * KIB
CHUNK = 64 * KIB


def flood(backend: Any, total: int) -> None:
    """Let a backend send so much, as fast as it is read."""
    backend.transport.write(bytes(total))


@pytest_twisted.ensureDeferred
async def test_an_address_gets_its_rate_and_another_one_does_not_notice(tmp_path: Path) -> None:
    """Counted, not timed: what has come when the other address is done, and the time it takes
    until all has come, are each far from what they would be without the limit."""
    total = 5 * RATE
    more = "[limits]\naddress_bytes_per_s = 256KiB\n"
    async with world(tmp_path, more=more) as there:
        hungry, stream, backend = await there.open()
        began = loopback.reactor.seconds()
        flood(backend, total)
        await hungry.until(lambda: len(hungry.data.get(stream, b"")) > RATE)

        modest = await there.client(source="127.0.0.2")
        quick = modest.open("there")
        await modest.until(lambda: bool(modest.of(events.StreamOpened)))
        await loopback.settle(lambda: len(there.made) == 2)
        for count in range(1, 51):
            there.made[1].transport.write(bytes(KIB))
            await modest.until(lambda n=count: len(modest.data.get(quick, b"")) == n * KIB)  # type: ignore[misc]
        assert len(hungry.data[stream]) < total, "it was still waiting all the while"

        await hungry.until(lambda: len(hungry.data[stream]) == total)
        took_s = loopback.reactor.seconds() - began
        assert took_s > (total - RATE - CHUNK) / RATE / 2
        assert not hungry.of(events.StreamClosed)


@pytest_twisted.ensureDeferred
async def test_a_page_that_writes_too_fast_is_held_back_by_its_credit(tmp_path: Path) -> None:
    async with world(tmp_path, more="[limits]\nbytes_per_s = 256KiB\n") as there:
        client, stream, backend = await there.open()
        data = os.urandom(4 * RATE)
        began = loopback.reactor.seconds()
        client.write(stream, data)
        await loopback.settle(lambda: len(backend.received) > RATE)
        assert len(backend.received) < len(data)

        await loopback.settle(lambda: len(backend.received) == len(data))
        took_s = loopback.reactor.seconds() - began
        assert took_s > (len(data) - RATE - CHUNK) / RATE / 2
        assert backend.received == data


@pytest_twisted.ensureDeferred
async def test_a_full_memory_lets_nobody_in_and_the_old_streams_go_on(tmp_path: Path) -> None:
    knocks = "handshakes_burst = 100000\nunauthenticated_per_address = 1024\n"
    async with world(tmp_path, more=f"[limits]\nmemory = 1MiB\nlinger = 1s\n{knocks}") as there:
        healthy, stream, echo = await there.open()
        deaf = await there.client()
        for number in range(9):
            deaf.open("there")
            await deaf.until(lambda n=number: len(deaf.of(events.StreamOpened)) > n)  # type: ignore[misc]
        await loopback.settle(lambda: len(there.made) == 10)
        assert deaf.carrier is not None
        deaf.carrier.deaf = True
        for backend in there.made[1:]:
            flood(backend, 10 * CHUNK)

        refused = await _said(there, events.Refused)
        assert (refused.code, refused.retry_ms > 0) == (Code.BUSY, True)
        assert refused.text == "memory in use is above 90% of 1048576 bytes"
        healthy.write(stream, b"still")
        await loopback.settle(lambda: echo.received == b"still")
        echo.transport.write(b"here")
        await healthy.until(lambda: bytes(healthy.data.get(stream, b"")) == b"here")

        deaf.kill()
        await _said(there, events.Welcomed)


async def _said(there: World, kind: type[events.Event]) -> Any:
    """Knock until this is the answer: the sweep notices within a second or two."""
    while True:
        client = await there.client()
        await client.until(lambda c=client: bool(c.happened))  # type: ignore[misc]
        if client.of(kind):
            return client.of(kind)[0]
        client.close()


@asynccontextmanager
async def here(more: str) -> AsyncIterator[tuple[Hub, World]]:
    """Serve in this process, so that a test can look at the counts."""
    kind: Any = type("Played", (Backend,), {"made": [], "echoes": True})
    async with loopback.backend(kind) as port:
        text = (
            "[listen web]\nendpoint = tcp:8080\n"
            f"[backend there]\ntarget = tcp:127.0.0.1:{port}\norigins = {ORIGIN}\n{more}"
        )
        settings = ini.loads(text).settings
        reactor = loopback.reactor
        shared = shared_by_all(settings, reactor, reactor.nameResolver, Descriptors())
        hub = Hub(shared, os.urandom)
        hub.start()
        async with loopback.site(site.root(settings, hub, SocketFactory(reactor))) as web:
            made = World(web, kind)
            try:
                yield hub, made
            finally:
                hub.stop(Code.KILLED, "the test is over")
                for client in made.clients:
                    client.close()


@pytest_twisted.ensureDeferred
async def test_two_hundred_sessions_come_and_go_and_nothing_is_counted_any_more() -> None:
    async with here("[limits]\nbytes_per_s = 1MiB\n") as (hub, there):
        for number in range(200):
            client, stream, backend = await there.open()
            client.write(stream, b"x")
            await client.until(lambda c=client: bool(c.data))  # type: ignore[misc]
            match number % 4:
                case 0:
                    client.write_eof(stream)
                case 1:
                    backend.transport.abortConnection()
                case 2:
                    client.kill()
            if number % 2:
                client.close()
        assert len(hub) == 200
        assert len(hub.usage.streams) > 0

        hub.stop(Code.KILLED, "enough")
        await loopback.settle(lambda: all(backend.lost for backend in there.made))
        assert (len(hub), len(hub.usage.sessions), len(hub.usage.streams)) == (0, 0, 0)
        hub.start()


@pytest.mark.parametrize("limit", ["streams_total = 1", "address_opens_per_s = 0.1"])
@pytest_twisted.ensureDeferred
async def test_a_raw_websocket_too_many_gets_503_and_when_to_come_back(limit: str) -> None:
    async with here(f"[limits]\n{limit}\n") as (hub, there), loopback.wire(there.port) as first:
        first.send(loopback.head("/raw/there", f"Origin: {ORIGIN}"))
        assert (await first.answer())[0] == 101
        async with loopback.wire(there.port) as second:
            second.send(loopback.head("/raw/there", f"Origin: {ORIGIN}"))
            status, head = await second.answer()
            assert status == 503
            assert b"Retry-After: 2" in head
        first.send(loopback.masked(2, b"still served"))
        await first.until(lambda: first.received.endswith(b"still served"))
        await first.close()
        await loopback.settle(lambda: len(hub.usage.streams) == 0)
