"""Does a repeated task run on time, survive a failure and stop?"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from sockproxy.timers import Every


def test_it_runs_once_per_period_from_start_to_stop() -> None:
    clock, runs = Clock(), []
    every = Every(clock, 2.0, lambda: runs.append(clock.seconds()))

    every.start()
    clock.pump([1.0] * 5)
    every.stop()
    clock.pump([1.0] * 5)

    assert runs == [2.0, 4.0]
    assert not clock.getDelayedCalls()


def test_a_failure_is_logged_and_the_next_run_comes(logged_errors: Any) -> None:
    clock, runs = Clock(), []

    def fail() -> None:
        runs.append(clock.seconds())
        raise ValueError("once more")

    every = Every(clock, 1.0, fail)
    every.start()
    clock.pump([1.0, 1.0])
    every.stop()

    assert runs == [1.0, 2.0]
    assert len(logged_errors.flush(ValueError)) == 2


def test_stopping_twice_is_harmless() -> None:
    every = Every(Clock(), 1.0, lambda: None)
    every.start()
    every.stop()
    every.stop()
