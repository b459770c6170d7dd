"""What can the playground do to its own network?

The demo has a fault proxy in front of itself, and a page that is loaded through it asks for
what is to go wrong with its own sockets.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web import http
from twisted.web.http import Request

from sockproxy.faults import BadRule, FaultProxy, Plan
from sockproxy.front import visitor
from sockproxy.head import BadHead
from sockproxy.place import Place
from sockproxy.policy import origin

RULES_MAX_BYTES = 2048
ANSWERED_WITHIN_S = 0.2
# The page itself must load, whatever is wrong with the network of its sockets.
NATIVE = "where=/sp/*"


class Faults(Place):
    """`/playground/faults`: where the fault proxy is, and what it is to do from now on."""

    def __init__(
        self, clock: IReactorTime, proxy: FaultProxy, origins: tuple[str, ...], seed: int
    ) -> None:
        super().__init__()
        self._clock = clock
        self._cutting: IDelayedCall | None = None
        self._rules = ""
        self._proxy = proxy
        self._origins = origins
        self._seed = seed

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Cache-Control", "no-store")
        told = {"url": f"http://127.0.0.1:{self._proxy.port}", "rules": self._rules}
        return json.dumps(told).encode()

    def render_POST(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        try:
            asking = visitor(request).origin
        except BadHead as error:
            return _say(request, error.status, error.text)
        if asking is None or not origin.allowed(asking, self._origins):
            return _say(request, http.FORBIDDEN, "only pages of this machine")
        assert request.content is not None
        text = request.content.read(RULES_MAX_BYTES).decode("utf-8", "replace")
        rules = [line if "where=" in line else f"{line} {NATIVE}" for line in text.splitlines()]
        try:
            plan = Plan(rules, self._seed)
        except BadRule as error:
            return _say(request, http.BAD_REQUEST, str(error))
        self._rules = text
        self._proxy.set_plan(plan)
        self._cut_soon()
        return _say(request, http.OK, str(plan))

    def stop(self) -> None:
        if self._cutting is not None and self._cutting.active():
            self._cutting.cancel()

    def _cut_soon(self) -> None:
        """What is open now was opened under the old plan; but this answer is to get through."""
        self.stop()
        self._cutting = self._clock.callLater(ANSWERED_WITHIN_S, self._proxy.cut_all)


def _say(request: Any, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    return text.encode() + b"\n"
