"""What must hold after every test?

Nothing in the log that is an error, no delayed call, port, connection or descriptor left.
A test that causes an error on purpose takes it out with `logged_errors.flush(Type)`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import HealthCheck, settings
from twisted.internet import reactor as global_reactor
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from sockproxy.logs import SIEVE
from tests import logged

# The same examples in each run; `--hypothesis-profile=long` draws many new ones.
settings.register_profile(
    "default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", settings.get_profile("default"), derandomize=False, max_examples=2_500
)
settings.load_profile("default")

reactor: Any = global_reactor
SETTLE_TURNS = 50
TURN_S = 0.01


@implementer(ILogObserver)
class LoggedErrors:
    """The errors that were logged since the test began."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_failure") or event.get("failure") or event.get("isError"):
            self._events.append(event)

    def flush(self, *kinds: type[BaseException]) -> list[Failure]:
        """Take out the failures of these kinds and return them."""
        failures = [failure_of(event) for event in self._events]
        found = [f for f in failures if f is not None and f.check(*kinds)]
        self._events = [
            event
            for event, failure in zip(self._events, failures, strict=True)
            if failure is None or not failure.check(*kinds)
        ]
        return found

    def texts(self) -> list[str]:
        """What is left, readable."""
        return [
            failure.getTraceback() if failure is not None else str(event)
            for event in self._events
            for failure in [failure_of(event)]
        ]


def failure_of(event: LogEvent) -> Failure | None:
    failure = event.get("log_failure") or event.get("failure")
    return failure if isinstance(failure, Failure) else None


@pytest.fixture(autouse=True, scope="session")
def _quick_collections() -> None:
    """Take what was imported out of every later collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def logged_errors() -> Iterator[LoggedErrors]:
    """Fail the test on a logged error, also on a Deferred that failed unheard."""
    SIEVE.stop()  # what an earlier test logged is to hide nothing of this one
    errors = LoggedErrors()
    globalLogPublisher.addObserver(errors)
    yield errors
    gc.collect()
    # What is left now is pytest's own, and would be looked through after each later test.
    gc.freeze()
    globalLogPublisher.removeObserver(errors)
    left = errors.texts()
    if left:
        pytest.fail("errors in the log:\n" + "\n".join(left), pytrace=False)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged during the test."""
    with logged.lines() as caught:
        yield caught


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail the test on what it leaves in the reactor or open in the process."""
    calls, selectables, sockets = delayed_calls(), in_reactor(), open_sockets()
    yield
    for _ in range(SETTLE_TURNS):
        if delayed_calls() <= calls and in_reactor() <= selectables:
            break
        turn()
    leaks = [
        *(f"delayed call: {call}" for call in delayed_calls() - calls),
        *(f"in the reactor: {item}" for item in in_reactor() - selectables),
    ]
    if not leaks and open_sockets() - sockets:
        gc.collect()
        leaks = [f"descriptor: {name}" for name in open_sockets() - sockets]
    if leaks:
        pytest.fail("left behind:\n" + "\n".join(leaks), pytrace=False)


def turn() -> None:
    """Let the reactor, whose loop runs in another greenlet, notice what has ended."""
    pytest_twisted.blockon(deferLater(reactor, TURN_S))


def delayed_calls() -> set[Any]:
    """Calls to come, but for autobahn's shared buckets, which outlive the timeouts in them."""
    return {
        call
        for call in reactor.getDelayedCalls()
        if call.active() and "_BatchedTimer" not in str(call)
    }


def in_reactor() -> set[Any]:
    """Readers and writers, but for the reactor's own."""
    found = set(reactor.getReaders()) | set(reactor.getWriters())
    return {item for item in found if "Waker" not in type(item).__name__}


def open_sockets() -> set[str]:
    """The sockets and pipes that this process holds."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            name = os.readlink(entry)
        except OSError:
            continue
        if name.startswith("socket:"):
            found.add(name)
    return found
