"""What becomes of a message that is kept, where an end goes away meanwhile?"""

from __future__ import annotations

from typing import Any

import pytest_twisted

from sockproxy.faults.exchange import Message
from tests import loopback
from tests.faults.served import answered, by_hand, http, peer, request, said
from tests.loopback import settle

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_message_goes_on_as_it_comes_or_all_at_once() -> None:
    out: list[bytes] = []

    def write(data: bytes, *, head: bool = False, free: bool = False) -> None:
        out.append(data)

    plain = Message(write, held=False, kept=False)
    assert plain.add(b"a")
    assert plain.kept is None
    held = Message(write, held=True, kept=False)
    assert held.add(b"b")
    assert held.add(b"c")
    assert out == [b"a"]
    held.release()
    assert out == [b"a", b"bc"]
    assert not held.held


@pytest_twisted.ensureDeferred
async def test_a_request_whose_answer_was_lost_is_replayed_all_the_same() -> None:
    async with http("replay where=/up times=1", "drop what=response times=1") as (made, server):
        async with loopback.wire(made.port) as wire:
            wire.send(request("/up", b"1"))
            await wire.gone()
        async with loopback.wire(made.port) as wire:
            wire.send(request("/up", b"2"))
            assert await answered(wire, b"got 2") == 200
            await settle(lambda: server.bodies() == [b"1", b"2", b"1"])


@pytest_twisted.ensureDeferred
async def test_a_head_is_answered_without_a_body() -> None:
    async with http("answer status=503 times=1") as (made, _), loopback.wire(made.port) as wire:
        for status in (503, 200):
            wire.send(request("/", method="HEAD"))
            assert (await wire.answer())[0] == status
            assert wire.received == b""


@pytest_twisted.ensureDeferred
async def test_an_answer_held_is_let_go_before_the_end_of_its_server() -> None:
    async with (
        by_hand("reorder what=response within=50ms") as (made, peers),
        loopback.wire(made.port) as wire,
    ):
        wire.send(request())
        other: Any = await peer(peers)
        other.send(OK)
        other.transport.loseConnection()
        await other.gone()
        assert wire.received == b""
        await wire.gone()
        assert wire.received == OK


@pytest_twisted.ensureDeferred
async def test_a_request_held_is_let_go_before_the_end_of_its_client() -> None:
    async with by_hand("reorder within=50ms") as (made, peers), loopback.wire(made.port) as wire:
        wire.send(request("/up", b"held"))
        transport: Any = wire.transport
        await settle(lambda: len(made.successors) == 1)
        transport.loseWriteConnection()
        other = await peer(peers)
        await other.gone()
        assert other.received.endswith(b"held")


@pytest_twisted.ensureDeferred
async def test_an_answer_dropped_is_dropped_where_its_server_ends_in_it() -> None:
    async with by_hand("drop what=response") as (made, peers), loopback.wire(made.port) as wire:
        wire.send(request())
        other: Any = await peer(peers)
        other.send(OK[:-1])
        other.transport.loseConnection()
        await wire.gone()
        assert wire.received == b""


@pytest_twisted.ensureDeferred
async def test_a_chunked_answer_is_doubled_whole() -> None:
    async with (
        by_hand("duplicate what=response") as (made, peers),
        loopback.wire(made.port) as wire,
    ):
        wire.send(request())
        other = await peer(peers)
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        other.send(whole)
        await said(wire, whole + whole)


@pytest_twisted.ensureDeferred
async def test_a_plan_for_websockets_leaves_posts_alone() -> None:
    async with (
        http("cut after=1 link=ws", "drop link=ws") as (made, _),
        loopback.wire(made.port) as wire,
    ):
        wire.send(request("/", b"1"))
        assert await answered(wire, b"got 1") == 200
