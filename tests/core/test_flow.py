"""Does credit follow consumption, in steps worth a frame?"""

from __future__ import annotations

import pytest

from sockproxy.codes import Code
from sockproxy.core.errors import LocalError, StreamError
from sockproxy.core.flow import ReceiveWindow, SendCredit


def test_credit_only_grows_and_cannot_be_overdrawn() -> None:
    credit = SendCredit(10)
    credit.spend(4)
    credit.grant(5)
    assert credit.room == 6
    credit.grant(20)
    assert credit.room == 16
    with pytest.raises(LocalError, match="sending 17 bytes with credit for 16"):
        credit.spend(17)


def test_bytes_beyond_the_window_are_the_streams_fault() -> None:
    window = ReceiveWindow(10, 0.0)
    window.receive(10)
    with pytest.raises(StreamError, match="offset 11 beyond window 10") as caught:
        window.receive(1)
    assert caught.value.code is Code.FLOW
    assert window.held == 10


def test_a_grant_is_due_at_half_a_window() -> None:
    window = ReceiveWindow(10, 0.0)
    window.receive(10)
    window.consume(4)
    assert not window.due
    window.consume(1)
    assert window.due
    assert window.grant(now=9.0, rtt_s=0.1, spare=100) == 15
    assert not window.due


def test_consuming_what_did_not_come_is_our_own_fault() -> None:
    window = ReceiveWindow(10, 0.0)
    window.receive(1)
    with pytest.raises(LocalError):
        window.consume(2)


@pytest.mark.parametrize(
    ("now", "rtt_s", "spare", "size"),
    [
        (0.2, 0.1, 10, 20),
        (0.3, 0.1, 10, 10),
        (0.2, 0.1, 9, 10),
        (0.1, 0.0, 10, 10),
    ],
    ids=["fast", "slow", "no room to grow", "round trip not known"],
)
def test_a_window_doubles_while_it_is_drained_fast(
    now: float, rtt_s: float, spare: int, size: int
) -> None:
    window = ReceiveWindow(10, 0.0)
    window.receive(10)
    window.consume(10)
    window.grant(now, rtt_s, spare)
    assert window.size == size
    assert window.max == 10 + size
