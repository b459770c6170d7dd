"""How does the embedded echo service give back every byte, no faster than it is read?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.tcp import Connection


@implementer(IHalfCloseableProtocol)
class Echo(Protocol):
    """Returns what it gets; after the client's EOF the last byte, then its own."""

    transport: Connection

    def connectionMade(self) -> None:
        # Its own producer: a client that does not read is not read from either.
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        """The client has said all: close once everything is written back."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nobody is left to write to; connectionLost follows."""


class EchoFactory(Factory):
    """Makes echoes."""

    def buildProtocol(self, addr: IAddress | None) -> Echo:
        return Echo()
