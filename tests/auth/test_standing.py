"""Does who came in by a ticket go when it ends, and is he asked for in time?"""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from sockproxy.auth.standing import ASKED_EVERY_S, EXPIRED, REPLACED, REVOKED, Roll, Standing
from sockproxy.codes import Code
from sockproxy.policy.access import Asker
from sockproxy.policy.revoked import Revoked
from sockproxy.policy.ticket import Ticket
from sockproxy.refused import Refused
from tests.conftest import LoggedErrors

NOBODY = Asker("https://app.example", None, "192.0.2.1")


def known(good_for_s: float = 100.0, name: str = "alice") -> Asker:
    return NOBODY.known_by(Ticket(name, good_for_s, "one"))


class House:
    """A roll, and what it did to those on it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.roll = Roll(self.clock.seconds)
        self.ends: list[tuple[Code, str]] = []
        self.asked: list[Deferred[Asker]] = []
        self.renewed: list[Asker] = []

    def ask(self) -> Deferred[Asker]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def enter(self, asker: Asker, *, asks: bool = False) -> Standing:
        return self.roll.enter(
            asker,
            lambda code, text: self.ends.append((code, text)),
            self.ask if asks else None,
            self.renewed.append,
        )

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.roll.sweep()


def test_a_ticket_ends_its_bearers_stay_once() -> None:
    house = House()
    standing = house.enter(known())

    house.wait(99.5)
    assert (house.ends, standing.expires_s) == ([], 1)
    house.wait(0.5)
    house.wait(100.0)

    assert house.ends == [(Code.TICKET_REFUSED, EXPIRED)]
    assert len(house.roll) == 0


def test_another_ticket_holds_from_when_it_is_shown() -> None:
    house = House()
    standing = house.enter(known())

    house.wait(90.0)
    standing.renew(known(50.0))
    house.wait(49.0)
    assert house.ends == []
    house.wait(1.0)
    assert len(house.ends) == 1


def test_who_has_left_is_not_ended() -> None:
    house = House()
    standing = house.enter(known())

    standing.leave()
    standing.leave()
    house.wait(200.0)

    assert house.ends == []


def test_who_is_revoked_goes_and_others_stay() -> None:
    house = House()
    house.enter(known())
    house.enter(known(name="mallory"))

    house.roll.revoke(Revoked(principals=frozenset({"mallory"})))

    assert house.ends == [(Code.KILLED, REVOKED)]
    assert len(house.roll) == 1


def test_who_was_vouched_for_is_asked_for_before_the_end() -> None:
    house = House()
    standing = house.enter(known(), asks=True)

    house.wait(79.0)
    assert house.asked == []
    house.wait(1.0)
    house.wait(10.0)
    assert len(house.asked) == 1
    house.asked[0].callback(known(100.0))

    assert standing.expires_s == 100
    assert house.renewed == [known(100.0)]
    house.wait(99.0)
    assert house.ends == []


@pytest.mark.parametrize("code", [Code.TICKET_REFUSED, Code.KILLED])
def test_a_no_ends_a_stay_at_once(code: Code) -> None:
    house = House()
    house.enter(known(), asks=True)

    house.wait(80.0)
    house.asked[0].errback(Refused(code, "not any more"))

    assert house.ends == [(code, "not any more")]
    assert len(house.roll) == 0


def test_nobody_stays_on_by_what_is_said_of_somebody_else() -> None:
    house = House()
    house.enter(known(), asks=True)

    house.wait(80.0)
    house.asked[0].callback(known(name="bob"))

    assert house.ends == [(Code.TICKET_REFUSED, REPLACED)]
    assert len(house.roll) == 0


def test_no_answer_ends_nothing_until_the_ticket_does() -> None:
    house = House()
    house.enter(known(), asks=True)

    for _ in range(3):
        house.wait(80.0 if not house.asked else ASKED_EVERY_S)
        house.asked[-1].errback(Refused(Code.BUSY, "away"))
    assert (len(house.asked), house.ends) == (3, [])

    house.wait(10.0)
    assert house.ends == [(Code.TICKET_REFUSED, EXPIRED)]
    assert house.asked[-1].called


def test_a_fault_of_ours_ends_nothing_and_he_is_asked_for_again(
    logged_errors: LoggedErrors,
) -> None:
    house = House()
    house.enter(known(), asks=True)
    house.wait(80.0)
    house.asked[0].errback(ZeroDivisionError())
    house.wait(ASKED_EVERY_S)

    assert len(house.asked) == 2
    assert house.ends == []
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


def test_who_leaves_while_he_is_asked_for_is_asked_for_no_more() -> None:
    house = House()
    standing = house.enter(known(), asks=True)
    house.wait(80.0)

    standing.leave()

    assert house.asked[0].called
    assert house.ends == []


def test_an_answer_may_come_at_once() -> None:
    house = House()
    answers = [succeed(known(100.0)), fail(Refused(Code.BUSY, "away"))]
    standing = house.roll.enter(known(), house.ends.append, answers.pop)  # type: ignore[arg-type]

    house.wait(80.0)
    house.wait(ASKED_EVERY_S)

    assert standing.expires_s == 100
