"""Is everybody known by what he shows, by the same rules for every way in?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sockproxy import ini
from sockproxy.auth.application import Application
from sockproxy.auth.authenticator import Authenticator
from sockproxy.auth.shown import NOTHING, Shown
from sockproxy.auth.standing import REVOKED
from sockproxy.codes import Code
from sockproxy.policy.access import Asker, Policy
from sockproxy.refused import Refused
from tests import application as plain
from tests.tickets import NOW, SHARED, mint

ORIGIN = "https://app.example"
NOBODY = Asker(ORIGIN, None, "192.0.2.1")
FILE = f"""
[listen web]
endpoint = tcp:8080
[backend mine]
target = tcp:127.0.0.1:1
origins = {ORIGIN}
principals = alice
"""
OPEN = f"[backend open]\ntarget = tcp:127.0.0.1:2\norigins = {ORIGIN}\n"
KEYS = "[tickets]\nkeys = old HS256 env:SOCKPROXY_TEST_KEY\n"
FORWARD = "[forward_auth]\nurl = http://127.0.0.1:8000/who\ncookies = session\n"


class Door:
    """An authenticator by a file, with clocks of its own."""

    def __init__(self, text: str) -> None:
        settings = ini.loads(FILE + text).settings
        self.clock = Clock()
        self.agent = plain.Application()
        options: Any = settings.forward_auth
        application = Application(options, self.clock, self.agent) if options.url else None
        self.auth = Authenticator(
            settings.tickets,
            Policy(settings),
            self.clock,
            lambda: NOW + self.clock.seconds(),
            application,
        )
        self.ends: list[tuple[Code, str]] = []

    def come(
        self, shown: Shown = NOTHING, owner: object = b"me", asker: Asker = NOBODY
    ) -> Deferred[Asker]:
        return self.auth.identify(asker, shown, owner)

    def refusal(self, *arguments: Any, **options: Any) -> Refused:
        faults: list[Any] = []
        coming: Any = self.come(*arguments, **options)
        coming.addErrback(lambda failure: faults.append(failure.value))
        [fault] = faults
        assert isinstance(fault, Refused)
        return fault

    def enter(self, shown: Shown, owner: object = b"me") -> Asker:
        asker = known(self.come(shown, owner))
        self.auth.enter(asker, shown, owner, lambda code, text: self.ends.append((code, text)))
        return asker


def known(coming: Deferred[Asker]) -> Asker:
    found: list[Asker] = []
    coming.addCallback(found.append)
    return found[0]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKPROXY_TEST_KEY", SHARED.decode())


def test_a_ticket_names_its_bearer() -> None:
    asker = known(Door(KEYS).come(Shown(mint())))

    assert (asker.principal, asker.origin) == ("alice", ORIGIN)
    assert asker.is_bearer


def test_nobody_gets_in_where_everything_needs_a_ticket() -> None:
    fault = Door(KEYS).refusal()

    assert (fault.code, fault.text) == (Code.TICKET_REQUIRED, "a ticket is needed")


def test_nobody_gets_in_as_nobody_where_something_is_open_to_all() -> None:
    assert known(Door(KEYS + OPEN).come()) == NOBODY


def test_a_bad_ticket_is_refused_even_where_none_is_needed() -> None:
    fault = Door(KEYS + OPEN).refusal(Shown(mint(exp=NOW - 10)))

    assert (fault.code, fault.text) == (Code.TICKET_REFUSED, "the ticket expired 10 s ago")


@pytest.mark.parametrize("text", ["a b", "a\r\nX-Evil: 1", "\u00e4", "a" * 4097])
def test_what_no_header_could_hold_is_no_ticket(text: str) -> None:
    for door in (Door(KEYS), Door(FORWARD)):
        fault = door.refusal(Shown(text))
        assert fault.text == "a ticket is 1 to 4096 printable characters"
        assert door.agent.asked == []


def test_a_ticket_is_passed_over_where_nobody_could_read_it() -> None:
    assert known(Door(FORWARD.replace("cookies", "#") + OPEN).come()) == NOBODY


def test_a_ticket_for_another_origin_is_refused() -> None:
    fault = Door(KEYS).refusal(Shown(mint(origin=["https://other.example"])))

    assert (fault.code, fault.text) == (
        Code.TICKET_REFUSED,
        "the ticket is not for origin https://app.example",
    )
    assert known(Door(KEYS).come(Shown(mint(origin=ORIGIN)))).principal == "alice"


def test_a_program_may_show_a_ticket_instead_of_an_origin() -> None:
    program = Asker(None, None, "192.0.2.1")

    assert known(Door(KEYS).come(Shown(mint()), asker=program)).principal == "alice"
    assert Door(KEYS).refusal(asker=program).code is Code.TICKET_REQUIRED
    assert Door(KEYS).refusal(Shown(mint(origin=ORIGIN)), asker=program).code is Code.TICKET_REFUSED


def test_a_foreign_page_is_told_the_missing_line() -> None:
    fault = Door(KEYS).refusal(asker=Asker("https://evil.example", None, "192.0.2.1"))

    assert fault.code is Code.ORIGIN
    assert "add to a [backend]" in fault.text


def test_a_foreign_page_uses_up_no_ticket_and_asks_the_application_nothing() -> None:
    foreign = Asker("https://evil.example", None, "192.0.2.1")
    door = Door(KEYS)
    assert door.refusal(Shown(mint()), b"thief", foreign).code is Code.ORIGIN
    assert known(door.come(Shown(mint()), b"owner")).principal == "alice"

    door = Door(FORWARD)
    cookies = Shown("", (("session", "s3"),))
    assert door.refusal(cookies, b"thief", foreign).code is Code.ORIGIN
    assert door.agent.asked == []


def test_a_ticket_opens_one_session() -> None:
    door = Door(KEYS)
    known(door.come(Shown(mint()), b"one"))

    assert known(door.come(Shown(mint()), b"one")).principal == "alice"
    assert door.refusal(Shown(mint()), b"two").text == "the ticket has been used before"
    assert known(door.come(Shown(mint(jti="two")), b"two")).principal == "alice"


def test_a_ticket_may_open_more_where_the_file_says_so() -> None:
    door = Door(KEYS + "single_use = no\n")
    known(door.come(Shown(mint(jti=None)), b"one"))

    assert known(door.come(Shown(mint(jti=None)), b"two")).principal == "alice"


def test_where_too_many_tickets_are_in_use_a_new_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sockproxy.policy.spent.Spent.full", lambda *_: True)
    fault = Door(KEYS).refusal(Shown(mint()))

    assert (fault.code, fault.retry_ms) == (Code.BUSY, 2000)


def test_an_expired_ticket_ends_its_stay_and_is_forgotten() -> None:
    door = Door(KEYS)
    door.enter(Shown(mint(exp=NOW + 60)))

    door.clock.advance(65.0)
    door.auth.sweep()

    assert [code for code, _ in door.ends] == [Code.TICKET_REFUSED]
    assert len(door.auth) == 0


def test_who_needs_no_ticket_is_not_watched() -> None:
    door = Door(KEYS + OPEN)

    assert door.auth.enter(known(door.come()), NOTHING, b"me", print) is None


def test_who_is_revoked_goes_and_does_not_come_again(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text("")
    door = Door(f"{KEYS}revoked = {file}\n")
    door.enter(Shown(mint()))

    file.write_text("sub alice\n")
    door.auth.sweep()

    assert door.ends == [(Code.KILLED, REVOKED)]
    fault = door.refusal(Shown(mint()))
    assert (fault.code, fault.text) == (Code.TICKET_REFUSED, REVOKED)


def test_the_application_is_asked_about_what_no_key_can_tell() -> None:
    door = Door(FORWARD)
    coming = door.come(Shown("opaque"))
    assert not coming.called
    door.agent.answer()

    assert known(coming).principal == "alice"


def test_keys_come_before_the_application() -> None:
    door = Door(KEYS + FORWARD)
    assert known(door.come(Shown(mint()))).principal == "alice"
    coming = door.come(Shown("", (("session", "s3"),)))
    door.agent.answer()

    assert not known(coming).is_bearer


def test_whom_the_application_vouched_for_it_is_asked_about_again() -> None:
    door = Door(FORWARD)
    coming = door.come(Shown("opaque"))
    door.agent.answer(b'{"sub": "alice", "expires_s": 100}')
    shown = Shown("opaque")
    door.auth.enter(known(coming), shown, b"me", lambda code, text: door.ends.append((code, text)))

    door.clock.advance(80.0)
    door.auth.sweep()
    door.agent.answer(code=403)

    assert [code for code, _ in door.ends] == [Code.TICKET_REFUSED]


def test_a_ticket_that_was_verified_here_is_the_pages_to_renew() -> None:
    door = Door(KEYS + FORWARD)
    door.enter(Shown(mint()))

    door.clock.advance(64.0)
    door.auth.sweep()

    assert door.agent.asked == []
