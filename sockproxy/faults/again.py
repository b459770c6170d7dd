"""How is a request sent that the page knows nothing of? On a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from sockproxy.faults.http1 import Cutter, End, NotHttp


class Again(Protocol):
    """Sends one request, reads its answer and throws it away."""

    def __init__(self, request: bytes, method: str, gone: Callable[[Again], None]) -> None:
        self._request = request
        self._gone = gone
        self._answers = Cutter(requests=False)
        self._answers.methods.append(method)

    def connectionMade(self) -> None:
        self._wire.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        self._answers.receive(data)
        try:
            while (event := self._answers.next()) is not None:
                if isinstance(event, End):
                    self._wire.loseConnection()
                    return
        except NotHttp:
            self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone(self)

    def abort(self) -> None:
        self._wire.abortConnection()

    @property
    def _wire(self) -> Any:
        return self.transport
