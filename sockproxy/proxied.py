"""Who is behind a connection that begins with a PROXY header?

Nothing else starts before the header is whole: what is wrapped is built for the address that
the header names, as if that had connected. So TLS, the door, what counts by address and
whatever else asks a transport for its peer are told of the client, and need not know why.

Only trusted proxies are listened to; anybody else is cut before his first byte is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from sockproxy import proxy_header
from sockproxy.accept import entry_of
from sockproxy.logs import Logger
from sockproxy.policy.entrance import TurnedAway
from sockproxy.policy.forwarded import UNIX, is_trusted
from sockproxy.policy.networks import Network
from sockproxy.proxy_header import BadProxyHeader, ProxyHeader

# A proxy says it with its first packet; the specification wants 3 s at least, for a lost one.
HEADER_S = 5.0


class Proxied(ProtocolWrapper):
    """One connection of a proxy; the transport of what is behind it."""

    log = Logger()
    factory: ProxiedFactory
    transport: Any

    def __init__(self, factory: ProxiedFactory) -> None:
        super().__init__(factory, Protocol())  # a deaf one, until it is known for whom
        self._waiting = b""
        self._is_known = False
        self._is_over = False
        self._late: IDelayedCall | None = None
        self._client: IAddress | None = None

    def connectionMade(self) -> None:
        if is_trusted(self._proxy(), self.factory.trusted):
            self._late = self.factory.clock.callLater(HEADER_S, self._refuse, "it does not come")
        else:
            self._refuse("it is not in [sockproxy] trusted_proxies")

    def dataReceived(self, data: bytes) -> None:
        if self._is_known:
            self.wrappedProtocol.dataReceived(data)
        elif not self._is_over:
            self._waiting += data
            self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()
        super().connectionLost(reason)

    def getPeer(self) -> IAddress:
        """Return the client, or the proxy where it speaks for itself."""
        peer: IAddress = self._client or self.transport.getPeer()
        return peer

    def _proxy(self) -> str:
        host: str = getattr(self.transport.getPeer(), "host", UNIX)
        return host

    def _look(self) -> None:
        try:
            header = proxy_header.parse(self._waiting)
        except BadProxyHeader as bad:
            self._refuse(str(bad))
            return
        if header is not None:
            rest = self._waiting[header.size_bytes :]
            self._end()
            self._client = None if header.is_local else _address(header)
            self._let_in(rest)

    def _let_in(self, rest: bytes) -> None:
        entry = entry_of(self.transport)
        try:
            if entry is not None:
                entry.belong(getattr(self.getPeer(), "host", None) or UNIX, knocks=True)
        except TurnedAway:  # whose refusal the entrance has told
            self.transport.abortConnection()
            return
        inner = self.factory.wrappedFactory.buildProtocol(self.getPeer())
        if inner is None:
            self.transport.abortConnection()
            return
        self._is_known = True
        self.wrappedProtocol = inner
        inner.makeConnection(self)
        if rest:
            self.dataReceived(rest)

    def _refuse(self, why: str) -> None:
        self.log.warn("PROXY header of {peer} refused: {why}", peer=self._proxy(), why=why)
        self._end()
        self.transport.abortConnection()

    def _end(self) -> None:
        """Wait for no header any more."""
        self._is_over = True
        self._waiting = b""
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._late = None


class ProxiedFactory(WrappingFactory[Proxied]):
    """Puts a PROXY header before every connection of a factory."""

    noisy = False

    def __init__(
        self,
        wrapped: IProtocolFactory,
        trusted: Sequence[Network | str],
        clock: IReactorTime,
    ) -> None:
        super().__init__(wrapped)
        self.trusted = trusted
        self.clock = clock

    def buildProtocol(self, addr: IAddress | None) -> Proxied:
        return Proxied(self)

    def logPrefix(self) -> str:
        """Name what listens, as Twisted's other wrappers do."""
        inner = self.wrappedFactory
        name = inner.logPrefix() if hasattr(inner, "logPrefix") else type(inner).__name__
        return f"{name} (PROXY)"


def _address(header: ProxyHeader) -> IAddress:
    """Return a client's address; who has none is a UNIX peer, believed where `unix` is."""
    if header.address is None:
        return UNIXAddress(None)
    kind = IPv4Address if header.address.version == 4 else IPv6Address
    return kind("TCP", str(header.address), header.port)
