"""Is what waits done once, when its successor comes or when that is late?"""

from __future__ import annotations

from twisted.internet.task import Clock

from sockproxy.faults.successors import Successors

UP = ("POST", "/up")


def test_an_action_waits_for_its_own_kind() -> None:
    clock, done = Clock(), []
    waits = Successors(clock)
    waits.after(UP, lambda: done.append(1), within_s=5)
    waits.after(UP, lambda: done.append(2))
    waits.answered(("POST", "/down"))
    assert done == []
    assert len(waits) == 2
    waits.answered(UP)
    assert done == [1, 2]
    assert not waits
    assert clock.getDelayedCalls() == []


def test_what_is_late_goes_alone() -> None:
    clock, done = Clock(), []
    waits = Successors(clock)
    waits.after(UP, lambda: done.append(1), within_s=5)
    waits.after(UP, lambda: done.append(2), within_s=9)
    clock.advance(5)
    assert done == [1]
    clock.advance(4)
    assert done == [1, 2]
    waits.answered(UP)
    assert done == [1, 2]


def test_an_action_may_wait_anew() -> None:
    waits, done = Successors(Clock()), []
    waits.after(UP, lambda: waits.after(UP, lambda: done.append(1)))
    waits.answered(UP)
    assert done == []
    waits.answered(UP)
    assert done == [1]


def test_stopping_forgets_all() -> None:
    clock, done = Clock(), []
    waits = Successors(clock)
    waits.after(UP, lambda: done.append(1), within_s=5)
    waits.after(UP, lambda: done.append(2))
    waits.stop()
    waits.answered(UP)
    assert done == []
    assert clock.getDelayedCalls() == []
