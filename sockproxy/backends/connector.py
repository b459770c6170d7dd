"""Which addresses does a name have, and how is one of them connected to?"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import implementer

from sockproxy.backends.trust import Verifier
from sockproxy.settings import TcpTarget, UnixTarget


@implementer(IResolutionReceiver)
class _Answer:
    """Collects the addresses of one name."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.done: Deferred[list[str]] = Deferred(self._cancel)
        self._resolution: IHostResolution | None = None

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._resolution = resolutionInProgress

    def addressResolved(self, address: IAddress) -> None:
        self.found.append(address.host)  # type: ignore[attr-defined]  # IPv4Address, IPv6Address

    def resolutionComplete(self) -> None:
        if not self.done.called:
            self.done.callback(self.found)

    def _cancel(self, _: Deferred[list[str]]) -> None:
        try:
            if self._resolution is not None:
                self._resolution.cancel()
        except NotImplementedError:
            pass  # a thread's look-up runs on; nobody listens to it any more


def resolve(resolver: IHostnameResolver, host: str) -> Deferred[list[str]]:
    """Return the addresses of a name, none where it has none; may be cancelled."""
    answer = _Answer()
    resolver.resolveHostName(answer, host)
    return answer.done


def tcp_endpoint(
    reactor: Any, address: str, target: TcpTarget, timeout_s: float, clear: bytes = b""
) -> IStreamClientEndpoint:
    """Return the way to one address literal of a target, verified where it is TLS.

    `clear` is what goes out before TLS; without TLS it is for whoever connects to write.
    """
    kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
    endpoint: IStreamClientEndpoint = kind(reactor, address, target.port, timeout=timeout_s)
    if target.tls is None:
        return endpoint
    return TlsEndpoint(endpoint, Verifier(target.tls), clear)


def unix_endpoint(reactor: Any, target: UnixTarget, timeout_s: float) -> IStreamClientEndpoint:
    return UNIXClientEndpoint(reactor, target.path, timeout=timeout_s)


class _Announced(BufferingTLSTransport):
    """TLS behind what is said in the clear."""

    factory: _Announcing

    def makeConnection(self, transport: ITransport) -> None:
        if self.factory.clear:
            transport.write(self.factory.clear)
        super().makeConnection(transport)


class _Announcing(TLSMemoryBIOFactory):
    """Gives the connections of one endpoint their TLS."""

    protocol = _Announced

    def __init__(self, verifier: Verifier, factory: IProtocolFactory, clear: bytes) -> None:
        super().__init__(verifier, True, factory)
        self.clear = clear


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """Another endpoint, and TLS on its connections."""

    def __init__(self, endpoint: IStreamClientEndpoint, verifier: Verifier, clear: bytes) -> None:
        self._endpoint = endpoint
        self._verifier = verifier
        self._clear = clear

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        announcing = _Announcing(self._verifier, protocolFactory, self._clear)
        return self._endpoint.connect(announcing)
