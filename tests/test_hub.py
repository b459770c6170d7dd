"""Does a HELLO get the session that it may have, and nothing else?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.refused import Refused
from tests.memory import ASKER, INI, Page, PlainLink, Server


@pytest.fixture
def caught_lines() -> Iterator[list[str]]:
    """What is logged during the test."""
    lines: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def hello(**changes: Any) -> frames.Hello:
    fields: dict[str, Any] = {
        "version": 1,
        "flags": frames.FLAG_CREATE,
        "link": 1,
        "request": 0,
        "rx": 0,
        "sid": bytes(16),
        "secret": bytes(32),
    }
    return frames.Hello(**fields | changes)


def refusal(server: Server, said: frames.Hello, asker: Any = ASKER) -> Refused:
    with pytest.raises(Refused) as caught:
        server.hub.attach(said, PlainLink(), asker)
    return caught.value


def test_a_create_makes_one_session_and_a_second_one_attaches_to_it() -> None:
    server = Server()
    first, second = PlainLink(), PlainLink()

    live = server.hub.attach(hello(), first, ASKER)
    again = server.hub.attach(hello(link=2), second, ASKER)

    assert again is live
    assert len(server.hub) == 1
    assert first.last_word == ("end", Code.SUPERSEDED)
    assert live.link is second


def test_a_stream_is_opened_for_where_its_page_is_by_then() -> None:
    server = Server()
    moved, newest = replace(ASKER, peer="192.0.2.2"), replace(ASKER, peer="192.0.2.3")
    live = server.hub.attach(hello(), PlainLink(), ASKER)
    assert live.streams.asker == ASKER

    server.hub.attach(hello(link=2), PlainLink(), moved)
    assert live.streams.asker == moved
    server.hub.find(hello(link=2, flags=0), newest)
    assert live.streams.asker == newest


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 2}, Code.VERSION),
        ({"link": 0}, Code.PROTOCOL),
        ({"sid": b""}, Code.PROTOCOL),
        ({"secret": b""}, Code.PROTOCOL),
        ({"flags": 0}, Code.SESSION_UNKNOWN),
        ({"rx": 5}, Code.SESSION_UNKNOWN),
    ],
    ids=str,
)
def test_a_hello_that_can_have_no_session_leaves_nothing(
    changes: dict[str, Any], code: Code
) -> None:
    server = Server()

    assert refusal(server, hello(**changes)).code is code
    assert len(server.hub) == 0


def test_a_lower_or_equal_link_is_stale_and_changes_nothing() -> None:
    server, link = Server(), PlainLink()
    live = server.hub.attach(hello(link=5), link, ASKER)

    assert refusal(server, hello(link=5)).code is Code.STALE_LINK
    assert refusal(server, hello(link=4)).code is Code.STALE_LINK
    assert live.link is link
    assert link.last_word is None


def test_a_wrong_secret_learns_nothing() -> None:
    server, link = Server(), PlainLink()
    server.hub.attach(hello(), link, ASKER)

    assert refusal(server, hello(link=2, secret=b"x" * 32)).code is Code.SESSION_UNKNOWN
    assert link.last_word is None


def test_another_origin_does_not_even_learn_that_the_session_exists() -> None:
    server = Server()
    server.hub.attach(hello(), PlainLink(), ASKER)

    other = replace(ASKER, origin="https://other.example")
    known = refusal(server, hello(link=2), other)
    unknown = refusal(server, hello(sid=b"u" * 16, flags=0), other)

    assert (known.code, known.text) == (unknown.code, unknown.text)


def test_another_principal_is_refused_without_a_change() -> None:
    server, link = Server(), PlainLink()
    server.hub.attach(hello(), link, ASKER)

    other = replace(ASKER, principal="mallory")
    assert refusal(server, hello(link=2), other).code is Code.TICKET_REFUSED
    assert link.last_word is None


def test_a_retired_secret_with_a_newer_link_kills_the_session() -> None:
    server = Server()
    page = Page(server)
    stolen = page.attach._secret
    page.connect()
    page.lose_link()
    page.connect()

    said = hello(sid=page.attach.sid, secret=stolen, link=9, flags=0)
    assert refusal(server, said).code is Code.SECRET_REUSE
    assert len(server.hub) == 0
    assert page.link.last_word == ("bye", Code.SECRET_REUSE)


def test_an_ended_id_cannot_be_created_again() -> None:
    server = Server()
    server.hub.attach(hello(), PlainLink(), ASKER).end(Code.ABORTED, "over")

    assert refusal(server, hello(link=2)).code is Code.SESSION_UNKNOWN

    server.reactor.advance(601)
    server.hub.sweep()
    assert server.hub.attach(hello(link=3), PlainLink(), ASKER)


def test_one_address_has_so_many_sessions_and_no_more() -> None:
    server = Server(INI + "[limits]\nsessions_per_address = 2\n")
    lives = [server.hub.attach(hello(sid=bytes([n]) * 16), PlainLink(), ASKER) for n in range(2)]

    full = refusal(server, hello(sid=b"x" * 16))
    assert (full.code, full.retry_ms > 0) == (Code.BUSY, True)
    elsewhere = replace(ASKER, peer="192.0.2.2")
    assert server.hub.attach(hello(sid=b"y" * 16), PlainLink(), elsewhere)

    lives[0].end(Code.ABORTED, "over")
    assert server.hub.attach(hello(sid=b"z" * 16), PlainLink(), ASKER)


def test_the_oldest_of_too_many_waiting_sessions_makes_room() -> None:
    server = Server(INI + "[limits]\ndetached = 2\n")
    pages = [Page(server, seed=n) for n in range(3)]
    for page in pages:
        page.connect()
    for page in pages:
        page.lose_link()

    assert [page.live.over for page in pages if page.live] == [True, False, False]
    pages[1].connect()
    assert pages[1].live is not None
    assert not pages[1].live.over


def test_a_session_waits_for_linger_and_then_ends() -> None:
    server = Server()
    page = Page(server)
    live = page.connect()
    page.lose_link()

    server.reactor.advance(119)
    server.hub.sweep()
    assert not live.over
    server.reactor.advance(2)
    server.hub.sweep()
    assert live.over
    assert len(server.hub) == 0


def test_a_session_that_nobody_confirmed_waits_a_minute() -> None:
    server = Server()
    link = PlainLink()
    live = server.hub.attach(hello(), link, ASKER)
    server.reactor.advance(300)
    server.hub.sweep()
    assert live.link is None, "a silent link is given up by its heartbeat"

    server.reactor.advance(61)
    server.hub.sweep()
    assert live.over


def test_the_cut_takes_the_link_and_refuses_the_next_for_a_while() -> None:
    server = Server()
    page = Page(server)
    live = page.connect()
    link = page.link

    assert server.hub.hold(live.name, 3.0)
    assert link.last_word == ("abort", Code.CLEAN)
    with pytest.raises(Refused) as caught:
        page.connect()
    assert caught.value.code is Code.BUSY

    server.reactor.advance(3.1)
    server.hub.sweep()
    assert page.connect() is live


def test_cutting_a_session_that_is_not_there_says_so() -> None:
    assert not Server().hub.hold("00000000", 3.0)


def test_stopping_ends_all_sessions_and_leaves_no_timer() -> None:
    server = Server()
    server.hub.start()
    page = Page(server)
    page.connect()

    server.hub.stop(Code.KILLED, "stopping")

    assert page.link.last_word == ("bye", Code.KILLED)
    assert not server.reactor.getDelayedCalls()


def test_the_sweep_runs_by_itself() -> None:
    server = Server()
    server.hub.start()
    page = Page(server)
    live = page.connect()
    page.lose_link()

    server.reactor.pump([1.0] * 125)

    assert live.over
    server.hub.stop(Code.KILLED, "stopping")


def first_request(page: Page, **changes: Any) -> frames.Hello:
    """Return the HELLO of a request that goes on with the page's newest link."""
    raw = frames.first(page.attach.short(2), frames.MAX_CLIENT_DATA_BYTES)
    assert raw is not None
    said = frames.parse(raw)
    assert isinstance(said, frames.Hello)
    return replace(said, **changes)


def refused_find(server: Server, said: frames.Hello, asker: Any = ASKER) -> Refused:
    with pytest.raises(Refused) as caught:
        server.hub.find(said, asker)
    return caught.value


def test_a_request_finds_the_session_of_its_link_and_changes_nothing() -> None:
    server = Server()
    page = Page(server)
    live = page.connect()

    assert server.hub.find(first_request(page), ASKER) is live
    assert live.link is page.link
    assert page.link.last_word is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sid": b"u" * 16}, Code.SESSION_UNKNOWN),
        ({"sid": b""}, Code.SESSION_UNKNOWN),
        ({"secret": b"x" * 32}, Code.SESSION_UNKNOWN),
        ({"secret": b""}, Code.SESSION_UNKNOWN),
        ({"link": 1}, Code.STALE_LINK),
        ({"sid": b"u" * 16, "flags": frames.FLAG_CREATE}, Code.SESSION_UNKNOWN),
    ],
    ids=str,
)
def test_a_request_that_goes_on_with_nothing_finds_nothing(
    changes: dict[str, Any], code: Code
) -> None:
    server = Server()
    page = Page(server)
    page.connect()
    live = page.connect()

    assert refused_find(server, first_request(page, **changes)).code is code
    assert (len(server.hub), live.link) == (1, page.link)
    assert page.link.last_word is None


def test_a_request_from_elsewhere_finds_nothing() -> None:
    server = Server()
    page = Page(server)
    page.connect()
    said = first_request(page)

    foreign = replace(ASKER, origin="https://other.example")
    assert refused_find(server, said, foreign).code is Code.SESSION_UNKNOWN
    server.hub.hold(page.attach.sid[:4].hex(), 3.0)
    assert refused_find(server, said).code is Code.BUSY


def test_a_request_with_a_retired_secret_kills_the_session() -> None:
    server = Server()
    page = Page(server)
    stolen = page.attach._secret
    page.connect()
    page.connect()

    said = first_request(page, secret=stolen, link=9)
    assert refused_find(server, said).code is Code.SECRET_REUSE
    assert len(server.hub) == 0


def test_a_session_that_waits_between_two_requests_is_carried_again() -> None:
    server = Server(INI + "[limits]\ndetached = 1\n")
    pages = [Page(server, seed=n) for n in range(3)]
    lives = [page.connect() for page in pages]
    for page, live in zip(pages[:2], lives[:2], strict=True):
        page.lose_link()
        server.hub.go_on(live, page.link, first_request(page))
    pages[2].lose_link()

    assert [live.over for live in lives] == [False] * 3
    assert [live.link for live in lives[:2]] == [page.link for page in pages[:2]]
    server.reactor.advance(30)
    server.hub.sweep()
    assert not lives[0].over


def test_a_page_may_end_its_session_without_a_link() -> None:
    server = Server()
    page = Page(server)
    live = page.connect()
    page.lose_link()
    raw = frames.first(page.attach.farewell(Code.ABORTED, ""), frames.MAX_CLIENT_DATA_BYTES)
    assert raw is not None
    said = frames.parse(raw)
    assert isinstance(said, frames.Hello)

    server.hub.dismiss(said, ASKER)

    assert live.over
    with pytest.raises(Refused) as caught:
        server.hub.dismiss(said, ASKER)
    assert caught.value.code is Code.SESSION_UNKNOWN


@pytest.mark.parametrize(
    "changes", [{"sid": b"u" * 16}, {"secret": b"x" * 32}, {"link": 0}], ids=str
)
def test_nobody_else_may_end_it(changes: dict[str, Any]) -> None:
    server = Server()
    page = Page(server)
    live = page.connect()

    with pytest.raises(Refused):
        server.hub.dismiss(first_request(page, **changes), ASKER)
    with pytest.raises(Refused):
        server.hub.dismiss(first_request(page), replace(ASKER, origin="https://other.example"))
    assert not live.over


FEW = INI + "[limits]\nfailed_attaches_burst = 3\nfailed_attaches_per_s = 2\n"


def unknown(number: int = 0) -> frames.Hello:
    return hello(sid=number.to_bytes(16, "big"), flags=0)


def test_failed_attaches_are_told_so_until_there_were_too_many() -> None:
    server = Server(FEW)
    codes = [refusal(server, unknown(n)).code for n in range(5)]
    assert codes == [Code.SESSION_UNKNOWN] * 3 + [Code.BUSY] * 2
    assert refusal(server, unknown()).retry_ms > 0

    server.reactor.advance(1)
    codes = [refusal(server, unknown(n)).code for n in range(3)]
    assert codes == [Code.SESSION_UNKNOWN] * 2 + [Code.BUSY]


@pytest.mark.parametrize(
    "way",
    [
        "attach",
        "find",
        "dismiss",
    ],
)
def test_each_way_to_guess_counts(way: str) -> None:
    server = Server(FEW)
    page = Page(server)
    page.connect()
    guess = first_request(page, secret=b"x" * 32, link=2)
    ways: dict[str, Any] = {
        "attach": lambda: server.hub.attach(guess, PlainLink(), ASKER),
        "find": lambda: server.hub.find(guess, ASKER),
        "dismiss": lambda: server.hub.dismiss(guess, ASKER),
    }
    codes = []
    for _ in range(5):
        with pytest.raises(Refused) as caught:
            ways[way]()
        codes.append(caught.value.code)

    assert codes == [Code.SESSION_UNKNOWN] * 3 + [Code.BUSY] * 2


def test_another_address_fails_by_itself() -> None:
    server = Server(FEW)
    for n in range(5):
        refusal(server, unknown(n), replace(ASKER, peer=f"2001:db8::{n}"))

    same_site = replace(ASKER, peer="2001:db8::ffff")
    assert refusal(server, unknown(), same_site).code is Code.BUSY
    other_site = replace(ASKER, peer="2001:db8:0:1::1")
    assert refusal(server, unknown(), other_site).code is Code.SESSION_UNKNOWN
    assert refusal(server, unknown()).code is Code.SESSION_UNKNOWN


def test_who_has_a_session_is_not_limited_by_the_failures_of_a_neighbour() -> None:
    server = Server(FEW)
    page = Page(server)
    live = page.connect()
    codes = {refusal(server, unknown(n)).code for n in range(50)}
    assert Code.BUSY in codes

    page.lose_link()
    assert page.connect() is live
    assert server.hub.find(first_request(page), ASKER) is live
    assert server.hub.attach(hello(sid=b"n" * 16), PlainLink(), ASKER)


def test_what_fails_too_often_is_not_even_logged(caught_lines: list[str]) -> None:
    server = Server(FEW)
    for n in range(1000):
        refusal(server, unknown(n))

    assert len(caught_lines) == 3
    assert all(len(line) < 100 for line in caught_lines)
    assert "00000000: unknown" in caught_lines[0]
    assert (0).to_bytes(16, "big").hex() not in caught_lines[0]
