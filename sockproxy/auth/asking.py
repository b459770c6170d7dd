"""How is the application reached, without a line in the log for each question?"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.web.client import URI, Agent
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from zope.interface import implementer


def asking_agent(reactor: Any, timeout_s: float) -> IAgent:
    """Return what asks over HTTP; a certificate is verified, a redirect not followed."""
    agent: IAgent = Agent.usingEndpointFactory(reactor, Ways(reactor, timeout_s))
    return agent


@implementer(IAgentEndpointFactory)
class Ways:
    """The way to each address."""

    def __init__(self, reactor: Any, timeout_s: float) -> None:
        self._reactor = reactor
        self._timeout_s = timeout_s

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii").strip("[]")
        way = HostnameEndpoint(self._reactor, host, uri.port, timeout=self._timeout_s)
        secure = uri.scheme == b"https"
        return Quiet(wrapClientTLS(optionsForClientTLS(host), way) if secure else way)


@implementer(IStreamClientEndpoint)
class Quiet:
    """An endpoint of whose factories nobody hears, as Twisted would have it."""

    def __init__(self, way: IStreamClientEndpoint) -> None:
        self._way = way

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        protocolFactory.noisy = False  # type: ignore[attr-defined]  # Factory's
        connecting: Deferred[IProtocol] = self._way.connect(protocolFactory)
        return connecting
