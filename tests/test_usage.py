"""Is what is held counted until it ends, and who is too fast slowed and nobody else?"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from sockproxy.codes import Code
from sockproxy.policy.access import UNTOLD, Allow, Deny, Rule
from sockproxy.policy.budget import Pressure
from sockproxy.policy.quota import UNCAPPED, Bounds, Caps, Full, Who
from sockproxy.settings import Limits, TcpTarget
from sockproxy.usage import EASE_S, Seat, Share, Usage
from tests.memory import ASKER, INI, Page, Server

KIB = 1024
ALICE = Who("192.0.2.1", "https://app.example", "alice")
BOB = Who("192.0.2.2", "https://app.example", "bob")


def allow(section: str = "backend irc", *, detail: bool = True, **bounds: Any) -> Allow:
    return Allow(
        name="irc",
        target=TcpTarget(host="irc.example.org", port=6667),
        rule=Rule(section),
        chosen_by_page=not detail,
        connect_timeout_s=10.0,
        dns_timeout_s=5.0,
        reveal_address=False,
        detail=detail,
        bounds=Bounds(section, **bounds),
    )


class Sitter:
    """What sits on a seat and remembers what it was told."""

    def __init__(self, seat: Seat | Deny) -> None:
        assert isinstance(seat, Seat)
        self.seat = seat
        self.told: list[str] = []
        self.ended: tuple[Code, str] | None = None
        seat.sit(self)

    def slow(self) -> None:
        self.told.append("slow")

    def ease(self) -> None:
        self.told.append("ease")

    def reset(self, code: Code, text: str) -> None:
        self.ended = code, text
        self.seat.release()


class World:
    """A usage with its clock."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.usage = Usage(self.clock, Limits(**limits))

    def sitter(self, who: Who = ALICE, share: Share | None = None, **bounds: Any) -> Sitter:
        share = share or self.usage.alone(who)
        return Sitter(share.seat(allow(**bounds), UNCAPPED))

    def sweep(self, after_s: float = 1.0) -> None:
        self.clock.advance(after_s)
        self.usage.sweep(self.clock.seconds())


def denied(seat: Seat | Deny) -> Deny:
    assert isinstance(seat, Deny)
    return seat


def test_a_session_is_counted_until_it_is_over() -> None:
    usage = World(sessions_per_address=1).usage
    share = usage.session(ALICE)
    with pytest.raises(Full, match="more than 1 sessions from one address"):
        usage.session(ALICE)
    assert usage.session(BOB)

    share.release()
    share.release()
    assert usage.session(ALICE)


def test_a_stream_without_session_is_no_session() -> None:
    usage = World(sessions=1).usage
    for _ in range(10):
        usage.alone(ALICE)

    assert usage.session(ALICE)


@pytest.mark.parametrize(
    ("limits", "code", "text"),
    [
        ({"streams_per_principal": 1}, Code.QUOTA, "more than 1 streams of one principal"),
        ({"streams_per_address": 1}, Code.QUOTA, "more than 1 streams from one address"),
        ({"streams_per_origin": 1}, Code.BUSY, "more than 1 streams of one origin"),
        ({"streams_total": 1}, Code.BUSY, "more than 1 streams in all"),
    ],
)
def test_one_stream_too_many_is_told_by_whom(limits: dict[str, int], code: Code, text: str) -> None:
    usage = World(**limits).usage
    first = usage.session(ALICE).seat(allow(), UNCAPPED)
    assert isinstance(first, Seat)

    answer = denied(usage.session(ALICE).seat(allow(), UNCAPPED))
    assert (answer.code, answer.reason, answer.hidden) == (code, text, False)
    first.release()
    first.release()
    assert isinstance(usage.session(ALICE).seat(allow(), UNCAPPED), Seat)


def test_a_backend_takes_so_many_streams_of_all() -> None:
    world = World()
    world.sitter(ALICE, streams=1)

    answer = denied(world.usage.alone(BOB).seat(allow(streams=1), UNCAPPED))

    assert (answer.code, answer.reason) == (Code.BUSY, "more than 1 streams to one backend")
    assert isinstance(world.usage.alone(BOB).seat(allow("backend b", streams=1), UNCAPPED), Seat)


def test_a_page_cannot_tell_a_host_that_is_full_from_one_that_is_denied() -> None:
    world = World(streams_total=1)
    world.sitter()

    answer = denied(world.usage.alone(ALICE).seat(allow(detail=False), UNCAPPED))

    assert (answer.code, answer.reason, answer.hidden) == (Code.DENIED, UNTOLD, True)
    assert answer.why == "more than 1 streams in all"


def test_papers_narrow_the_streams_of_a_principal() -> None:
    usage = World().usage
    caps = Caps(streams=1)
    usage.alone(ALICE).seat(allow(), caps)

    assert denied(usage.alone(ALICE).seat(allow(), caps)).code is Code.QUOTA
    assert isinstance(usage.alone(BOB).seat(allow(), caps), Seat)


def test_streams_are_opened_only_so_fast_from_one_address() -> None:
    world = World(address_opens_per_s=1)
    knocks = [world.usage.alone(ALICE).knock() for _ in range(11)]

    assert knocks[:10] == [None] * 10
    assert knocks[10] == Deny(Code.BUSY, "more than 1 opens a second from one address")
    assert world.usage.alone(BOB).knock() is None
    world.sweep()
    assert world.usage.alone(ALICE).knock() is None


def test_who_waited_long_enough_is_forgotten() -> None:
    world = World(address_opens_per_s=1, address_bytes_per_s=KIB)
    world.usage.alone(ALICE).knock()
    sitter = world.sitter()
    sitter.seat.spend(10)
    assert (len(world.usage.opens), len(world.usage.bytes)) == (1, 1)

    world.sweep(60)
    assert (len(world.usage.opens), len(world.usage.bytes)) == (0, 1), "the stream is there yet"
    sitter.seat.release()
    world.sweep()
    assert len(world.usage.bytes) == 0


def test_a_short_memory_lets_nothing_new_in_and_takes_nothing_away() -> None:
    world = World(memory=1000 * KIB * KIB)
    sitter = world.sitter()
    assert world.usage.weigh(901 * KIB * KIB) is Pressure.SHORT

    said = "memory in use is above 90% of 1048576000 bytes"
    with pytest.raises(Full, match=said):
        world.usage.session(BOB)
    assert world.usage.alone(BOB).knock() == Deny(Code.BUSY, said)
    assert sitter.seat.spend(100)
    assert sitter.told == []

    world.usage.weigh(900 * KIB * KIB)
    assert world.usage.session(BOB)


def test_who_is_too_fast_is_slowed_until_the_debt_is_earned() -> None:
    world = World(address_bytes_per_s=64 * KIB)
    sitter = world.sitter()
    assert sitter.seat.spend(64 * KIB)
    assert sitter.told == []

    assert sitter.seat.spend(32 * KIB), "it has arrived: it goes on"
    assert sitter.told == ["slow"]
    sitter.seat.spend(KIB)
    assert sitter.told == ["slow"]
    world.clock.pump([EASE_S] * 5)
    assert sitter.told == ["slow"]
    world.clock.pump([EASE_S])
    assert sitter.told == ["slow", "ease"]
    assert not world.clock.getDelayedCalls()


def test_a_principal_that_is_slowed_slows_no_other() -> None:
    world = World(principal_bytes_per_s=64 * KIB)
    hungry, modest = world.sitter(ALICE), world.sitter(BOB)

    for _ in range(100):
        hungry.seat.spend(64 * KIB)
        modest.seat.spend(10)

    assert hungry.told == ["slow"]
    assert modest.told == []
    world.usage.stop()


@pytest.mark.parametrize("scope", ["address", "origin", "principal", "total"])
def test_what_is_shared_slows_all_that_share_it(scope: str) -> None:
    world = World(**{f"{scope}_bytes_per_s": 64 * KIB})
    first, second = world.sitter(ALICE), world.sitter(ALICE)

    first.seat.spend(80 * KIB)
    second.seat.spend(1)

    assert (first.told, second.told) == (["slow"], ["slow"])
    world.usage.stop()
    assert not world.clock.getDelayedCalls()


def test_a_session_has_a_rate_of_its_own() -> None:
    world = World(bytes_per_s=64 * KIB)
    one, other = world.usage.session(ALICE), world.usage.session(ALICE)
    first, second, else_where = (world.sitter(share=share) for share in (one, one, other))

    first.seat.spend(80 * KIB)
    second.seat.spend(1)
    else_where.seat.spend(1)

    assert (first.told, second.told, else_where.told) == (["slow"], ["slow"], [])
    world.usage.stop()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 64 * KIB)), max_size=60))
def test_the_rate_holds_in_the_long_run(steps: list[tuple[int, int]]) -> None:
    rate, world = 100 * KIB, World(total_bytes_per_s=100 * KIB)
    sitters = [world.sitter(who) for who in (ALICE, BOB)]
    spent = 0
    for number, (wait, count) in enumerate(steps):
        world.clock.pump([EASE_S] * wait)
        sitter = sitters[number % 2]
        if sitter.told[-1:] != ["slow"]:
            sitter.seat.spend(count)
            spent += count

    # The burst, and from each the chunk that went into debt.
    assert spent <= rate + rate * world.clock.seconds() + 2 * 64 * KIB
    world.usage.stop()


def test_a_slowed_stream_that_ends_leaves_no_timer() -> None:
    world = World(bytes_per_s=KIB)
    first, second = world.sitter(), world.sitter()
    for sitter in (first, second):
        sitter.seat.spend(10 * KIB)

    first.seat.release()
    assert len(world.clock.getDelayedCalls()) == 1
    second.seat.release()
    assert not world.clock.getDelayedCalls()
    third = world.sitter()
    third.seat.release()
    assert third.seat.spend(10 * KIB), "what comes behind the end is nobody's"
    assert not world.clock.getDelayedCalls()


def test_a_stream_carries_so_many_bytes_both_ways() -> None:
    sitter = World().sitter(total_bytes=100)

    assert sitter.seat.spend(60)
    assert sitter.seat.spend(40)
    assert not sitter.seat.spend(1)
    assert sitter.ended == (Code.QUOTA, "irc: 101 bytes, a stream may carry 100")


def test_papers_bound_the_bytes_of_a_whole_session() -> None:
    share = World().usage.session(ALICE)
    first, second = (Sitter(share.seat(allow(), Caps(total_bytes=100))) for _ in range(2))

    assert first.seat.spend(60)
    assert not second.seat.spend(41)
    assert second.ended == (Code.QUOTA, "irc: 101 bytes, the session may carry 100")
    assert first.ended is None


def test_a_stream_on_which_nothing_moves_ends_with_one_sweep_for_all() -> None:
    world = World()
    idle, busy = world.sitter(idle_s=3.0), world.sitter(idle_s=3.0)
    forever = world.sitter()
    for _ in range(3):
        busy.seat.spend(1)
        assert idle.ended is None
        world.sweep()

    text = "irc: nothing moved for 3 s, idle_timeout is 3 s"
    assert idle.ended == (Code.IDLE, text)
    assert busy.ended is None
    world.sweep(1000)
    world.sweep(1000)
    assert busy.ended is not None
    assert forever.ended is None


def test_who_is_slowed_is_not_idle() -> None:
    world = World(bytes_per_s=KIB)
    sitter = world.sitter(idle_s=3.0)
    sitter.seat.spend(30 * KIB)

    for _ in range(25):
        world.sweep()
    assert sitter.ended is None
    for _ in range(10):
        world.sweep()
    assert sitter.ended is not None
    assert sitter.told == ["slow", "ease"]


WHO = st.sampled_from([ALICE, BOB, Who("192.0.2.1", None, None)])
STEP = st.tuples(st.sampled_from(["session", "stream", "release"]), WHO, st.integers())


@given(st.lists(STEP, max_size=80))
def test_whatever_comes_and_goes_all_counts_are_zero_in_the_end(
    steps: list[tuple[str, Who, int]],
) -> None:
    world = World(sessions=4, streams_total=6, sessions_per_principal=2, streams_per_address=4)
    usage = world.usage
    held: list[Share | Seat] = []
    for what, who, number in steps:
        if what == "session":
            with suppress(Full):
                held.append(usage.session(who))
        elif what == "stream":
            place = usage.alone(who).seat(allow(streams=5, idle_s=9.0), UNCAPPED)
            if isinstance(place, Seat):
                held.append(Sitter(place).seat)
        elif held:
            held[number % len(held)].release()
    for item in held:
        item.release()

    assert (len(usage.sessions), len(usage.streams)) == (0, 0)


def test_two_hundred_sessions_leave_no_count_behind() -> None:
    server = Server(INI + "[limits]\nbytes_per_s = 1KiB\n")
    pages = [
        Page(server, asker=replace(ASKER, principal=f"p{seed}"), seed=seed) for seed in range(200)
    ]
    for page in pages:
        page.core.open("irc", 0)
        page.core.open("redis", 0)
        live = page.connect()
        server.backend().protocol.dataReceived(bytes(4096))
        page.exchange()
        if page.seed % 2:
            page.lose_link()
        if page.seed % 3:
            live.end(Code.KILLED, "by hand")
    usage = server.hub.usage
    assert len(usage.sessions) > 60
    assert len(usage.streams) > 60

    server.hub.stop(Code.LINGER_EXPIRED, "over")

    assert (len(usage.sessions), len(usage.streams), len(server.hub)) == (0, 0, 0)
    assert not server.reactor.getDelayedCalls()
