"""Who does the application say that this is?

It is asked by a GET with what the page has shown: its ticket as a bearer's, and those of its
cookies that the operator has listed. The answer is a JSON object of a ticket's claims. No
answer in time, or one that cannot be read, lets nobody in.
"""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from sockproxy.auth.shown import Shown
from sockproxy.codes import Code
from sockproxy.logs import Logger
from sockproxy.policy.access import Asker
from sockproxy.policy.descriptors import Descriptors
from sockproxy.policy.ticket import BadTicket, Rights, Ticket, read
from sockproxy.refused import RETRY_MS, Refused
from sockproxy.settings import ForwardAuth

ANSWER_MAX_BYTES = 16 * 1024
ASKED_AT_ONCE = 256
REMEMBERED_MAX = 10_000

_NOBODY = (http.UNAUTHORIZED, http.FORBIDDEN)
_UNHEARD = (
    error.ConnectError,
    error.ConnectionClosed,
    error.DNSLookupError,
    ResponseFailed,
    TimeoutError,
)
# What JSON can be that is none of ours; the last for lists in lists without end.
_UNREAD = (BadTicket, ValueError, RecursionError)


class _Answer(Rights):
    expires_s: Annotated[float, Field(gt=0, le=7 * 86400, allow_inf_nan=False)] | None = None


class _Body(Protocol):
    """The body of an answer, as long as it is short and somebody waits for it."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(self._hang_up)
        self._body = b""
        self._is_over = False

    def dataReceived(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > ANSWER_MAX_BYTES and not self._is_over:
            self._hang_up(self.done)
            self.done.errback(ValueError(f"a body above {ANSWER_MAX_BYTES} bytes"))

    def _hang_up(self, _: Deferred[bytes]) -> None:
        """Leave no connection to an application that does not come to its end."""
        self._is_over = True
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._is_over:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(self._body)
        else:
            self.done.errback(reason)


class _Said(NamedTuple):
    """What was said, when, and until when it holds for the same question."""

    ticket: Ticket | None
    since: float
    until: float

    def at(self, now: float) -> Ticket | None:
        """Return it as of `now`: whoever comes late stays no longer for that."""
        ticket = self.ticket
        return ticket and replace(ticket, good_for_s=ticket.good_for_s - (now - self.since))


class Application:
    """The application that knows its users."""

    log = Logger()

    def __init__(
        self,
        options: ForwardAuth,
        clock: IReactorTime,
        agent: IAgent,
        descriptors: Descriptors | None = None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._agent = agent
        self._descriptors = descriptors or Descriptors()
        self._asked = 0
        self._said: dict[bytes, _Said] = {}

    @property
    def takes_cookies(self) -> bool:
        return bool(self._options.cookies)

    def knows_of(self, shown: Shown) -> bool:
        """Return whether there is anything to ask about."""
        return bool(shown.ticket or self._cookies(shown))

    async def ask(self, asker: Asker, shown: Shown, *, anew: bool = False) -> Ticket:
        """Return whom the application knows; `anew`: whatever it has said before.

        Raises `BadTicket` where it knows nobody, `Refused` where it does not say.
        """
        key = self._key(asker, shown)
        known = None if anew else self._said.get(key)
        now = self._clock.seconds()
        if known is not None and known.until > now:
            ticket = known.at(now)
        else:
            ticket = await self._ask(asker, shown)
            self._remember(key, ticket)
        if ticket is None:
            raise BadTicket("the application does not know you")
        return ticket

    def forget(self, now: float) -> None:
        """Drop the answers that hold no longer."""
        self._said = {key: said for key, said in self._said.items() if said.until > now}

    def _remember(self, key: bytes, ticket: Ticket | None) -> None:
        while len(self._said) >= REMEMBERED_MAX:
            del self._said[next(iter(self._said))]
        now, holds_s = self._clock.seconds(), self._options.cache
        if ticket is not None:
            holds_s = min(holds_s, ticket.good_for_s)
        self._said[key] = _Said(ticket, now, now + holds_s)

    async def _ask(self, asker: Asker, shown: Shown) -> Ticket | None:
        if self._asked >= ASKED_AT_ONCE or self._descriptors.spent:
            raise Refused(Code.BUSY, "too many are asking who they are", RETRY_MS)
        self._asked += 1
        taken = self._descriptors.take()
        asking = Deferred.fromCoroutine(self._answer(self._headers(asker, shown)))
        try:
            return await asking.addTimeout(self._options.timeout, self._clock)
        except (*_UNHEARD, *_UNREAD) as fault:
            # What stands behind the ? may be a key of the application's.
            url = (self._options.url or "").partition("?")[0]
            self.log.error("forward_auth {url}: {reason}", url=url, reason=self._reason(fault))
            text = "who you are cannot be found out now"
            raise Refused(Code.BUSY, text, RETRY_MS) from None
        finally:
            self._asked -= 1
            taken.give_back()

    def _reason(self, fault: Exception) -> str:
        """Return why there is no answer, in words for the operator."""
        if isinstance(fault, TimeoutError):
            return f"no answer within {self._options.timeout:g} s"
        if isinstance(fault, ResponseFailed):
            return "; ".join(failure.getErrorMessage() for failure in fault.reasons)
        return getattr(fault, "text", None) or str(fault) or type(fault).__name__

    async def _answer(self, headers: Headers) -> Ticket | None:
        """Return what one answer says. Raises one of `_UNHEARD` or `_UNREAD`."""
        url = (self._options.url or "").encode()
        asking = self._agent.request(b"GET", url, headers, None)
        response: Any = await asking.addErrback(_called_off)
        body = await _body(response)
        if response.code in _NOBODY:
            return None
        if response.code != http.OK:
            raise ValueError(f"it answered {response.code}")
        said = read(_Answer, json.loads(body))
        bearer = headers.hasHeader("Authorization")
        return said.ticket(said.expires_s or self._options.good_for, bearer=bearer)

    def _headers(self, asker: Asker, shown: Shown) -> Headers:
        headers = {"Accept": "application/json", "X-Forwarded-For": asker.peer}
        if asker.origin is not None:
            headers["Origin"] = asker.origin
        if shown.ticket:
            headers["Authorization"] = f"Bearer {shown.ticket}"
        cookies = self._cookies(shown)
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies)
        return Headers({name: [value] for name, value in headers.items()})

    def _cookies(self, shown: Shown) -> list[tuple[str, str]]:
        return [cookie for cookie in shown.cookies if cookie[0] in self._options.cookies]

    def _key(self, asker: Asker, shown: Shown) -> bytes:
        """Return what stands for a question; no secret is kept for it."""
        asked = [asker.origin, asker.peer, shown.ticket, self._cookies(shown)]
        return sha256(json.dumps(asked).encode()).digest()


def _called_off(failure: Failure) -> Failure:
    """Say `CancelledError` where a question was called off: an agent has other words for it."""
    reasons = getattr(failure.value, "reasons", (failure,))
    if any(reason.check(CancelledError, error.ConnectingCancelledError) for reason in reasons):
        raise CancelledError from None
    return failure


async def _body(response: IResponse) -> bytes:
    body = _Body()
    response.deliverBody(body)
    return await body.done
