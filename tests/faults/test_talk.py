"""Are the requests of a connection told apart, whatever the server does?"""

from __future__ import annotations

from typing import Any

import pytest_twisted

from tests import loopback
from tests.faults.served import answered, by_hand, http, peer, request, said
from tests.loopback import settle

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest_twisted.ensureDeferred
async def test_the_next_request_waits_for_the_answer() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        wire.send(request("/1", b"a") + request("/2", b"b"))
        other = await peer(peers)
        await said(other, b"\r\n\r\na")
        assert other.received == b""
        other.send(OK)
        assert await answered(wire, b"ok") == 200
        await said(other, b"\r\n\r\nb")


@pytest_twisted.ensureDeferred
async def test_an_answer_may_come_before_the_request_is_whole() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        whole = request("/up", b"x" * 100)
        wire.send(whole[:-50])
        other = await peer(peers)
        await said(other, b"x" * 50)
        other.send(OK)
        assert await answered(wire, b"ok") == 200
        wire.send(whole[-50:] + request("/next"))
        await said(other, b"POST /next")
        assert made.counts["requests"] == 2


@pytest_twisted.ensureDeferred
async def test_a_server_that_waits_to_be_told_to_go_on() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        whole = request("/up", b"body", "POST", "Expect: 100-continue")
        wire.send(whole[:-4])
        other = await peer(peers)
        await said(other, b"\r\n\r\n")
        other.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert (await wire.answer())[0] == 100
        wire.send(whole[-4:])
        await said(other, b"body")
        other.send(OK)
        assert await answered(wire, b"ok") == 200


@pytest_twisted.ensureDeferred
async def test_an_answer_that_ends_with_the_connection() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        wire.send(request("/", method="GET"))
        other: Any = await peer(peers)
        other.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        other.transport.loseConnection()
        await wire.gone()
        assert wire.received.endswith(b"all of it")
        await settle(lambda: made.in_flight == 0)


@pytest_twisted.ensureDeferred
async def test_an_answer_cut_short_is_passed_on_as_far_as_it_came() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        wire.send(request())
        other: Any = await peer(peers)
        other.send(OK[:-1])
        other.transport.loseConnection()
        await wire.gone()
        assert wire.received == OK[:-1]


@pytest_twisted.ensureDeferred
async def test_a_server_that_speaks_unasked_is_heard() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        other: Any = await peer(peers)
        other.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        other.transport.loseConnection()
        await wire.gone()
        assert wire.received.startswith(b"HTTP/1.1 408")


@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_no_http_goes_through() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        wire.send(request())
        other = await peer(peers)
        other.send(b"SSH-2.0 what?\r\n\r\n")
        await said(wire, b"SSH-2.0 what?\r\n\r\n")
        wire.send(b"anything")
        await said(other, b"anything")


@pytest_twisted.ensureDeferred
async def test_what_turns_out_to_be_no_http_goes_through() -> None:
    async with http() as (made, _), loopback.wire(made.port) as wire:
        wire.send(request("/", b"1"))
        assert await answered(wire, b"got 1") == 200
        wire.send(b"\x00\x01\r\n\r\n")
        assert (await wire.answer())[0] == 400


@pytest_twisted.ensureDeferred
async def test_who_says_goodbye_behind_many_requests_gets_all_answers() -> None:
    async with http() as (made, server), loopback.wire(made.port) as wire:
        wire.send(b"".join(request("/", b"%d" % number) for number in range(5)))
        transport: Any = wire.transport
        transport.loseWriteConnection()
        await settle(lambda: len(server.got) == 5)


@pytest_twisted.ensureDeferred
async def test_the_backlog_of_a_client_is_bounded() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        wire.send(request() * 200_000)
        await peer(peers)
        await settle(lambda: made.paused == 1)
