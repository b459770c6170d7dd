"""Does a URL that leads nowhere say so, and one that has to wait answer in the end?"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest

from sockproxy.place import Place, answer, answer_later


class Readable(Place):
    def render_GET(self, request: Request) -> bytes:
        return b"here"


@pytest.mark.parametrize(
    ("place", "method", "status", "body"),
    [
        (Place(), b"GET", 404, b"not found\n"),
        (Place(), b"HEAD", 404, b"not found\n"),
        (Place(), b"x y", 404, b"not found\n"),
        (Readable(), b"GET", None, b"here"),
        (Readable(), b"HEAD", None, b"here"),
        (Readable(), b"POST", 405, b"not allowed\n"),
    ],
)
def test_a_place_answers_what_it_can(
    place: Place, method: bytes, status: int | None, body: bytes
) -> None:
    request: Any = DummyRequest([b""])
    request.method = method

    assert place.render(request) == body
    assert request.responseCode == status


def test_below_a_place_is_nothing() -> None:
    request: Any = DummyRequest([b"x"])
    child = Readable().getChild(b"x", request)

    assert type(child) is Place


@pytest.mark.parametrize("waits", [False, True])
def test_an_answer_may_come_later(waits: bool) -> None:
    request: Any = DummyRequest([b""])
    ready: Deferred[None] = Deferred()

    async def answering() -> None:
        if waits:
            await ready
        answer(request, b"here")

    assert answer_later(request, answering()) == NOT_DONE_YET
    ready.callback(None)
    assert request.written == [b"here"]
    assert request.finished
    assert request.responseHeaders.getRawHeaders(b"content-length") == [b"4"]


def test_who_waits_no_longer_is_not_answered() -> None:
    request: Any = DummyRequest([b""])
    waiting: Deferred[None] = Deferred()

    async def answering() -> None:
        await waiting
        answer(request, b"here")

    answer_later(request, answering())
    request.processingFailed(Failure(ConnectionLost()))

    assert waiting.called
    assert request.written == []


def test_a_fault_of_ours_is_answered_as_one() -> None:
    request: Any = DummyRequest([b""])
    failures: list[Failure] = []
    request.processingFailed = failures.append

    async def answering() -> None:
        raise KeyError("lost")

    answer_later(request, answering())

    assert failures[0].check(KeyError)
