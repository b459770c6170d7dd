"""How does an Allow become an open backend?

Resolve once, look at every address, connect to the literal that was looked at: nothing
is resolved a second time between the check and the connection. One denied address refuses
the name, since a mixed answer is what a rebinding attack looks like. What the backend is told
of the client goes out before anybody else has the connection to write on.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IAddress, IHostnameResolver, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sockproxy.backends import connector, trust
from sockproxy.codes import Code
from sockproxy.logs import Logger
from sockproxy.policy.access import UNTOLD, Allow, out_of_bounds
from sockproxy.policy.descriptors import Descriptors, Taken
from sockproxy.policy.target import is_literal
from sockproxy.settings import TcpTarget, UnixTarget

ADDRESSES_TRIED = 4
REFUSAL_S = 1.0

log = Logger(__name__)


class OpenFailed(Exception):
    """There is no backend; `code` and `text` are what the page may know."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Backend(Protocol):
    """A protocol that tells when it can carry bytes: at once, or after its handshake."""

    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self.taken: Taken | None = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Count its descriptor no more."""
        if self.taken is not None:
            self.taken.give_back()


class Wrapping(Factory):
    """Gives the one connection that is made its one protocol."""

    noisy = False

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def buildProtocol(self, addr: IAddress | None) -> Backend:
        return self._backend


class Opening:
    """The only way to a backend."""

    def __init__(
        self,
        reactor: Any,
        resolver: IHostnameResolver,
        refusal_s: float = REFUSAL_S,
        descriptors: Descriptors | None = None,
    ) -> None:
        self._descriptors = descriptors or Descriptors()
        self._reactor = reactor
        self._resolver = resolver
        self._refusal_s = refusal_s

    def open(self, allow: Allow, backend: Backend) -> Deferred[None]:
        """Connect `backend` to what was allowed. Fails with `OpenFailed`.

        Cancelling gives up whatever step it has come to. Any other failure is a fault of
        ours or of the operator's files, such as a CA file that cannot be read.
        """
        opening = Deferred.fromCoroutine(self._open(allow, backend))
        opening.addTimeout(allow.connect_timeout_s, self._reactor)

        def explain(failure: Failure) -> Failure:
            backend.give_back()
            known = _known(allow, failure.value)
            if known is None:
                return failure
            raise known from failure.value

        opening.addErrback(explain)
        if not allow.detail:
            opening.addErrback(self._no_sooner, self._reactor.seconds() + self._refusal_s)
        return opening

    def _no_sooner(self, failure: Failure, until: float) -> Deferred[None]:
        """Fail at a time that tells nothing about the reason."""
        waiting: Deferred[None] = deferLater(
            self._reactor, max(0.0, until - self._reactor.seconds())
        )
        return waiting.addBoth(lambda _: failure)

    async def _open(self, allow: Allow, backend: Backend) -> None:
        if self._descriptors.spent:
            raise OpenFailed(Code.BUSY, f"{allow.name}: no descriptor to spare, try again")
        backend.taken = self._descriptors.take()
        factory = Wrapping(backend)
        last: Exception = OpenFailed(Code.NAME_NOT_FOUND, f"{allow.name}: no address")
        for endpoint in await self._endpoints(allow):
            try:
                await endpoint.connect(factory)
            except error.ConnectError as fault:
                last = fault
            else:
                await _ready(backend, allow)
                _introduce(backend, allow)
                return
        raise last

    async def _endpoints(self, allow: Allow) -> list[IStreamClientEndpoint]:
        target = allow.target
        if isinstance(target, UnixTarget):
            return [connector.unix_endpoint(self._reactor, target, allow.connect_timeout_s)]
        if is_literal(target.host):
            found = [target.host]
        else:
            looking = connector.resolve(self._resolver, target.host)
            looking.addTimeout(allow.dns_timeout_s, self._reactor)
            found = await looking
        for address in found:
            reason = out_of_bounds(allow, address)
            if reason is not None:
                raise OpenFailed(Code.DENIED, reason)
        tried = found[:ADDRESSES_TRIED]
        return [
            connector.tcp_endpoint(
                self._reactor,
                address,
                target,
                allow.connect_timeout_s / len(tried),
                allow.preamble.clear,
            )
            for address in tried
        ]


async def _ready(backend: Backend, allow: Allow) -> None:
    """Wait for the handshake; a connection that nobody will use is not left open."""

    def give_up(failure: Failure) -> Failure:
        if failure.check(CancelledError):
            transport: Any = backend.transport
            transport.abortConnection()
            return failure
        raise OpenFailed(Code.BACKEND_TLS, tls_failed(allow.name, failure)) from failure.value

    await backend.ready.addErrback(give_up)


def _introduce(backend: Backend, allow: Allow) -> None:
    """Say who the client is: of a TLS backend's preamble, the endpoint has said a part."""
    transport: Any = backend.transport
    has_tls = isinstance(allow.target, TcpTarget) and allow.target.tls is not None
    said = allow.preamble.inside if has_tls else allow.preamble.clear + allow.preamble.inside
    if said:
        transport.write(said)


def tls_failed(name: str, failure: Failure) -> str:
    """Return what page and operator are told of a TLS that came to its end too early."""
    reason = trust.reason(failure.value) or "the backend closed the connection in the handshake"
    log.warn("{name}: TLS to the backend failed: {reason}", name=name, reason=reason)
    return f"{name}: TLS to the backend failed: {reason}"


def _known(allow: Allow, fault: BaseException | None) -> OpenFailed | None:
    """Return what the page may know of a fault, None where it is none of a backend."""
    named = _named(allow.name, fault)
    if named is None or allow.detail:
        return named
    return OpenFailed(Code.DENIED, UNTOLD)


def _named(name: str, fault: BaseException | None) -> OpenFailed | None:
    match fault:
        case OpenFailed():
            return fault
        case TimeoutError() | error.TimeoutError() | error.ConnectingCancelledError():
            text = f"{name}: no answer within the connect timeout"
            return OpenFailed(Code.CONNECT_TIMEOUT, text)
        case error.ConnectionRefusedError():
            return OpenFailed(Code.REFUSED, f"{name}: connection refused")
        case error.ConnectError() | CancelledError():
            return OpenFailed(Code.UNREACHABLE, f"{name}: unreachable")
        case _:
            return None
