"""Does a URL that leads nowhere say so, whatever it is asked?"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.http import Request
from twisted.web.test.requesthelper import DummyRequest

from sockproxy.place import Place


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
