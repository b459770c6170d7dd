"""Does no forged, stale or lying request get into a session, or disturb somebody else?"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.settings import Limits
from tests import loopback
from tests.integration import processes
from tests.integration.native import NativeClient
from tests.integration.posts import (
    DOWN,
    ORIGIN,
    UP,
    PostingPage,
    Posts,
    Reply,
    post,
    posts,
    request,
)
from tests.integration.test_native import Backend

OTHER = "https://other.example"
BURST = Limits().failed_attaches_burst
PER_S = Limits().failed_attaches_per_s
CONNECTIONS = 4
AT_ONCE = 200


class House:
    """A service with one backend that echoes, and a page that nobody may disturb."""

    def __init__(self, server: processes.Server, made: list[Any]) -> None:
        self.server = server
        self.made = made
        self.neighbour = NativeClient(loopback.reactor, server.port)
        self._stream = 0

    @property
    def port(self) -> int:
        return self.server.port

    async def move_in(self) -> None:
        await self.neighbour.connect()
        self._stream = self.neighbour.open("there")
        await self.undisturbed()

    async def undisturbed(self) -> None:
        """Fail unless the neighbour's link, session and stream are those of the beginning."""
        client = self.neighbour
        before = len(client.data.get(self._stream, b""))
        client.write(self._stream, b"still there?")
        await client.until(lambda: len(client.data.get(self._stream, b"")) == before + 12)
        assert len(client.of(events.Welcomed)) == 1

    def log_lines(self, pattern: str) -> list[str]:
        return re.findall(rf"^.*{pattern}.*$", self.server.said(), re.MULTILINE)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    kind: Any = type("Played", (Backend,), {"made": [], "echoes": True})
    async with loopback.backend(kind) as backend:
        ini = (
            f"[backend there]\ntarget = tcp:127.0.0.1:{backend}\norigins = {ORIGIN}\n"
            f"[backend elsewhere]\ntarget = tcp:127.0.0.1:{backend}\norigins = {OTHER}\n"
            "[limits]\nlinger = 600s\n"
        )
        with processes.service(folder, ini) as server:
            made = House(server, kind.made)
            try:
                await made.move_in()
                yield made
                await made.undisturbed()
            finally:
                made.neighbour.close()
        await loopback.settle(lambda: all(played.lost for played in kind.made))


@asynccontextmanager
async def page(there: House, origin: str = ORIGIN) -> AsyncIterator[PostingPage]:
    async with posts(there.port) as way:
        yield PostingPage(way, origin)


def said(hello: frames.Hello, **changes: Any) -> bytes:
    return frames.encode(replace(hello, **changes))


def forgeries(victim: PostingPage, ended: frames.Hello) -> Iterator[bytes]:
    """Yield requests without end of somebody who may not have any session."""
    hello, draw = frames.Hello(1, 0, 1, 1, 0, victim.attach.sid, bytes(32)), os.urandom
    link, secret = victim.attach.link, victim.attach._secret
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: post(DOWN, said(hello, sid=draw(16), secret=draw(32))),
        lambda: post(DOWN, said(hello, sid=draw(16), secret=draw(32), link=5, request=7)),
        lambda: post(UP, said(hello, sid=draw(16), secret=draw(32)) + draw(20)),
        lambda: post(DOWN, said(hello, secret=draw(32), link=link + 1)),
        lambda: post(DOWN, said(hello, secret=draw(32), link=link, request=99)),
        lambda: post(UP, said(hello, secret=draw(32), link=link, request=99)),
        lambda: post(DOWN, said(hello, secret=secret, link=link + 1), OTHER),
        lambda: post(UP, said(hello, secret=victim.attach._attaching, link=link), OTHER),
        lambda: post(DOWN, said(ended, link=ended.link + 1, flags=frames.FLAG_CREATE)),
        lambda: post(UP, said(ended, request=99)),
    )
    for kind in cycle(kinds):
        yield kind()


async def refusals(way: Posts, requests: list[bytes]) -> Counter[int]:
    """Send requests, some at a time, and count with which codes they were refused."""
    codes: Counter[int] = Counter()
    for at in range(0, len(requests), AT_ONCE):
        for reply in await way.ask(*requests[at : at + AT_ONCE]):
            assert reply.status == 200
            (refuse,) = reply.frames
            assert isinstance(refuse, frames.Refuse)
            codes[refuse.code] += 1
    return codes


async def flood(there: House, count: int, bad: Iterator[bytes]) -> Counter[int]:
    """Send so many bad requests over a few connections."""
    codes: Counter[int] = Counter()

    async def one() -> None:
        nonlocal codes
        async with posts(there.port) as way:
            left = count // CONNECTIONS
            while left > 0:
                batch = list(islice(bad, min(left, AT_ONCE)))
                codes += await refusals(way, batch)
                left -= len(batch)

    await gatherResults([Deferred.fromCoroutine(one()) for _ in range(CONNECTIONS)])
    return codes


async def ended_session(there: House) -> frames.Hello:
    """Return the HELLO of a session that its page has ended."""
    async with page(there) as gone:
        await gone.connect()
        raw = frames.first(gone.attach.farewell(Code.ABORTED, ""), 100)
        assert raw is not None
        hello = frames.parse(raw)
        assert isinstance(hello, frames.Hello)
        (reply,) = await gone.way.ask(post(UP, gone.attach.farewell(Code.ABORTED, "")))
        assert isinstance(reply.frames[0], frames.Ack)
        return hello


@pytest.mark.parametrize(
    "count",
    [100_000, pytest.param(1_000_000, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])],
)
@pytest_twisted.ensureDeferred
async def test_no_forged_request_gets_in(tmp_path: Path, count: int) -> None:
    async with house(tmp_path) as there, page(there) as victim:
        stream = await victim.open("there")
        ended = await ended_session(there)
        lines, began = len(there.server.said().splitlines()), time.monotonic()
        codes = await flood(there, count, forgeries(victim, ended))
        allowed = BURST + PER_S * (time.monotonic() - began) + 1

        assert set(codes) == {Code.SESSION_UNKNOWN, Code.BUSY}
        assert codes.total() == count
        assert BURST <= codes[Code.SESSION_UNKNOWN] <= allowed
        async with posts(there.port) as victim.way:  # the older connection may have idled out
            assert isinstance((await victim.connect()).frames[0], frames.Welcome), "limited too"
            assert await victim.echoed(stream, b"nobody got in")
        assert (len(there.made), len(there.log_lines(r"\bnew, "))) == (2, 3)
        assert len(there.server.said().splitlines()) - lines <= allowed
        for secret in (victim.attach.sid, victim.attach._secret, victim.attach._attaching):
            assert secret.hex()[:9] not in there.server.said()
    written = len(there.log_lines(r": unknown, asked 127"))
    left_out = [
        re.match(r".* (\d+) more", line) for line in there.log_lines("left out.*: unknown,")
    ]
    assert written + sum(int(told[1]) for told in left_out if told) == codes[Code.SESSION_UNKNOWN]


@pytest.mark.parametrize("path", [UP, DOWN])
@pytest_twisted.ensureDeferred
async def test_a_truncated_id_or_secret_is_no_hello(tmp_path: Path, path: str) -> None:
    async with house(tmp_path) as there, page(there) as victim:
        stream = await victim.open("there")
        hello = frames.Hello(1, 0, 1, 99, 0, victim.attach.sid, victim.attach._attaching)
        whole = said(hello)
        bad = [
            *(said(hello, sid=hello.sid[:length]) for length in range(1, 16)),
            *(said(hello, secret=hello.secret[:length]) for length in range(1, 32)),
            *(whole[:length] for length in range(len(whole))),
        ]
        async with posts(there.port) as way:
            codes = await refusals(way, [post(path, body) for body in bad])
            assert set(codes) == {Code.PROTOCOL}
            empty = [said(hello, sid=b""), said(hello, secret=b"")]
            codes = await refusals(way, [post(path, body) for body in empty])
            assert set(codes) == {Code.SESSION_UNKNOWN}
        assert await victim.echoed(stream, b"nobody got in")


@pytest_twisted.ensureDeferred
async def test_a_retired_secret_is_stale_or_kills_the_session_it_was_stolen_from(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as there, page(there) as victim, posts(there.port) as thief:
        retired = victim.attach._secret
        stream = await victim.open("there")
        await victim.connect()
        await victim.up()
        stale = frames.Hello(1, 0, 1, 9, 0, victim.attach.sid, retired)
        both = [post(path, said(stale)) for path in (UP, DOWN)]
        assert await refusals(thief, both) == {Code.STALE_LINK: 2}
        assert await victim.echoed(stream, b"stale is harmless")

        stolen = said(stale, link=9, request=1)
        assert await refusals(thief, [post(DOWN, stolen)]) == {Code.SECRET_REUSE: 1}
        assert (await victim.up()).frames[0].code == Code.SESSION_UNKNOWN
        assert len(there.log_lines("retired secret came back from")) == 1


@pytest_twisted.ensureDeferred
async def test_a_closed_session_is_unknown_to_every_request(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        ended = await ended_session(there)
        bad = [
            post(UP, said(ended) + frames.encode_data(2, b"x")),
            post(UP, said(ended) + frames.encode(frames.Bye(Code.ABORTED, ""))),
            post(DOWN, said(ended, request=2)),
            post(DOWN, said(ended, request=1, flags=frames.FLAG_CREATE)),
        ]
        async with posts(there.port) as way:
            assert await refusals(way, bad) == {Code.SESSION_UNKNOWN: len(bad)}


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest_twisted.ensureDeferred
async def test_a_hole_that_is_never_filled_costs_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as there, page(there) as liar:
        stream = await liar.open("there")
        await liar.up()
        heard = (await liar.up()).frames[0].rx
        beyond = frames.encode(frames.At(heard + 9))
        filler = beyond + frames.encode_data(stream, bytes(16_384)) * 12
        for _ in range(20):
            assert (await liar.up(filler)).frames[0] == frames.Ack(heard)
        before = resident_bytes(there.server.pid)
        for _ in range(300):
            assert (await liar.up(filler)).frames == [frames.Ack(heard)]

        assert resident_bytes(there.server.pid) - before < 8 * 1024 * 1024
        assert await liar.echoed(stream, b"in its place")


LIES: dict[str, tuple[str, Callable[[frames.Hello], bytes]]] = {
    "an ACK": (UP, lambda hello: said(hello) + frames.encode(frames.Ack(10**6))),
    "a PONG": (UP, lambda hello: said(hello) + frames.encode(frames.Pong(1, 10**6))),
    "an UP": (UP, lambda hello: said(hello, rx=10**6)),
    "a DOWN": (DOWN, lambda hello: said(hello, rx=10**6)),
    "half a frame": (DOWN, lambda hello: said(hello, rx=hello.rx + 1)),
    "a DOWN behind": (DOWN, lambda hello: said(hello, rx=0)),
    "a frame of ours": (UP, lambda hello: said(hello) + frames.encode(frames.GoAway(0, 0))),
    "AT backwards": (
        UP,
        lambda hello: said(hello) + frames.encode(frames.At(9)) + frames.encode(frames.At(8)),
    ),
}


@pytest_twisted.ensureDeferred
async def test_a_lie_ends_its_session_by_name(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        for why, (path, lie) in LIES.items():
            async with page(there) as liar:
                await liar.open("there")
                await liar.up()
                await liar.down()
                hello = frames.Hello(
                    1, 0, 1, 99, liar.core.rx, liar.attach.sid, liar.attach._attaching
                )
                if why == "half a frame":
                    liar.core.write(2, b"to be echoed")
                    await liar.up()
                    await loopback.settle(lambda: there.made[-1].received == b"to be echoed")
                (reply,) = await liar.way.ask(post(path, lie(hello)))
                bye = reply.frames[-1]
                assert (type(bye), bye.code) == (frames.Bye, Code.PROTOCOL), why
                await loopback.settle(lambda: bool(there.made[-1].lost))
                (after,) = await liar.way.ask(post(UP, said(hello, request=100)))
                assert after.frames[0].code == Code.SESSION_UNKNOWN, why


@pytest_twisted.ensureDeferred
async def test_who_could_not_have_heard_so_much_does_not_attach(tmp_path: Path) -> None:
    async with house(tmp_path) as there, page(there) as liar:
        stream = await liar.open("there")
        await liar.up()
        hello = frames.Hello(1, 0, 2, 1, 10**6, liar.attach.sid, liar.attach._secret)
        assert await refusals(liar.way, [post(DOWN, said(hello))]) == {Code.SESSION_UNKNOWN: 1}
        assert await liar.echoed(stream, b"goes on")


@pytest_twisted.ensureDeferred
async def test_a_stream_that_ends_with_its_first_request_ends_well(tmp_path: Path) -> None:
    """The early frames are a lie: WELCOME, BYE, and the end of the answer."""
    async with house(tmp_path) as there, loopback.wire(there.port) as wire:
        hello = frames.Hello(1, 1, 1, 1, 0, os.urandom(16), os.urandom(32), {5: b"\x01"})
        lie = frames.encode(frames.At(0)) + frames.encode_data(2, b"x")
        wire.send(post(DOWN, said(hello) + lie))
        await wire.until(lambda: wire.received.endswith(b"\r\n0\r\n\r\n"))

        assert b"text/event-stream" in wire.received
        assert b"was never opened" in wire.received


@pytest.mark.parametrize("path", [UP, DOWN])
@pytest_twisted.ensureDeferred
async def test_a_body_that_never_ends_is_no_request(tmp_path: Path, path: str) -> None:
    async with house(tmp_path) as there, page(there) as victim:
        stream = await victim.open("there")
        body = victim.short_up() + frames.encode_data(stream, b"never")
        async with loopback.wire(there.port) as wire:
            wire.send(post(path, body)[:-1])
            assert await victim.echoed(stream, b"meanwhile")
        assert await victim.echoed(stream, b"afterwards")


LISTED = f"Origin: {ORIGIN}"
PREFLIGHT = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-sockproxy")

NOT_ASKED_SO: dict[str, tuple[int, Callable[[str], bytes]]] = {
    "GET": (405, lambda path: request(path, b"", LISTED, method="GET")),
    "PUT": (405, lambda path: request(path, b"x", LISTED, method="PUT")),
    "DELETE": (405, lambda path: request(path, b"", LISTED, method="DELETE")),
    "a preflight": (405, lambda path: request(path, b"", LISTED, *PREFLIGHT, method="OPTIONS")),
    "foreign": (403, lambda path: post(path, b"", "https://evil.example")),
    "null": (403, lambda path: post(path, b"", "null")),
    "a prefix": (403, lambda path: post(path, b"", ORIGIN + ".evil.example")),
    "another scheme": (403, lambda path: post(path, b"", "http://app.example")),
    "another port": (403, lambda path: post(path, b"", ORIGIN + ":8443")),
    "none": (403, lambda path: request(path, b"")),
    "two": (400, lambda path: request(path, b"", LISTED, LISTED)),
    "which one": (400, lambda path: request(path, b"", "Origin: https://evil.example", LISTED)),
    "odd bytes": (400, lambda path: request(path, b"", LISTED + "\x0b")),
}


REFUSE = bytes((frames.TYPE_OF[frames.Refuse],))


def answer_of(reply: Reply) -> tuple[int, bool]:
    """Return the status, and whether a page may read the answer."""
    return reply.status, b"access-control-" in reply.head.lower()


@pytest.mark.parametrize("path", [UP, DOWN])
@pytest_twisted.ensureDeferred
async def test_who_may_not_ask_is_told_so_by_the_status(tmp_path: Path, path: str) -> None:
    async with house(tmp_path) as there, posts(there.port) as way:
        for why, (status, ask) in NOT_ASKED_SO.items():
            async with posts(there.port) as own:
                (reply,) = await own.ask(ask(path))
            # A foreign page may read its refusal, and nothing else.
            is_refused = status == 403 and why != "none"
            assert answer_of(reply) == (status, is_refused), why
            assert (reply.body[:1] == REFUSE) == (status == 403), why
        (reply,) = await way.ask(post(path, b"no hello"))

        assert answer_of(reply) == (200, True)
        assert f"\r\nAccess-Control-Allow-Origin: {ORIGIN}\r\n".encode() in reply.head
        assert b"credentials" not in reply.head.lower()
