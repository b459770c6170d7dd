"""Does each fault happen to a real connection, and nothing where there is none?"""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from sockproxy.faults import FaultProxy, Plan
from tests import loopback
from tests.faults.served import (
    CHUNKS,
    answered,
    broken,
    echo,
    http,
    request,
    said,
    upgrade,
    wires,
)
from tests.loopback import reactor, settle


@pytest_twisted.ensureDeferred
async def test_without_a_rule_it_changes_nothing() -> None:
    async with http() as (made, server), loopback.wire(made.port) as wire:
        for body in (b"one", b"x" * 300_000, b""):
            wire.send(request("/up?a=1", body))
            assert await answered(wire, b"got " + body) == 200
        assert server.bodies() == [b"one", b"x" * 300_000, b""]
        assert server.got[0][:2] == ("POST", "/up?a=1")
    assert made.counts == {"connections": 1, "requests": 3, "websockets": 0, "in_flight_max": 1}


@pytest_twisted.ensureDeferred
async def test_pipelined_requests_are_answered_in_order() -> None:
    async with http() as (made, server), loopback.wire(made.port) as wire:
        wire.send(b"".join(request("/", b"%d." % number) for number in range(50)))
        for number in range(50):
            await said(wire, b"got %d." % number)
        assert len(server.got) == 50


@pytest_twisted.ensureDeferred
async def test_a_websocket_is_a_tunnel() -> None:
    async with echo() as made, loopback.wire(made.port) as wire:
        wire.send(upgrade() + b"at once")
        assert (await wire.answer())[0] == 101
        await said(wire, b"at once")
        wire.send(b"\x00 later")
        await said(wire, b"\x00 later")
        assert made.counts["websockets"] == 1
        assert made.counts["in_flight_max"] == 0


@pytest_twisted.ensureDeferred
async def test_what_is_no_http_is_a_tunnel() -> None:
    async with echo("cut after=5 link=tcp") as made, loopback.wire(made.port) as wire:
        wire.send(b"\x16\x03\x01 hello")
        await wire.gone()
        assert wire.received == b"\x16\x03\x01 h"


@pytest_twisted.ensureDeferred
async def test_megabytes_go_through_both_ways_though_the_reader_is_slow() -> None:
    async with echo() as made, loopback.wire(made.port) as wire:
        wire.send(upgrade())
        await wire.answer()
        assert wire.transport is not None
        wire.transport.pauseProducing()  # type: ignore[attr-defined]
        wire.send(b"z" * 20_000_000)
        await deferLater(reactor, 0.2)
        wire.transport.resumeProducing()  # type: ignore[attr-defined]
        await wire.until(lambda: len(wire.received) == 20_000_000)


@pytest_twisted.ensureDeferred
async def test_half_a_close_is_half_a_close() -> None:
    async with echo() as made, loopback.wire(made.port) as wire:
        wire.send(b"\x00 last words")
        wire.transport.loseWriteConnection()  # type: ignore[union-attr]
        await wire.gone()
        assert wire.received == b"\x00 last words"
        assert not broken(wire)
        await settle(lambda: made.open == 0)


@pytest.mark.parametrize("verb", ["cut", "reset"])
@pytest_twisted.ensureDeferred
async def test_it_ends_after_so_many_bytes(verb: str) -> None:
    async with echo(f"{verb} after=1000 of=body where=/ws") as made:
        async with loopback.wire(made.port) as wire:
            wire.send(upgrade() + b"y" * 5000)
            await wire.answer()
            await wire.gone()
            assert wire.received == b"y" * 1000
            assert broken(wire) == (verb == "reset")
        assert made.counts[verb] == 1


@pytest_twisted.ensureDeferred
async def test_it_cuts_at_every_byte_in_turn() -> None:
    async with echo("cut step=1 of=body") as made:
        for number in range(20):
            async with loopback.wire(made.port) as wire:
                wire.send(upgrade() + bytes(range(20)))
                await wire.answer()
                await wire.gone()
                assert wire.received == bytes(range(number))


@pytest_twisted.ensureDeferred
async def test_it_cuts_what_goes_up() -> None:
    async with http("cut after=3 of=body direction=up") as (made, server):
        async with loopback.wire(made.port) as wire:
            wire.send(request("/", b"never whole"))
            await wire.gone()
        assert server.got == []


@pytest_twisted.ensureDeferred
async def test_it_cuts_after_a_time_and_not_behind_the_answer() -> None:
    async with http("cut age=50ms") as (made, _), loopback.wire(made.port) as wire:
        wire.send(request("/", b"quick"))
        assert await answered(wire, b"got quick") == 200
        wire.send(request("/never"))
        await wire.gone()
        assert made.counts["cut"] == 1


@pytest_twisted.ensureDeferred
async def test_a_stall_holds_and_lets_go() -> None:
    async with http("stall for=100ms direction=up") as (made, server):
        async with loopback.wire(made.port) as wire:
            began = reactor.seconds()
            wire.send(request("/", b"late"))
            assert await answered(wire, b"got late") == 200
            assert reactor.seconds() - began >= 0.1
        assert made.counts["stall"] == 1
        assert server.bodies() == [b"late"]


@pytest_twisted.ensureDeferred
async def test_a_black_hole_takes_all_and_says_nothing() -> None:
    async with http("stall") as (made, server), loopback.wire(made.port) as wire:
        wire.send(request("/", b"lost"))
        await settle(lambda: made.counts["stall"] == 1)
        assert server.got == []
        assert wire.received == b""
        assert wire.lost is None


@pytest_twisted.ensureDeferred
async def test_what_a_stall_held_arrives_though_the_page_is_gone() -> None:
    async with http("stall for=100ms direction=up") as (made, server):
        async with loopback.wire(made.port) as wire:
            wire.send(request("/", b"zombie"))
            await settle(lambda: made.counts["stall"] == 1)
        await settle(lambda: server.bodies() == [b"zombie"])


@pytest_twisted.ensureDeferred
async def test_delay_and_throttle_take_their_time() -> None:
    async with (
        http("delay for=50ms jitter=10ms", "throttle rate=100KiB direction=down") as (
            made,
            _,
        ),
        loopback.wire(made.port) as wire,
    ):
        began = reactor.seconds()
        wire.send(request("/", b"x" * 20_480))
        assert await answered(wire, b"x" * 20_480) == 200
        assert 0.1 + 0.2 <= reactor.seconds() - began < 5


@pytest.mark.parametrize(
    ("until", "heard"),
    [("end", "---"), ("1MiB", "---"), ("first", "-23"), ("next", "-12"), ("1", "123")],
)
@pytest_twisted.ensureDeferred
async def test_an_answer_is_buffered(until: str, heard: str) -> None:
    rule = f"buffer until={until} where=/stream"
    async with http(rule) as (made, server), loopback.wire(made.port) as wire:
        wire.send(request("/stream"))
        await settle(lambda: len(server.open) == 1)
        for number, (chunk, last) in enumerate(zip(CHUNKS, heard, strict=True)):
            if number:
                server.open[0].write(chunk)
            await deferLater(reactor, 0.05)
            held = [c in wire.received for c in CHUNKS]
            assert held == [index < (int(last) if last != "-" else 0) for index in range(3)]
        server.open[0].finish()
        await said(wire, CHUNKS[2])


@pytest.mark.parametrize("status", [413, 429, 502, 503, 504])
@pytest_twisted.ensureDeferred
async def test_it_answers_in_place_of_the_server(status: int) -> None:
    async with http(f"answer status={status} retry=3 times=1") as (made, server):
        async with loopback.wire(made.port) as wire:
            wire.send(request("/up", b"refused"))
            found, head = await wire.answer()
            assert found == status
            assert b"Retry-After: 3" in head
            await said(wire, str(status).encode())
            wire.send(request("/up", b"taken"))
            await said(wire, b"got taken")
        assert server.bodies() == [b"taken"]
        assert made.counts["answer"] == 1


@pytest_twisted.ensureDeferred
async def test_it_redirects_and_shows_a_login_page() -> None:
    async with http("redirect to=http://portal.invalid/x times=1", "login skip=1") as (
        made,
        server,
    ):
        async with loopback.wire(made.port) as wire:
            wire.send(request("/a"))
            found, head = await wire.answer()
            assert found == 302
            assert b"Location: http://portal.invalid/x" in head
            wire.received = b""
            wire.send(request("/a"))
            await said(wire, b"HTTP/1.1 200 OK")
            await said(wire, b"Sign in to the network")
            await said(wire, b"</html>")
        assert server.got == []


@pytest_twisted.ensureDeferred
async def test_it_strips_headers_of_requests_and_answers() -> None:
    rules = ("strip header=Origin", "strip header=accept", "strip header=Server direction=down")
    async with http(*rules) as (made, server), loopback.wire(made.port) as wire:
        wire.send(request("/", b"", "POST", "Origin: https://app.example", "Accept: */*", "X: y"))
        _, head = await wire.answer()
        assert b"Server:" not in head
        assert server.heads == [{"Host": "test", "Content-Length": "0", "X": "y"}]


@pytest_twisted.ensureDeferred
async def test_without_upgrade_a_websocket_is_a_plain_get() -> None:
    async with http("strip header=Upgrade link=ws") as (made, server):
        async with loopback.wire(made.port) as wire:
            wire.send(upgrade("/ws"))
            assert await answered(wire, b"got ") == 200
        assert server.got == [("GET", "/ws", b"")]
        assert "Upgrade" not in server.heads[0]
        assert server.heads[0]["Connection"] == "keep-alive"


@pytest_twisted.ensureDeferred
async def test_it_drops_requests_and_answers() -> None:
    rules = ("drop what=request where=/a", "drop what=response where=/b")
    async with http(*rules) as (made, server):
        for path in ("/a", "/b"):
            async with loopback.wire(made.port) as wire:
                wire.send(request(path, b"for " + path.encode()))
                await wire.gone()
                assert wire.received == b""
        assert server.bodies() == [b"for /b"]
        assert made.counts["drop"] == 2


@pytest_twisted.ensureDeferred
async def test_it_duplicates_requests_and_answers() -> None:
    rules = ("duplicate what=request where=/a", "duplicate what=response where=/b")
    async with http(*rules) as (made, server), loopback.wire(made.port) as wire:
        wire.send(request("/a", b"twice"))
        assert await answered(wire, b"got twice") == 200
        await settle(lambda: server.bodies() == [b"twice", b"twice"])
        assert wire.received == b""
        wire.send(request("/b", b"again"))
        await said(wire, b"got again")
        await said(wire, b"got again")
        assert len(server.got) == 3


@pytest_twisted.ensureDeferred
async def test_a_post_is_replayed_after_its_successor() -> None:
    async with http("replay where=/up times=1") as (made, server):
        async with loopback.wire(made.port) as wire:
            for path, body in (("/up", b"1"), ("/down", b"2"), ("/up", b"3")):
                wire.send(request(path, body))
                assert await answered(wire, b"got " + body) == 200
            await settle(lambda: server.bodies() == [b"1", b"2", b"3", b"1"])
            assert wire.received == b""
        assert made.counts["replay"] == 1


@pytest_twisted.ensureDeferred
async def test_requests_and_answers_are_reordered() -> None:
    for what, order in (("request", [b"2", b"1"]), ("response", [b"1", b"2"])):
        async with http(f"reorder what={what} within=10s times=1") as (made, server):
            async with wires(made, 2) as (one, two):
                one.send(request("/up", b"1"))
                await settle(lambda waits=made.successors: len(waits) == 1)  # type: ignore[misc]
                two.send(request("/up", b"2"))
                await said(two, b"got 2")
                await said(one, b"got 1")
            assert server.bodies() == order


@pytest_twisted.ensureDeferred
async def test_what_is_held_goes_on_where_no_successor_comes() -> None:
    async with http("reorder within=50ms") as (made, _), loopback.wire(made.port) as wire:
        wire.send(request("/up", b"alone"))
        assert await answered(wire, b"got alone") == 200


@pytest_twisted.ensureDeferred
async def test_a_held_request_arrives_though_the_page_is_gone() -> None:
    async with http("reorder within=100ms") as (made, server):
        async with loopback.wire(made.port) as wire:
            wire.send(request("/up", b"orphan"))
            await settle(lambda: len(made.successors) == 1)
        await settle(lambda: server.bodies() == [b"orphan"])


@pytest_twisted.ensureDeferred
async def test_too_large_to_be_kept_goes_on_without_the_fault() -> None:
    body = b"x" * 2_000_000
    for rule in ("reorder within=10s", "duplicate", "duplicate what=response", "replay"):
        async with http(rule) as (made, server), loopback.wire(made.port) as wire:
            wire.send(request("/up", body))
            assert await answered(wire, b"got " + body) == 200
            assert made.counts["too_large"] == 1
            assert len(server.got) == 1


@pytest_twisted.ensureDeferred
async def test_all_is_cut_and_stalled_by_hand() -> None:
    async with echo() as made, wires(made, 3) as (one, two, three):
        for wire in (one, two, three):
            wire.send(b"\x00 up")
            await said(wire, b"up")
        made.stall_all()
        one.send(b" held")
        async with loopback.wire(made.port) as late:
            late.send(b"\x00 held too")
            await deferLater(reactor, 0.05)
            assert one.received == late.received == b""
            made.resume_all()
            await said(one, b"held")
            await said(late, b"held too")
        made.cut_all()
        for wire in (one, two, three):
            await wire.gone()
            assert broken(wire)


@pytest_twisted.ensureDeferred
async def test_the_plan_changes_while_it_runs() -> None:
    async with http() as (made, _), loopback.wire(made.port) as wire:
        wire.send(request("/", b"1"))
        assert await answered(wire, b"got 1") == 200
        made.set_plan(Plan(["answer status=503"], seed=1))
        wire.send(request("/", b"2"))
        assert (await wire.answer())[0] == 503


@pytest_twisted.ensureDeferred
async def test_requests_in_flight_are_counted() -> None:
    async with http() as (made, server):
        async with wires(made, 3) as opened:
            for wire in opened:
                wire.send(request("/never"))
            await settle(lambda: len(server.open) == 3)
            assert made.in_flight == 3
        await settle(lambda: made.in_flight == 0)
        assert made.counts["in_flight_max"] == 3
        await settle(lambda: not server.open)


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_not_there_is_a_reset() -> None:
    told: list[str] = []
    async with echo() as before:
        free = before.to[1]
    made = FaultProxy(reactor, ("127.0.0.1", free), Plan(seed=9), told.append)
    async with loopback.wire(await made.start()) as wire:
        await wire.gone()
        assert broken(wire)
    await made.stop()
    assert len(told) == 1
    assert told[0].startswith(f"seed 9: 127.0.0.1:{free} cannot be reached: Connection was refused")
    assert made.counts["unreachable"] == 1


@pytest_twisted.ensureDeferred
async def test_what_it_does_is_told_with_the_seed() -> None:
    told: list[str] = []
    async with http() as (other, _):
        made = FaultProxy(reactor, other.to, Plan(["login", "cut after=1"], 5), told.append)
        async with loopback.wire(await made.start()) as wire:
            wire.send(request("/up"))
            await wire.gone()
        await made.stop()
    assert told == ["seed 5: request 1: http POST /up: login, cut"]
