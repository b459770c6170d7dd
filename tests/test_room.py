"""Is room made step by step, by those who need theirs least, and by nobody who moves?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from sockproxy.codes import Code
from sockproxy.core import events
from sockproxy.policy.budget import STILL_S
from sockproxy.refused import RETRY_MS, Refused
from tests.memory import ASKER, INI, BackendTransport, Page, Server

KIB = 1024
BLOCK = 64 * KIB
# Eight blocks are half of it, twelve are tight, fifteen are short, seventeen are over.
SMALL = f"{INI}[limits]\nmemory = 1MiB\n"


class Holder:
    """A page that holds as many blocks as a test wants: its backend takes nothing."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.page = Page(server, seed=seed)
        self.page.core.open("irc", 0)
        self.live = self.page.connect()
        self.stuck: list[BackendTransport] = [server.backend()]
        self.page.exchange()

    def hold(self, blocks: int) -> None:
        """Write as much more to backends that do not take it."""
        for _ in range(blocks):
            stream = self.page.core.open("irc", 0)
            self.page.exchange()
            backend = self.server.backend()
            backend.producer.pauseProducing()
            self.stuck.append(backend)
            self.page.core.write(stream, bytes(BLOCK))
            self.page.exchange()

    def give_back(self) -> None:
        for backend in self.stuck[1:]:
            backend.producer.resumeProducing()
        self.page.exchange()


def sweep(server: Server, seconds: int = 1) -> None:
    for _ in range(seconds):
        server.reactor.advance(1)
        server.hub.sweep()


def test_above_nine_tenths_nothing_new_is_let_in_and_what_is_there_goes_on() -> None:
    server = Server(SMALL)
    holder = Holder(server, 1)
    holder.hold(15)
    sweep(server)

    with pytest.raises(Refused) as caught:
        Page(server, seed=2).connect()
    assert (caught.value.code, caught.value.retry_ms > 0) == (Code.BUSY, True)
    late = holder.page.core.open("irc", 0)
    holder.stuck[0].protocol.dataReceived(b"still served")
    holder.page.exchange()
    ends = {event.stream: event.code for event in holder.page.of(events.StreamClosed)}
    assert ends == {late: Code.BUSY}
    assert holder.page.of(events.DataReceived)[-1].data == b"still served"

    holder.give_back()
    sweep(server)
    Page(server, seed=2).connect()


def test_a_session_that_is_there_may_come_back_however_short_memory_is() -> None:
    server = Server(SMALL)
    holder = Holder(server, 1)
    holder.hold(15)
    sweep(server)
    holder.page.lose_link()

    assert holder.page.connect() is holder.live


def grown(server: Server, page: Page) -> int:
    """Return the size of the window of a stream that is drained at once."""
    stream = page.core.open("told", 0)
    page.exchange()
    server.backend()
    assert page.live is not None
    page.live.core.rtt_s = 1.0
    for _ in range(40):
        page.core.write(stream, bytes(16 * KIB))
        page.exchange()
    return page.live.core.streams[stream].window.size


def test_above_seven_tenths_no_window_grows_until_there_is_room_again() -> None:
    server = Server(SMALL)
    holder, other = Holder(server, 1), Page(server, seed=2)
    other.connect()
    assert grown(server, other) > BLOCK
    holder.hold(12)
    sweep(server)
    newcomer = Page(server, seed=3)
    newcomer.connect()

    assert grown(server, other) == BLOCK
    assert grown(server, newcomer) == BLOCK

    holder.give_back()
    sweep(server)
    assert grown(server, other) > BLOCK
    assert grown(server, newcomer) > BLOCK


def test_those_that_wait_longest_end_before_anybody_whose_page_is_there() -> None:
    server = Server(SMALL)
    there, first, second = (Holder(server, seed) for seed in range(3))
    there.hold(11)
    for holder in (second, first):
        holder.hold(3)
        holder.page.lose_link()
        sweep(server, 2)
    assert not second.live.over, "over HTTP it could be between two requests"

    sweep(server, 3)
    assert (there.live.over, first.live.over, second.live.over) == (False, False, True)
    sweep(server, 20)
    assert (there.live.over, first.live.over) == (False, False), "there is room again"
    assert len(server.hub) == 2


def test_what_does_not_move_for_a_while_ends_last_and_the_largest_of_it_first() -> None:
    server = Server(SMALL)
    small, large, moving = (Holder(server, seed) for seed in range(3))
    small.hold(5)
    large.hold(6)
    moving.hold(7)
    for _ in range(int(STILL_S)):
        sweep(server)
        moving.stuck[0].protocol.dataReceived(b"tick")
        moving.page.exchange()
        assert not large.live.over
    sweep(server)

    assert (small.live.over, large.live.over, moving.live.over) == (False, True, False)
    assert large.page.link.last_word == ("bye", Code.QUOTA)
    assert all(backend.aborted for backend in large.stuck)
    sweep(server, 20)
    assert (small.live.over, moving.live.over) == (False, False)


def test_each_shortage_counts_anew_how_long_nothing_moved() -> None:
    server = Server(SMALL)
    still, moving = Holder(server, 1), Holder(server, 2)
    still.hold(10)
    moving.hold(5)
    sweep(server, 5)
    moving.give_back()
    sweep(server, 20)
    moving.hold(7)
    sweep(server, int(STILL_S))
    assert not still.live.over

    sweep(server)
    assert still.live.over


def test_the_memory_of_those_that_wait_is_bounded_by_itself() -> None:
    server = Server(f"{INI}[limits]\ndetached_memory = 1MiB\n")
    holders = [Holder(server, seed) for seed in range(3)]
    for holder in holders:
        holder.hold(7)
        holder.page.lose_link()

    assert [holder.live.over for holder in holders] == [True, False, False]
    holders[1].page.connect()
    assert not holders[1].live.over


def principal(server: Server, name: str, seed: int) -> Page:
    return Page(server, asker=replace(ASKER, principal=name), seed=seed)


def test_the_oldest_waiting_session_of_a_principal_makes_room_for_his_next() -> None:
    server = Server(INI + "[limits]\nsessions_per_principal = 2\n")
    pages = [principal(server, "alice", seed) for seed in range(4)]
    stranger = principal(server, "bob", 9)
    for page in (stranger, pages[0], pages[1]):
        page.connect()
    stranger.lose_link()
    server.reactor.advance(1)
    for page in (pages[1], pages[0]):
        page.lose_link()
        server.reactor.advance(1)

    with pytest.raises(Refused) as caught:
        pages[2].connect()
    assert (caught.value.code, caught.value.text, caught.value.retry_ms) == (
        Code.BUSY,
        "more than 2 sessions of one principal",
        RETRY_MS,
    ), "they may be between two requests"

    server.reactor.advance(4)
    pages[3].connect()
    lives = [page.live for page in (stranger, pages[0], pages[1])]
    assert [live.over for live in lives if live] == [False, False, True]


def test_a_principal_all_of_whose_sessions_are_there_is_refused_another() -> None:
    server = Server(INI + "[limits]\nsessions_per_principal = 2\n")
    for seed in range(2):
        principal(server, "alice", seed).connect()
    server.reactor.advance(30)

    with pytest.raises(Refused, match="of one principal"):
        principal(server, "alice", 2).connect()
    principal(server, "bob", 3).connect()
    Page(server, seed=4).connect()
