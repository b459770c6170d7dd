"""Is a sequence heard of when it fails, and not when it is called off?"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from sockproxy import tasks
from tests.conftest import LoggedErrors


def test_a_failure_is_logged_once(logged_errors: LoggedErrors) -> None:
    async def fail() -> None:
        raise KeyError("lost")

    assert tasks.start(fail(), "a test").called
    assert len(logged_errors.flush(KeyError)) == 1


def test_a_sequence_that_is_called_off_has_not_failed() -> None:
    steps: list[str] = []

    async def wait() -> None:
        steps.append("begun")
        await Deferred[None]()
        steps.append("done")

    running = tasks.start(wait(), "a test")
    running.cancel()

    assert running.called
    assert steps == ["begun"]
