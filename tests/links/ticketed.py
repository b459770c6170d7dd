"""What must hold of tickets over whatever carries a session? One class, run over each link."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sockproxy import service
from sockproxy.codes import Code
from sockproxy.core import events, frames
from tests import application
from tests.links.carriers import Carrier, carrier
from tests.logged import lines
from tests.memory import INI, Page, Server
from tests.tickets import SHARED, mint

TICKETS = (
    f"{INI}principals =\n    alice\n    bob\n[tickets]\nkeys = old HS256 env:SOCKPROXY_TEST_KEY\n"
)
FORWARD = f"{INI}principals = alice\n[forward_auth]\nurl = http://127.0.0.1:8000/who\n"
LONG_S = 300
# With the leeway; a poll lets some moments pass.
ABOUT_65 = pytest.approx(65, abs=2)


def ticket(**more: Any) -> str:
    """Return a ticket by the clock in memory, which begins at 0."""
    return mint(**{"exp": 60, **more})


class TicketOutline:
    """Tests of tickets; a subclass says over which kind of link."""

    kind: str

    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SOCKPROXY_TEST_KEY", SHARED.decode())

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> application.Application:
        """The application, where the file names one."""
        agent = application.Application()
        monkeypatch.setattr(service, "asking_agent", lambda *_, **__: agent)
        return agent

    @pytest.fixture
    def server(self) -> Server:
        return Server(TICKETS)

    def came(self, server: Server, shown: str = "", seed: int = 7) -> tuple[Page, Carrier]:
        page = Page(server, seed=seed, ticket=shown)
        way = carrier(self.kind, server, page)
        way.connect()
        return page, way

    def refused(self, server: Server, shown: str, seed: int = 7) -> list[tuple[int, str]]:
        page = Page(server, seed=seed, ticket=shown)
        way = carrier(self.kind, server, page)
        way.attach()
        way.hear()
        return self.refusals(page)

    def refusals(self, page: Page) -> list[tuple[int, str]]:
        return [(event.code, event.text) for event in page.of(events.Refused)]

    def results(self, page: Page) -> list[int]:
        """Return how long each ticket is good for, or the code of its refusal."""
        return [event.code or event.expires_s for event in page.of(events.AuthResult)]

    def told(self, page: Page) -> list[tuple[int, str]]:
        return [(event.code, event.text) for event in page.of(events.StreamClosed)]

    def show(self, page: Page, way: Carrier, shown: str) -> None:
        page.core.auth(shown)
        way.exchange()

    def test_a_ticket_opens_what_needs_one_and_its_end_is_told(self, server: Server) -> None:
        page, way = self.came(server, ticket())
        page.core.open("told", 0)
        way.exchange()
        server.backend()
        way.exchange()

        assert self.results(page) == [ABOUT_65]
        assert page.of(events.StreamOpened)

    def test_without_one_only_the_rest_is_open(self, server: Server) -> None:
        page, way = self.came(server)
        page.core.open("told", 0)
        way.exchange()

        assert self.told(page) == [(Code.DENIED, "backend told: a ticket is needed")]
        assert self.results(page) == []

    def test_a_bad_ticket_is_refused(self, server: Server) -> None:
        text = "the ticket expired 10 s ago"
        assert self.refused(server, ticket(exp=-10)) == [(Code.TICKET_REFUSED, text)]
        assert len(server.hub) == 0

    def test_a_ticket_narrows_what_is_open(self, server: Server) -> None:
        page, way = self.came(server, ticket(backends=["irc"]))
        page.core.open("told", 0)
        way.exchange()

        text = "backend told: the ticket of alice is for other backends"
        assert self.told(page) == [(Code.DENIED, text)]

    def test_who_is_not_listed_gets_nothing(self, server: Server) -> None:
        page, way = self.came(server, ticket(sub="carol"))
        page.core.open("told", 0)
        way.exchange()

        assert self.told(page) == [(Code.DENIED, "backend told: not open to carol")]

    def test_an_expired_ticket_ends_the_session(self, server: Server) -> None:
        page, way = self.came(server, ticket())
        page.core.open("told", 0)
        way.exchange()
        backend = server.backend()
        way.exchange()
        server.reactor.advance(65)
        server.hub.sweep()
        way.hear()

        [ended] = page.of(events.SessionEnded)
        assert (ended.code, ended.text) == (Code.TICKET_REFUSED, "the ticket has expired")
        assert backend.aborted
        assert len(server.hub) == len(server.shared.auth) == 0

    def test_a_session_without_a_link_ends_with_its_ticket_too(self, server: Server) -> None:
        _, way = self.came(server, ticket())
        way.lose()
        server.reactor.advance(65)
        server.hub.sweep()

        assert len(server.hub) == 0

    def test_a_fresh_ticket_keeps_the_session(self, server: Server) -> None:
        page, way = self.came(server, ticket())
        self.show(page, way, ticket(exp=LONG_S, jti="two"))
        server.reactor.advance(65)
        server.hub.sweep()

        assert self.results(page) == [ABOUT_65, pytest.approx(LONG_S + 5, abs=2)]
        assert len(server.hub) == 1

    @pytest.mark.parametrize("shown", ["x.y.z", ticket(exp=-10), ticket(sub="bob", jti="two"), ""])
    def test_a_fresh_ticket_that_is_none_changes_nothing(self, server: Server, shown: str) -> None:
        page, way = self.came(server, ticket())
        self.show(page, way, shown)
        assert self.results(page)[-1] == Code.TICKET_REFUSED
        assert len(server.hub) == 1

        server.reactor.advance(65)
        server.hub.sweep()
        assert len(server.hub) == 0

    def test_a_fresh_ticket_narrows_what_is_opened_from_then_on(self, server: Server) -> None:
        page, way = self.came(server, ticket())
        self.show(page, way, ticket(jti="two", backends=["irc"]))
        page.core.open("told", 0)
        way.exchange()

        assert [code for code, _ in self.told(page)] == [Code.DENIED]

    def test_tickets_are_not_looked_into_without_end(self, server: Server) -> None:
        page, way = self.came(server, ticket())
        for _ in range(6):
            self.show(page, way, ticket())

        assert self.results(page)[-2:] == [ABOUT_65, Code.BUSY]

    def test_the_same_ticket_may_resume_its_session_and_open_no_other(self, server: Server) -> None:
        page, way = self.came(server, ticket())
        way.lose()
        way.connect()

        assert [event.resumed for event in page.of(events.Welcomed)] == [False, True]
        text = "the ticket has been used before"
        assert self.refused(server, ticket(), seed=8) == [(Code.TICKET_REFUSED, text)]

    def test_a_session_is_its_principals(self, server: Server) -> None:
        page, way = self.came(server, ticket())
        way.lose()
        page.ticket = ticket(sub="bob", jti="two")
        way.attach()
        way.hear()
        page.ticket = ""
        way.attach()
        way.hear()

        assert self.refusals(page) == [
            (Code.TICKET_REFUSED, "the session belongs to another principal"),
            (Code.TICKET_REQUIRED, "the session needs a ticket of its user"),
        ]
        page.ticket = ticket()
        way.connect()
        assert [event.resumed for event in page.of(events.Welcomed)] == [False, True]

    def test_the_application_may_take_its_time(self, asked: application.Application) -> None:
        server = Server(FORWARD)
        page = Page(server, ticket="opaque")
        page.core.open("told", 0)
        way = self.slow(server, page)
        way.attach()
        page.core.open("irc", 0)

        assert len(server.hub) == 0
        asked.answer()
        way.exchange()
        server.backend()
        way.exchange()

        assert self.results(page) == [LONG_S]
        assert len(server.reactor.tcpClients) == 2

    def test_the_application_may_narrow_a_session_that_runs(
        self, asked: application.Application
    ) -> None:
        server = Server(FORWARD)
        page = Page(server, ticket="opaque")
        way = self.slow(server, page)
        way.attach()
        asked.answer(b'{"sub": "alice", "expires_s": 10}')
        way.exchange()

        server.reactor.advance(8)
        server.hub.sweep()
        asked.answer(b'{"sub": "alice", "expires_s": 60, "backends": ["irc"]}')
        way.exchange()
        page.core.open("told", 0)
        way.exchange()

        assert self.results(page) == [10, pytest.approx(60, abs=1)]
        assert [code for code, _ in self.told(page)] == [Code.DENIED]

    def test_a_ticket_behind_the_end_of_a_session_is_nobodys(self, server: Server) -> None:
        page, way = self.came(server, ticket())
        page.core.local[frames.Bye] = frames.Bye(Code.CLEAN, "")
        page.core.auth(ticket(jti="two"))
        way.say()

        assert len(server.hub) == len(server.shared.auth) == 0

    def test_a_page_may_move_while_its_ticket_is_looked_into(
        self, asked: application.Application
    ) -> None:
        server = Server(FORWARD)
        page = Page(server, ticket="opaque")
        way = self.slow(server, page)
        way.attach()
        asked.answer()
        way.exchange()
        [live] = server.hub._live.values()

        self.show(page, way, "another")
        live.moved(replace(live.asker, peer="198.51.100.7"))
        asked.answer(b'{"sub": "alice", "expires_s": 60}')

        assert live.asker.peer == "198.51.100.7"
        way.exchange()
        assert self.results(page)[-1] == 60

    def test_what_the_next_link_shows_is_newer_than_what_the_last_one_did(
        self, asked: application.Application
    ) -> None:
        server = Server(FORWARD)
        page = Page(server, ticket="opaque")
        way = self.slow(server, page)
        way.attach()
        asked.answer()
        way.exchange()

        self.show(page, way, "another")
        way.lose()
        way.connect()

        assert len(asked.asked) == 2, "the first ticket is known"
        assert asked.called_off == 1
        assert self.results(page) == [LONG_S, pytest.approx(LONG_S, abs=1)]

    def test_who_leaves_meanwhile_makes_no_session(self, asked: application.Application) -> None:
        server = Server(FORWARD)
        way = self.slow(server, Page(server, ticket="opaque"))
        way.attach()
        with lines() as said:
            way.lose()

        assert asked.called_off == 1
        assert len(server.hub) == 0
        assert said == []

    def slow(self, server: Server, page: Page) -> Carrier:
        """Return a way on which it takes time to find out who asks."""
        return carrier(self.kind, server, page)

    def test_a_ticket_is_in_no_line_of_the_log(self, server: Server) -> None:
        shown = ticket()
        with lines() as said:
            page, way = self.came(server, shown)
            self.show(page, way, shown + "x")
            self.refused(server, shown, seed=8)

        assert said
        assert not any(part in line for part in shown.split(".")[1:] for line in said)
        assert shown not in repr(page.happened)
