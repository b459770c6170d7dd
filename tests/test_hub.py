"""Does a HELLO get the session that it may have, and nothing else?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.hub import IPV6_SITE_BITS, Refused, site
from tests.memory import ASKER, INI, Page, PlainLink, Server


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


def test_an_address_is_a_v4_address_or_a_v6_network() -> None:
    assert site("192.0.2.1") == "192.0.2.1"
    assert site("2001:db8:1:2:3:4:5:6") == site("2001:db8:1:2::1") == "2001:db8:1:2::"
    assert site("unix") == "unix"
    assert IPV6_SITE_BITS == 64
