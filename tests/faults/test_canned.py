"""Is what a box answers a whole answer?"""

from __future__ import annotations

import pytest

from sockproxy.faults import canned
from sockproxy.faults.http1 import Cutter, End, HeadCut, Piece
from sockproxy.faults.kinds import REDIRECTS, STATUSES, Answer


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_one_whole_message(status: int) -> None:
    cutter = Cutter(requests=False)
    asked = Answer(verb="answer", status=status, location="/there", retry_after_s=4)
    cutter.receive(canned.answer(asked))
    head, body, end = cutter.next(), cutter.next(), cutter.next()
    assert isinstance(head, HeadCut)
    assert isinstance(body, Piece)
    assert isinstance(end, End)
    assert cutter.waiting == 0
    assert head.head.status == status
    assert head.head.get("Retry-After") == "4"
    assert head.head.get("Location") == ("/there" if status in REDIRECTS else "")


def test_a_head_is_answered_without_a_body() -> None:
    said = canned.answer(Answer(verb="login", status=200), head_only=True)
    assert said.endswith(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(canned.LOGIN) in said
