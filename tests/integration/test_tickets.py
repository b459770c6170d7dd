"""Does a real service let in whom a ticket or the application names, and nobody else?"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource

from sockproxy.codes import Code
from sockproxy.core import events
from tests import loopback
from tests.integration import processes
from tests.integration.canaries import flaws, leaks
from tests.integration.http_native import HttpNativeClient
from tests.loopback import head
from tests.tickets import PRIVATE, PUBLIC, SHARED, mint

ORIGIN = "https://app.example"
KINDS = ["websocket", "stream", "poll"]


class Echo(Protocol):
    """A backend that says what it hears."""

    live = 0

    def connectionMade(self) -> None:
        Echo.live += 1

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        Echo.live -= 1


@dataclass
class World:
    server: processes.Server
    folder: Path
    clients: list[HttpNativeClient] = field(default_factory=list)

    def client(self, shown: str, origin: str | None = ORIGIN) -> HttpNativeClient:
        made = HttpNativeClient(loopback.reactor, self.server.port, origin=origin, ticket=shown)
        self.clients.append(made)
        return made

    async def opened(self, kind: str, shown: str, **options: Any) -> tuple[HttpNativeClient, int]:
        """Return a client that is in, and a stream of its that has echoed."""
        client = self.client(shown, **options)
        await client.connect_by(kind)
        stream = client.open("echo")
        client.write(stream, b"hello")
        await client.until(lambda: bytes(client.data.get(stream, b"")) == b"hello")
        return client, stream

    async def refusal(self, kind: str, shown: str, **options: Any) -> tuple[Code, str]:
        client = self.client(shown, **options)
        if kind == "websocket":
            await client.connect()
        else:
            await client.connect_http(kind)
        await client.until(lambda: bool(client.of(events.Refused)))
        refused = client.of(events.Refused)[0]
        client.close()
        return Code(refused.code), refused.text

    def revoke(self, text: str) -> None:
        newer = self.folder / "newer"
        newer.write_text(text)
        newer.rename(self.folder / "revoked")


def ticket(good_for_s: float = 60, **more: Any) -> str:
    return mint(**{"exp": time.time() + good_for_s, "jti": os.urandom(8).hex(), **more})


@asynccontextmanager
async def world(folder: Path, more: str = "") -> AsyncIterator[World]:
    key = folder / "old.key"
    key.write_bytes(SHARED)
    key.chmod(0o600)
    (folder / "new.pem").write_bytes(PUBLIC)
    (folder / "revoked").write_text("")
    tickets = more or (
        f"[tickets]\nkeys =\n  old HS256 file:{key}\n  new EdDSA file:{folder}/new.pem\n"
        f"revoked = {folder}/revoked\nleeway = 0s\n"
    )
    async with loopback.backend(Echo) as backend:
        way = f"[backend echo]\ntarget = tcp:127.0.0.1:{backend}\norigins = {ORIGIN}\n"
        with processes.service(folder, f"{way}principals = alice\n{tickets}") as server:
            made = World(server, folder)
            try:
                yield made
            finally:
                for client in made.clients:
                    client.close()
        await loopback.settle(lambda: Echo.live == 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_a_ticket_opens_resumes_renews_and_ends(tmp_path: Path, kind: str) -> None:
    async with world(tmp_path) as there:
        client, stream = await there.opened(kind, ticket(4))
        client.kill()
        await client.connect_by(kind)
        client.core.auth(ticket(6))
        client.flush()
        results = lambda: client.of(events.AuthResult)  # noqa: E731
        await client.until(lambda: len(results()) == 3)
        assert [result.code for result in results()] == [Code.CLEAN] * 3
        assert results()[2].expires_s > results()[1].expires_s

        client.write(stream, b" again")
        await client.until(lambda: bytes(client.data[stream]) == b"hello again")
        await client.until(
            lambda: any(
                event.code in (Code.TICKET_REFUSED, Code.SESSION_UNKNOWN)
                for event in client.happened
                if isinstance(event, events.SessionEnded | events.Refused)
            )
        )
        await loopback.settle(lambda: Echo.live == 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_who_has_no_good_ticket_stays_outside(tmp_path: Path, kind: str) -> None:
    async with world(tmp_path) as there:
        taken = ticket(kid="new", key=PRIVATE, alg="EdDSA")
        used, _ = await there.opened(kind, taken)
        refusals = [
            await there.refusal(kind, shown)
            for shown in (
                "",
                ticket(-5),
                ticket(key=b"y" * 32),
                ticket(aud="shop"),
                ticket(origin="https://other.example"),
                taken,
            )
        ]

        assert [code for code, _ in refusals] == [Code.TICKET_REQUIRED] + [Code.TICKET_REFUSED] * 5
        assert [text for _, text in refusals[2:]] == [
            "the ticket's signature is wrong",
            "the ticket is not for sockproxy, its aud names others",
            f"the ticket is not for origin {ORIGIN}",
            "the ticket has been used before",
        ]
        assert Echo.live == 1
        assert not used.of(events.SessionEnded)


@pytest_twisted.ensureDeferred
async def test_a_program_shows_its_ticket_instead_of_an_origin(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        await there.opened("websocket", ticket(), origin=None)

        code, _ = await there.refusal("websocket", "", origin=None)
        assert code is Code.TICKET_REQUIRED


@pytest_twisted.ensureDeferred
async def test_who_is_revoked_is_out_within_moments(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        client, _ = await there.opened("websocket", ticket())
        there.revoke("sub alice\n")
        await client.until(lambda: bool(client.of(events.SessionEnded)))

        assert client.of(events.SessionEnded)[0].code == Code.KILLED
        assert await there.refusal("websocket", ticket(jti="two")) == (
            Code.TICKET_REFUSED,
            "the ticket was revoked",
        )


@pytest_twisted.ensureDeferred
async def test_a_raw_socket_takes_its_ticket_among_the_subprotocols(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        shown = ticket(3)
        asked = head(
            "/raw/echo", f"Origin: {ORIGIN}", f"Sec-WebSocket-Protocol: binary, ticket.{shown}"
        )
        async with loopback.wire(there.server.port) as first:
            first.send(asked)
            status, answer = await first.answer()
            assert status == 101
            assert shown.encode() not in answer
            async with loopback.wire(there.server.port) as second:
                second.send(asked)
                status, answer = await second.answer()
                assert status == 403
            while (closing := await first.frame()).opcode != 8:
                pass
            assert closing.close_code == 1008


@pytest_twisted.ensureDeferred
async def test_no_ticket_leaves_a_trace(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        shown = [
            ticket(),
            ticket(-5),
            ticket(key=b"y" * 32),
            "canary-" + "c" * 5000,
            "canary.canary.canary",
            "canary\x1b[2J\r\nX-Canary: yes",
        ]
        for one in shown[1:]:
            for kind in KINDS:
                await there.refusal(kind, one)
        client, _ = await there.opened("websocket", shown[0])
        client.core.auth("canary.renewed.canary")
        client.flush()
        await client.until(lambda: len(client.of(events.AuthResult)) == 2)
        for path in ("/raw/echo", "/raw/none", "/sp/_/ws", "/nowhere"):
            async with loopback.wire(there.server.port) as wire:
                wire.send(head(path, f"Sec-WebSocket-Protocol: ticket.{shown[2]}, ticket.canary"))
                await wire.answer()

        written = there.server.log.read_bytes()
        parts = [part.encode() for one in shown[:3] for part in one.split(".")[1:]]
        assert b"session" in written
        assert flaws(written) == []
        assert leaks(written, [b"canary", SHARED, *parts]) == []


class Application(Resource):
    """An application that knows one user by cookie or ticket."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.asked: list[dict[bytes, Any]] = []

    def render_GET(self, request: Request) -> bytes:
        headers = dict(request.requestHeaders.getAllRawHeaders())
        self.asked.append(headers)
        known = headers.get(b"Cookie") == [b"sessionid=s3"] or headers.get(b"Authorization")
        request.setResponseCode(self.status if known else 403)
        return b'{"sub": "alice", "expires_s": 20}'


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_the_application_says_who_it_is(tmp_path: Path, kind: str) -> None:
    application = Application()
    async with loopback.site(application) as app:
        forward = f"[forward_auth]\nurl = http://127.0.0.1:{app}/who\ncookies = sessionid\n"
        async with world(tmp_path, f"{forward}cache = 0s\n") as there:
            await there.opened(kind, "opaque")
            assert application.asked[0][b"Authorization"] == [b"Bearer opaque"]
            assert application.asked[0][b"Origin"] == [ORIGIN.encode()]

            assert (await there.refusal(kind, ""))[0] is Code.TICKET_REQUIRED
            application.status = 401
            assert (await there.refusal(kind, "opaque"))[0] is Code.TICKET_REFUSED
            application.status = 500
            assert (await there.refusal(kind, "opaque"))[0] is Code.BUSY


@pytest_twisted.ensureDeferred
async def test_a_cookie_is_enough_for_a_browser_and_only_the_listed_one_is_handed_on(
    tmp_path: Path,
) -> None:
    application = Application()
    async with loopback.site(application) as app:
        forward = f"[forward_auth]\nurl = http://127.0.0.1:{app}/who\ncookies = sessionid\n"
        async with world(tmp_path, forward) as there, loopback.wire(there.server.port) as wire:
            wire.send(head("/raw/echo", f"Origin: {ORIGIN}", "Cookie: a=1; sessionid=s3; b=2"))
            status, _ = await wire.answer()

            assert status == 101
            assert application.asked[0][b"Cookie"] == [b"sessionid=s3"]
        assert "s3" not in there.server.said()
