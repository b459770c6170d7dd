"""Does each URL lead to its way in, and nothing else to anything?"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted

from sockproxy import ini, site
from sockproxy.hub import Hub
from sockproxy.policy.descriptors import Descriptors
from sockproxy.service import shared_by_all
from sockproxy.upgrade import SocketFactory
from tests import loopback
from tests.integration.native import NativeClient
from tests.loopback import head

INI = """
[listen web]
endpoint = tcp:8080
[backend irc]
target = tcp:127.0.0.1:1
origins = https://app.example
[backend echo]
target = tcp:127.0.0.1:2
origins = https://app.example
"""


@asynccontextmanager
async def served(more: str = "") -> AsyncIterator[tuple[int, Hub]]:
    settings = ini.loads(INI + more).settings
    reactor: Any = loopback.reactor
    hub = Hub(shared_by_all(settings, reactor, reactor.nameResolver, Descriptors()), os.urandom)
    async with loopback.site(site.root(settings, hub, SocketFactory(reactor))) as port:
        yield port, hub


async def ask(port: int, method: str, path: str, *headers: str, body: bytes = b"") -> Any:
    """Return status, head and body of an HTTP exchange."""
    async with loopback.wire(port) as wire:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        wire.send("\r\n".join([*lines, "", ""]).encode() + body)
        status, answer = await wire.answer()
        await wire.gone()
        return status, answer, wire.received


@pytest_twisted.ensureDeferred
async def test_the_client_is_served_with_an_etag_to_every_site() -> None:
    async with served() as (port, _):
        for name in ("sockproxy.js", "sockproxy.mjs", "sockproxy.d.ts"):
            status, answer, body = await ask(port, "GET", f"/{name}")
            assert (status, len(body) > 500) == (200, True)
            assert b"Access-Control-Allow-Origin: *" in answer
            etag = answer.partition(b"ETag: ")[2].partition(b"\r\n")[0].decode()
            status, _, body = await ask(port, "GET", f"/{name}", f"If-None-Match: {etag}")
            assert (status, body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/index.html",
        "/playground/backends",
        "/playground/cut",
        "/raw",
        "/sp",
        "/sp/_",
        "/sp/_/ws/x",
        "/raw/irc/x",
        "/x",
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_not_a_way_in_is_not_there(path: str) -> None:
    async with served() as (port, _):
        assert (await ask(port, "GET", path))[0] == 404


@pytest.mark.parametrize("path", ["/../setup.cfg", "/%2e%2e/setup.cfg", "/sockproxy.js/../x"])
@pytest_twisted.ensureDeferred
async def test_no_path_reaches_the_disk(path: str) -> None:
    async with served("[sockproxy]\nplayground = yes\n") as (port, _):
        assert (await ask(port, "GET", path))[0] == 404


@pytest_twisted.ensureDeferred
async def test_the_playground_is_there_where_it_is_asked_for() -> None:
    async with served("[sockproxy]\nplayground = yes\n") as (port, _):
        for path in ("/", "/irc.html", "/style.css"):
            status, answer, body = await ask(port, "GET", path)
            assert status == 200
            assert b"nosniff" in answer
            assert b"Access-Control-Allow-Origin" not in answer
            assert len(body) > 100
        page = await ask(port, "GET", "/")
        assert b"default-src 'self'" in page[1]
        names = await ask(port, "GET", "/playground/backends")
        assert json.loads(names[2]) == {"backends": ["echo", "irc"], "tools": ["cut"]}


@pytest_twisted.ensureDeferred
async def test_the_cut_needs_a_listed_origin_and_a_session() -> None:
    async with served("[sockproxy]\nplayground = yes\n") as (port, hub):
        path, mine = "/playground/cut", "Origin: https://app.example"
        assert (await ask(port, "POST", path, body=b"00000000"))[0] == 403
        evil = await ask(port, "POST", path, "Origin: https://evil.example", body=b"00000000")
        assert evil[0] == 403
        assert (await ask(port, "POST", path, mine, mine, body=b"00000000"))[0] == 400
        assert (await ask(port, "POST", path, mine, body=b"00000000"))[0] == 404

        client = NativeClient(loopback.reactor, port)
        await client.connect()
        await client.until(lambda: client.attach.known)
        name = client.attach.sid[:4].hex().encode()
        assert (await ask(port, "POST", path, mine, body=name))[0] == 200
        await client.until(lambda: client.carrier is None)
        client.close()
        hub.stop(0, "done")  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_every_route_is_this_process() -> None:
    async with served() as (port, _):
        for route in ("_", "n1w1"):
            async with loopback.wire(port) as wire:
                wire.send(head(f"/sp/{route}/ws", "Sec-WebSocket-Protocol: sockproxy.v1"))
                assert (await wire.answer())[0] == 101
            async with loopback.wire(port) as wire:
                wire.send(head(f"/sp/{route}/ws"))
                assert (await wire.answer())[0] == 400
