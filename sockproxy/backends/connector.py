"""Which addresses does a name have, and how is one of them connected to?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from sockproxy.settings import TcpTarget, Tls, UnixTarget


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
    reactor: Any, address: str, target: TcpTarget, timeout_s: float
) -> IStreamClientEndpoint:
    """Return the way to one address literal of a target, verified where it is TLS."""
    kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
    endpoint: IStreamClientEndpoint = kind(reactor, address, target.port, timeout=timeout_s)
    if target.tls is None:
        return endpoint
    return wrapClientTLS(tls_options(target.tls), endpoint)


def unix_endpoint(reactor: Any, target: UnixTarget, timeout_s: float) -> IStreamClientEndpoint:
    return UNIXClientEndpoint(reactor, target.path, timeout=timeout_s)


def tls_options(tls: Tls) -> Any:
    """Return a client context that checks chain and name, TLS 1.2 or newer."""
    return ssl.optionsForClientTLS(
        tls.server_name,
        trustRoot=_trust(tls.ca_file),
        clientCertificate=_certificate(tls),
        extraCertificateOptions={"raiseMinimumTo": ssl.TLSVersion.TLSv1_2},
    )


def _trust(ca_file: str | None) -> Any:
    if ca_file is None:
        return ssl.platformTrust()
    with open(ca_file, "rb") as file:
        return ssl.trustRootFromCertificates(_each_certificate(file.read()))


def _each_certificate(pem: bytes) -> Sequence[ssl.Certificate]:
    mark = b"-----BEGIN CERTIFICATE-----"
    return [ssl.Certificate.loadPEM(mark + part) for part in pem.split(mark)[1:]]


def _certificate(tls: Tls) -> ssl.PrivateCertificate | None:
    if tls.certificate_file is None:
        return None
    with open(tls.certificate_file, "rb") as file:
        pem = file.read()
    with open(tls.private_key_file or tls.certificate_file, "rb") as file:
        pem += b"\n" + file.read()
    certificate: ssl.PrivateCertificate = ssl.PrivateCertificate.loadPEM(pem)
    return certificate
