"""Is the application's word taken, once and in time, and does its silence let nobody in?"""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from sockproxy.auth.application import ANSWER_MAX_BYTES, ASKED_AT_ONCE, Application
from sockproxy.auth.shown import NOTHING, Shown
from sockproxy.codes import Code
from sockproxy.policy.access import Asker
from sockproxy.policy.descriptors import Descriptors
from sockproxy.policy.ticket import BadTicket, Ticket
from sockproxy.refused import Refused
from sockproxy.settings import ForwardAuth
from tests import application as plain
from tests.conftest import LoggedErrors
from tests.logged import lines

OPTIONS = ForwardAuth(url="http://127.0.0.1:8000/who", cookies=("session",))
ASKER = Asker("https://app.example", None, "192.0.2.1")
BEARER = Shown("opaque")
COOKIE = Shown("", (("session", "s3"), ("theme", "dark"), ("session", "s4")))


# How Twisted's agent says that it was called off: before it is connected, and then.
CALLED_OFF = (
    ConnectingCancelledError(IPv4Address("TCP", "127.0.0.1", 8000)),
    ResponseNeverReceived([Failure(CancelledError())]),
)


class Asked:
    """An application, and one who asks it."""

    def __init__(
        self,
        options: ForwardAuth = OPTIONS,
        descriptors: Descriptors | None = None,
        called_off: Exception | None = None,
    ) -> None:
        self.clock = Clock()
        self.agent = plain.Application(called_off)
        self.application = Application(options, self.clock, self.agent, descriptors)

    def ask(self, shown: Shown = BEARER, *, anew: bool = False, asker: Asker = ASKER) -> Answered:
        return Answered(Deferred.fromCoroutine(self.application.ask(asker, shown, anew=anew)))


class Answered:
    """What became of a question."""

    def __init__(self, asking: Deferred[Ticket]) -> None:
        self.ticket: Ticket | None = None
        self.fault: BaseException | None = None
        self.asking = asking
        asking.addCallbacks(self._take, self._fail)

    def _take(self, ticket: Ticket) -> None:
        self.ticket = ticket

    def _fail(self, failure: object) -> None:
        self.fault = failure.value  # type: ignore[attr-defined]  # a Failure


def test_it_is_asked_with_what_the_page_has_shown_and_no_more() -> None:
    there = Asked()
    there.ask(Shown("opaque", COOKIE.cookies))

    [headers] = there.agent.asked
    assert dict(headers.getAllRawHeaders()) == {
        b"Accept": [b"application/json"],
        b"X-Forwarded-For": [b"192.0.2.1"],
        b"Origin": [b"https://app.example"],
        b"Authorization": [b"Bearer opaque"],
        b"Cookie": [b"session=s3; session=s4"],
    }


def test_a_program_has_no_origin_to_tell() -> None:
    there = Asked()
    there.ask(asker=Asker(None, None, "192.0.2.1"))

    assert not there.agent.asked[0].hasHeader("Origin")


def test_only_what_can_be_asked_about_is_asked() -> None:
    application = Asked().application

    assert application.knows_of(BEARER)
    assert application.knows_of(COOKIE)
    assert not application.knows_of(Shown("", (("theme", "dark"),)))
    assert not application.knows_of(NOTHING)


def test_its_answer_is_a_tickets_claims() -> None:
    there = Asked()
    answered = there.ask()
    there.agent.answer(b'{"sub": "alice", "expires_s": 60, "backends": ["irc"], "x": 1}')

    assert answered.ticket == Ticket("alice", 60.0, backends=("irc",))


def test_a_cookie_makes_no_bearer() -> None:
    there = Asked()
    answered = there.ask(COOKIE)
    there.agent.answer()

    assert answered.ticket == Ticket("alice", OPTIONS.good_for, bearer=False)


@pytest.mark.parametrize("code", [401, 403])
def test_whom_it_does_not_know_is_told(code: int) -> None:
    there = Asked()
    answered = there.ask()
    there.agent.answer(b"who?", code)

    assert isinstance(answered.fault, BadTicket)
    assert answered.fault.code is Code.TICKET_REFUSED


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"", 200, "Expecting value: line 1 column 1 (char 0)"),
        (b"[]", 200, "claims: input should be a valid dictionary or instance of _answer"),
        (b"{}", 200, "sub: field required"),
        (b'{"sub": "a", "expires_s": 0}', 200, "expires_s: input should be greater than 0"),
        (b'{"sub": "a", "expires_s": NaN}', 200, "expires_s: input should be a finite number"),
        (b'{"sub": "*"}', 200, "sub names nobody"),
        (b"\xff", 200, "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (bytes(ANSWER_MAX_BYTES + 1), 200, "a body above 16384 bytes"),
        (
            b"[" * ANSWER_MAX_BYTES,
            200,
            "maximum recursion depth exceeded while decoding a JSON array from a unicode string",
        ),
        (plain.ALICE, 500, "it answered 500"),
        (plain.ALICE, 302, "it answered 302"),
        (plain.ALICE, 204, "it answered 204"),
    ],
)
def test_an_answer_that_says_nothing_lets_nobody_in(body: bytes, code: int, reason: str) -> None:
    there = Asked()
    with lines() as said:
        answered = there.ask()
        there.agent.answer(body, code)

    assert isinstance(answered.fault, Refused)
    assert answered.fault.code is Code.BUSY
    assert said == [f"forward_auth http://127.0.0.1:8000/who: {reason}"]


@pytest.mark.parametrize("last_word", CALLED_OFF)
def test_silence_lets_nobody_in_and_is_not_waited_for(last_word: Exception) -> None:
    there = Asked(called_off=last_word)
    with lines() as said:
        answered = there.ask()
        there.clock.advance(OPTIONS.timeout)

    assert isinstance(answered.fault, Refused)
    assert there.agent.called_off == 1
    assert said == ["forward_auth http://127.0.0.1:8000/who: no answer within 2 s"]


@pytest.mark.parametrize("last_word", CALLED_OFF)
def test_who_does_not_wait_for_it_is_no_fault_of_its(last_word: Exception) -> None:
    there = Asked(called_off=last_word)
    with lines() as said:
        answered = there.ask()
        answered.asking.cancel()

    assert isinstance(answered.fault, CancelledError)
    assert said == []


def test_an_answer_that_stops_in_the_middle_lets_nobody_in_and_leaves_no_connection() -> None:
    there = Asked()
    with lines() as said:
        answered = there.ask()
        response = there.agent.begin(b'{"sub": "ali')
        there.clock.advance(OPTIONS.timeout)

    assert isinstance(answered.fault, Refused)
    assert response.given_up
    assert said == ["forward_auth http://127.0.0.1:8000/who: no answer within 2 s"]


def test_what_comes_behind_too_much_is_not_waited_for() -> None:
    there = Asked()
    answered = there.ask()
    response = there.agent.begin(bytes(ANSWER_MAX_BYTES + 1))
    response.body.dataReceived(b"more")

    assert isinstance(answered.fault, Refused)
    assert response.given_up


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ConnectionRefusedError(), "Connection was refused by other side."),
        (DNSLookupError("no results"), "DNS lookup failed: no results."),
        (ResponseFailed([Failure(ConnectionLost())]), "Connection to the other side was lost"),
    ],
)
def test_an_application_that_is_away_lets_nobody_in(fault: Exception, reason: str) -> None:
    there = Asked()
    with lines() as said:
        answered = there.ask()
        there.agent.refuse(fault)

    assert isinstance(answered.fault, Refused)
    assert answered.fault.code is Code.BUSY
    assert said[0].startswith(f"forward_auth http://127.0.0.1:8000/who: {reason}")


def test_what_its_url_may_hold_of_secrets_is_not_logged() -> None:
    there = Asked(OPTIONS.model_copy(update={"url": "http://127.0.0.1:8000/who?key=s3"}))
    with lines() as said:
        there.ask()
        there.agent.refuse()

    assert said == ["forward_auth http://127.0.0.1:8000/who: Connection was refused by other side."]


def test_a_question_takes_a_descriptor_and_none_of_the_reserve() -> None:
    descriptors = Descriptors(20)
    descriptors.taken = descriptors.most - 1
    there = Asked(descriptors=descriptors)
    there.ask()
    assert descriptors.spent

    fault = there.ask(COOKIE).fault
    assert isinstance(fault, Refused)
    assert fault.code is Code.BUSY
    there.agent.answer()
    assert descriptors.taken == descriptors.most - 1


def test_who_leaves_is_not_asked_about_any_more(logged_errors: LoggedErrors) -> None:
    there = Asked()
    answered = there.ask()
    answered.asking.cancel()

    assert there.agent.called_off == 1
    assert there.clock.getDelayedCalls() == []


def test_an_answer_holds_for_a_while_for_the_same_question() -> None:
    there = Asked()
    there.ask()
    there.agent.answer()

    assert there.ask().ticket == Ticket("alice", OPTIONS.good_for)
    there.ask(COOKIE)
    there.ask(asker=Asker("https://other.example", None, "192.0.2.1"))
    assert len(there.agent.asked) == 3
    there.clock.advance(OPTIONS.cache)
    there.application.forget(there.clock.seconds())
    there.ask()
    assert len(there.agent.asked) == 4


def test_an_answer_that_is_kept_opens_nothing_for_longer_than_it_said() -> None:
    there = Asked()
    there.ask()
    there.agent.answer(b'{"sub": "alice", "expires_s": 4}')

    there.clock.advance(3)
    assert there.ask().ticket == Ticket("alice", 1.0)
    there.clock.advance(1)
    there.ask()
    assert len(there.agent.asked) == 2
    there.agent.answer()


def test_a_no_holds_for_a_while_too_and_silence_does_not() -> None:
    there = Asked()
    there.ask()
    there.agent.answer(code=403)
    assert isinstance(there.ask().fault, BadTicket)

    there.ask(COOKIE)
    there.agent.refuse()
    there.ask(COOKIE)
    assert len(there.agent.asked) == 3


def test_it_is_asked_anew_where_its_old_word_is_not_enough() -> None:
    there = Asked()
    there.ask()
    there.agent.answer()
    answered = there.ask(anew=True)
    there.agent.answer(code=401)

    assert isinstance(answered.fault, BadTicket)


def test_not_too_many_ask_at_once() -> None:
    there = Asked()
    for number in range(ASKED_AT_ONCE):
        there.ask(Shown(f"t{number}"))

    fault = there.ask().fault
    assert isinstance(fault, Refused)
    assert fault.code is Code.BUSY
    there.agent.answer()
    assert there.ask(Shown("late")).fault is None
    there.clock.advance(OPTIONS.timeout)


def test_not_too_many_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sockproxy.auth.application.REMEMBERED_MAX", 2)
    there = Asked()
    for number in range(3):
        there.ask(Shown(f"t{number}"))
        there.agent.answer()

    there.ask(Shown("t2"))
    assert len(there.agent.asked) == 3
    there.ask(Shown("t0"))
    assert len(there.agent.asked) == 4
