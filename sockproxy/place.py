"""What does a URL answer that leads nowhere, and one that has to wait for its answer?"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.http import Request
from twisted.web.resource import Resource


class Place(Resource):
    """A node of the tree; what is not put below it, or is no way in, is not found."""

    def getChild(self, path: bytes, request: Request) -> Resource:
        return Place()

    def render(self, request: Request) -> bytes | int:
        method = "GET" if request.method == b"HEAD" else request.method.decode("latin-1")
        act = getattr(self, f"render_{method}", None)
        if act is not None:
            answer: bytes | int = act(request)
            return answer
        known = [name for name in ("GET", "POST") if hasattr(self, f"render_{name}")]
        request.setResponseCode(http.NOT_ALLOWED if known else http.NOT_FOUND)
        if known:
            request.setHeader("Allow", ", ".join(known))
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return b"not allowed\n" if known else b"not found\n"


def answer(request: Request, body: bytes) -> None:
    """Answer a request that was not answered at once."""
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.write(body)
    request.finish()


def answer_later(request: Request, answering: Coroutine[Deferred[Any], Any, None]) -> int:
    """Let a coroutine answer a request, as long as anybody waits for that."""
    finished = request.notifyFinish()
    running = Deferred.fromCoroutine(answering)

    def failed(failure: Failure) -> None:
        if not failure.check(CancelledError):
            cast(server.Request, request).processingFailed(failure)

    running.addErrback(failed)
    finished.addErrback(lambda _: running.cancel())
    return server.NOT_DONE_YET
