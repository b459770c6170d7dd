"""How is a sequence started, so that it can be cancelled and does not fail unheard?"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from sockproxy.logs import Logger

log = Logger(__name__)


def start(sequence: Coroutine[Deferred[Any], Any, None], what: str) -> Deferred[None]:
    """Run a coroutine until it first waits; whoever keeps the result may cancel it."""

    def tell(failure: Failure) -> None:
        if not failure.check(CancelledError):
            log.failure("{what} failed", failure, what=what)

    return Deferred.fromCoroutine(sequence).addErrback(tell)
