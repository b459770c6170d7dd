"""How does a [listen] section become a port?

From the outside in: the endpoint, the gate that counts, the PROXY header where a proxy says who
connects, TLS where there is a certificate, the door. Each is a factory around the next, so that
a connection is cut by the first that has reason to, and the inner ones never hear of it.
"""

from __future__ import annotations

from typing import Any

from twisted.application import strports
from twisted.application.service import MultiService, Service
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOFactory

from sockproxy import settings
from sockproxy.accept import Gate
from sockproxy.certificate import Certificate, Files
from sockproxy.door import Front
from sockproxy.proxied import ProxiedFactory
from sockproxy.timers import Every

LOOK_S = 5.0


class Renewal(Service):
    """Looks every few seconds whether a certificate has been replaced."""

    def __init__(self, certificate: Certificate, clock: IReactorTime) -> None:
        self._every = Every(clock, LOOK_S, certificate.renew)

    def startService(self) -> None:
        super().startService()
        self._every.start()

    def stopService(self) -> None:
        self._every.stop()
        super().stopService()


def listening(
    name: str, listener: settings.Listener, front: Front, gate: Gate, reactor: Any
) -> MultiService:
    """Return the service that lets clients in as a [listen] section says."""
    tree = MultiService()
    tree.setName(f"listen {name}")
    factory: IProtocolFactory = front
    if listener.certificate:
        files = Files(listener.certificate, listener.private_key)
        certificate = Certificate(files, front.acceptableProtocols())
        Renewal(certificate, reactor).setServiceParent(tree)
        factory = TLSMemoryBIOFactory(certificate, False, factory, reactor)
    if listener.proxy_protocol:
        factory = ProxiedFactory(factory, front.options.trusted_proxies, reactor)
    factory = gate.around(
        factory, plain=not listener.certificate, named=not listener.proxy_protocol
    )
    accepting = strports.service(listener.endpoint, factory, reactor)
    accepting.endpoint = gate.watch(accepting.endpoint)
    accepting.setServiceParent(tree)
    return tree
