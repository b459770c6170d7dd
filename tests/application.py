"""How does a test play the application that knows its users, without a network?"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

ALICE = b'{"sub": "alice"}'


@implementer(IResponse)
class Response:
    """An answer whose body comes when the test says so."""

    version = (b"HTTP", 1, 1)
    phrase = b""
    length: Any = 0
    previousResponse = request = None

    def __init__(self, code: int) -> None:
        self.code = code
        self.headers = Headers()
        self.body: Any = None
        self.given_up = False

    def deliverBody(self, protocol: Protocol) -> None:
        self.body = protocol
        protocol.makeConnection(self)

    def loseConnection(self) -> None:
        self.given_up = True
        self.body.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: IResponse) -> None:
        raise AssertionError("nothing is redirected")


@implementer(IAgent)
class Application:
    """Answers in its own time: each question waits for `answer`."""

    def __init__(self, called_off: Exception | None = None) -> None:
        self.asked: list[Headers] = []
        self.called_off = 0
        # What Twisted's agent says once it is connected, not the CancelledError of others.
        self._last_word = called_off or ResponseNeverReceived([Failure(CancelledError())])
        self._waiting: list[Deferred[Any]] = []

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        assert (method, uri.partition(b"?")[0]) == (b"GET", b"http://127.0.0.1:8000/who")
        assert headers is not None
        self.asked.append(headers)
        waiting: Deferred[Any] = Deferred(self._called_off)
        self._waiting.append(waiting)
        return waiting

    def _called_off(self, waiting: Deferred[Any]) -> None:
        self.called_off += 1
        waiting.errback(Failure(self._last_word))

    def answer(self, body: bytes = ALICE, code: int = 200) -> Response:
        response = self.begin(body, code)
        if not response.given_up:
            response.body.connectionLost(Failure(ResponseDone()))
        return response

    def begin(self, body: bytes = ALICE, code: int = 200) -> Response:
        """Say what may not be all of an answer."""
        response = Response(code)
        self._waiting.pop(0).callback(response)
        response.body.dataReceived(body)
        return response

    def refuse(self, fault: Exception | None = None) -> None:
        self._waiting.pop(0).errback(Failure(fault or ConnectionRefusedError()))
