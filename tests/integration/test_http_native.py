"""Does a real service carry a session over HTTP, and from link to link, byte for byte?"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import pytest_twisted
from twisted.protocols.wire import Echo

from sockproxy.core import events
from tests.integration import processes
from tests.integration.http_native import HttpNativeClient
from tests.loopback import backend, reactor

KINDS = ("websocket", "stream", "poll")
ORIGIN = "https://app.example"
BYTES = 600_000


@asynccontextmanager
async def client(folder: Path) -> AsyncIterator[HttpNativeClient]:
    async with backend(Echo) as port:
        ini = f"[backend echo]\ntarget = tcp:127.0.0.1:{port}\norigins = {ORIGIN}\n"
        with processes.service(folder, ini) as server:
            made = HttpNativeClient(reactor, server.port, origin=ORIGIN)
            try:
                yield made
            finally:
                made.close()


async def echoed(page: HttpNativeClient, data: bytes) -> int:
    """Send bytes and wait until they are back."""
    stream = page.open("echo")
    page.write(stream, data)
    await page.until(lambda: len(page.data.get(stream, b"")) == len(data))
    assert page.data[stream] == data
    return stream


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("kind", KINDS)
async def test_bytes_come_back_over_each_kind_of_link(tmp_path: Path, kind: str) -> None:
    async with client(tmp_path) as page:
        await page.connect_by(kind)
        stream = await echoed(page, random.Random(1).randbytes(BYTES))
        page.write_eof(stream)
        await page.until(lambda: bool(page.of(events.StreamClosed, stream)))
        assert page.in_flight_max <= 2


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("then", KINDS)
async def test_a_session_moves_between_links_while_bytes_flow(
    tmp_path: Path, first: str, then: str
) -> None:
    data = random.Random(2).randbytes(BYTES)
    async with client(tmp_path) as page:
        await page.connect_by(first)
        stream = page.open("echo")
        page.write(stream, data)
        await page.until(lambda: len(page.data.get(stream, b"")) > BYTES // 10)
        await page.connect_by(then)
        await page.until(lambda: len(page.data[stream]) == len(data))
        assert page.data[stream] == data
        assert page.of(events.Welcomed)[-1].resumed


def reached(page: HttpNativeClient, stream: int, length: int) -> bool:
    return len(page.data.get(stream, b"")) > length


@pytest_twisted.ensureDeferred
async def test_links_that_are_killed_cost_no_byte(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(BYTES)
    chance = random.Random(4)
    async with client(tmp_path) as page:
        await page.connect_by("stream")
        stream = page.open("echo")
        page.write(stream, data)
        for part in range(1, 10):
            await page.until(partial(reached, page, stream, part * BYTES // 12))
            page.kill()
            await page.connect_by(chance.choice(KINDS))
        await page.until(lambda: len(page.data[stream]) == len(data))
        assert page.data[stream] == data
