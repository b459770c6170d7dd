"""Is the end of one side told to the other as what it was?"""

from __future__ import annotations

from typing import Any

import pytest_twisted

from tests import loopback
from tests.faults.served import broken, by_hand, peer
from tests.loopback import Wire, settle


async def opened(wire: Wire, peers: list[Wire], number: int = 1) -> Wire:
    """Send something that is no HTTP through, and return the server's end."""
    wire.send(b"\x00")
    other = await peer(peers, number)
    await other.until(lambda: other.received == b"\x00")
    return other


def transport(wire: Wire) -> Any:
    return wire.transport


@pytest_twisted.ensureDeferred
async def test_a_client_that_closes_closes_the_server() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        other = await opened(wire, peers)
        transport(wire).loseConnection()
        await other.gone()
        assert not broken(other)
        await settle(lambda: made.open == 0)


@pytest_twisted.ensureDeferred
async def test_a_client_that_breaks_breaks_the_server() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        other = await opened(wire, peers)
        transport(wire).abortConnection()
        await other.gone()
        assert broken(other)
        await settle(lambda: made.open == 0)


@pytest_twisted.ensureDeferred
async def test_a_server_that_closes_has_said_all_before() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        other = await opened(wire, peers)
        other.send(b"x" * 500_000)
        transport(other).loseConnection()
        await wire.gone()
        assert wire.received == b"x" * 500_000
        assert not broken(wire)


@pytest_twisted.ensureDeferred
async def test_a_server_that_breaks_breaks_the_client() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        other = await opened(wire, peers)
        transport(other).abortConnection()
        await wire.gone()
        assert broken(wire)


@pytest_twisted.ensureDeferred
async def test_a_cut_ends_both_sides_and_a_reset_resets_them() -> None:
    for verb in ("cut", "reset"):
        async with by_hand(f"{verb} after=2") as (made, peers), loopback.wire(made.port) as wire:
            other = await opened(wire, peers)
            other.send(b"abc")
            await wire.gone()
            await other.gone()
            assert wire.received == b"ab"
            assert (broken(wire), broken(other)) == ((verb == "reset"),) * 2
            await settle(lambda: made.open == 0)


@pytest_twisted.ensureDeferred
async def test_a_break_behind_a_stall_waits_for_its_turn() -> None:
    async with by_hand("stall after=1 for=100ms direction=up") as (made, peers):
        async with loopback.wire(made.port) as wire:
            other = await opened(wire, peers)
            wire.send(b"late")
            transport(wire).loseConnection()
            await wire.gone()
        assert other.lost is None
        await other.gone()
        assert other.received == b"\x00late"


@pytest_twisted.ensureDeferred
async def test_who_reads_nothing_is_sent_little() -> None:
    async with by_hand() as (made, peers), loopback.wire(made.port) as wire:
        other = await opened(wire, peers)
        transport(other).pauseProducing()
        wire.send(b"x" * 30_000_000)
        held = -1
        while held != (held := len(transport(wire)._tempDataBuffer)):
            await loopback.turn()
        await settle(lambda: made.paused == 1)
        transport(other).resumeProducing()
        await other.until(lambda: len(other.received) == 30_000_001)
        assert made.paused == 0
