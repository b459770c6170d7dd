"""Does the kernel tell, and keep, what it holds of what we sent?"""

from __future__ import annotations

import socket
from typing import Any

import pytest_twisted
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from sockproxy import kernel
from tests import loopback


class Flood(Protocol):
    """Writes more than any peer takes unread."""

    made: Flood | None = None
    limited = False

    def connectionMade(self) -> None:
        Flood.made = self
        if self.limited:
            kernel.limit_unsent(self.transport)


class LimitedFlood(Flood):
    limited = True


def unread(protocol: type[Flood], port: int) -> int:
    """Return how much a kernel takes for a peer that does not read."""
    assert protocol.made is not None
    handle: socket.socket = protocol.made.transport.getHandle()  # type: ignore[union-attr]
    taken = 0
    while True:
        try:
            taken += handle.send(bytes(16 * 1024))
        except BlockingIOError:
            return taken


@pytest_twisted.ensureDeferred
async def test_what_a_peer_does_not_read_is_unsent_until_it_does() -> None:
    async with loopback.backend(Flood) as port, loopback.wire(port) as wire:
        wire.transport.pauseProducing()  # type: ignore[union-attr]
        await loopback.settle(lambda: Flood.made is not None)
        taken = unread(Flood, port)
        transport = Flood.made.transport  # type: ignore[union-attr]
        assert kernel.unsent_bytes(transport) > 0

        wire.transport.resumeProducing()  # type: ignore[union-attr]
        await wire.until(lambda: len(wire.received) == taken)
        await loopback.settle(lambda: kernel.unsent_bytes(transport) == 0)
    Flood.made = None


@pytest_twisted.ensureDeferred
async def test_a_limited_kernel_holds_little() -> None:
    async with loopback.backend(LimitedFlood) as port, loopback.wire(port) as wire:
        wire.transport.pauseProducing()  # type: ignore[union-attr]
        await loopback.settle(lambda: Flood.made is not None)
        handle: Any = Flood.made.transport.getHandle()  # type: ignore[union-attr]
        limit = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        assert limit == kernel.UNSENT_MAX_BYTES
    Flood.made = None


def test_a_transport_in_memory_has_no_kernel() -> None:
    wrapped = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    wrapped.makeConnection(StringTransport())

    for transport in (StringTransport(), wrapped):
        assert not kernel.has_kernel(transport)
        assert kernel.unsent_bytes(transport) == 0
        kernel.limit_unsent(transport)
