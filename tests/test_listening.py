"""Does a [listen] section let in whom it says, by TLS, in time?

The sockets are real; time passes as a test says.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import ssl as tls
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from sockproxy.accept import Gate
from sockproxy.door import HEAD_S, Front
from sockproxy.listening import LOOK_S, listening
from sockproxy.policy.descriptors import Descriptors
from sockproxy.policy.entrance import Entrance
from sockproxy.policy.tally import Rates
from sockproxy.proxied import HEADER_S
from sockproxy.settings import Limits, Listener, Service
from tests import loopback
from tests.pems import HOST, Pem, made, written
from tests.test_door import LIMIT, POST, Told, length
from tests.test_proxy_header import LINE

REQUEST = POST + length(0) + b"\r\n"


class Paced:
    """The real reactor, but that only what is to happen at once does so by itself."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ports: list[Any] = []

    def callLater(self, seconds: float, *what: Any, **named: Any) -> Any:
        timing = self.clock if seconds else loopback.reactor
        return timing.callLater(seconds, *what, **named)

    def listenTCP(self, *where: Any, **named: Any) -> Any:
        self.ports.append(loopback.reactor.listenTCP(*where, **named))
        return self.ports[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(loopback.reactor, name)


def gate(reactor: Any, limits: Limits | None = None) -> Gate:
    """Return a gate that lets everybody in, as far as its limits go."""
    limits = limits or Limits()
    failures = Rates(limits.failures_per_s, limits.failures_burst)
    entrance = Entrance(limits, (), failures, reactor.seconds, lambda *_: None)
    return Gate(entrance, Descriptors(), reactor)


class Running:
    """A listener, and what is behind its door."""

    def __init__(self, listener: Listener, limits: Limits | None = None) -> None:
        self.told = Told()
        self._reactor = Paced()
        options = Service(trusted_proxies=(ip_network("127.0.0.0/8"),))
        front = Front(self.told, LIMIT, options, self._reactor)
        self.gate = gate(self._reactor, limits)
        self.service = listening("web", listener, front, self.gate, self._reactor)

    @property
    def port(self) -> int:
        number: int = self._reactor.ports[0].getHost().port
        return number

    @property
    def timers(self) -> Sequence[Any]:
        return self._reactor.clock.getDelayedCalls()

    def passes(self, seconds: float) -> None:
        self._reactor.clock.advance(seconds)


@asynccontextmanager
async def running(listener: Listener, limits: Limits | None = None) -> AsyncIterator[Running]:
    there = Running(listener, limits)
    there.service.privilegedStartService()
    there.service.startService()
    try:
        yield there
    finally:
        await maybeDeferred(there.service.stopService)
        await loopback.settle(lambda: not there.timers)


def section(folder: Path, pem: Pem | None = None, *, proxied: bool = False) -> Listener:
    """Return a [listen] section on a free port of this machine."""
    file = written(folder / "both.pem", pem.public + pem.private) if pem else ""
    endpoint = "tcp:0:interface=127.0.0.1"
    return Listener(endpoint=endpoint, certificate=file, proxy_protocol=proxied)


def trusting(pem: Pem) -> Any:
    """Return a client's TLS that takes this certificate and no other."""
    root = tls.Certificate.loadPEM(pem.public)
    return tls.optionsForClientTLS(HOST, trustRoot=tls.trustRootFromCertificates([root]))


@asynccontextmanager
async def secure_wire(port: int, pem: Pem) -> AsyncIterator[loopback.Wire]:
    plain = TCP4ClientEndpoint(loopback.reactor, "127.0.0.1", port)
    wire = await connectProtocol(wrapClientTLS(trusting(pem), plain), loopback.Wire())
    try:
        yield wire
    finally:
        await wire.close()


async def status(wire: loopback.Wire) -> int:
    """Ask for something and return the status of the answer."""
    wire.send(REQUEST)
    found, _ = await wire.answer()
    wire.received = b""
    return found


@pytest_twisted.ensureDeferred
async def test_a_section_without_a_certificate_speaks_plainly(tmp_path: Path) -> None:
    async with running(section(tmp_path)) as there, loopback.wire(there.port) as wire:
        assert await status(wire) == 200

    assert [client.host for client in there.told.clients] == ["127.0.0.1"]


@pytest_twisted.ensureDeferred
async def test_a_certificate_makes_it_tls(tmp_path: Path) -> None:
    pem = made()
    async with running(section(tmp_path, pem)) as there, secure_wire(there.port, pem) as wire:
        assert await status(wire) == 200
        assert await status(wire) == 200

    assert [client.host for client in there.told.clients] == ["127.0.0.1"] * 2


@pytest_twisted.ensureDeferred
async def test_what_is_refused_over_tls_is_told_why(tmp_path: Path) -> None:
    pem = made()
    async with running(section(tmp_path, pem)) as there, secure_wire(there.port, pem) as wire:
        wire.send(b"GET / HTTP/1.1\r\n\r\n")
        await wire.gone()

    assert wire.received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert wire.lost is not None
    assert wire.lost.check(ConnectionDone), "as TLS ends, which nobody on the way can feign"


@pytest_twisted.ensureDeferred
async def test_a_header_comes_before_tls_and_names_its_client(tmp_path: Path) -> None:
    pem = made()
    listener = section(tmp_path, pem, proxied=True)
    async with running(listener) as there, loopback.wire(there.port) as wire:
        wire.send(LINE)
        wire.transport.startTLS(trusting(pem))  # type: ignore[union-attr]
        assert await status(wire) == 200

    assert [client.host for client in there.told.clients] == ["192.0.2.7"]


@pytest_twisted.ensureDeferred
async def test_who_is_named_by_a_header_is_counted_by_that_name(tmp_path: Path) -> None:
    listener = section(tmp_path, proxied=True)
    one = Limits(connections_per_address=1)
    async with running(listener, one) as there:
        async with loopback.wire(there.port) as first, loopback.wire(there.port) as second:
            first.send(LINE)
            assert await status(first) == 200
            second.send(LINE)
            await second.gone()
            async with loopback.wire(there.port) as other:
                other.send(LINE.replace(b"192.0.2.7", b"192.0.2.8"))
                assert await status(other) == 200
        await loopback.settle(lambda: not there.gate.entrance.connections)
        assert len(there.gate.entrance.here) == 0


def client_hello() -> bytes:
    said, heard = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(heard, said, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return said.read()


HELLO = client_hello()


@pytest.mark.parametrize(
    "said",
    [b"", HELLO[: len(HELLO) // 2], HELLO],
    ids=["nothing", "half a ClientHello", "nothing after the ClientHello"],
)
@pytest_twisted.ensureDeferred
async def test_a_handshake_has_the_ten_seconds_of_the_head(tmp_path: Path, said: bytes) -> None:
    listener = section(tmp_path, made())
    async with running(listener) as there, loopback.wire(there.port) as wire:
        wire.send(said)
        await loopback.settle(lambda: len(there.timers) > 2)  # of the door, beside its own
        if said == HELLO:
            await wire.until(lambda: len(wire.received) > 0)
        there.passes(HEAD_S - 0.1)
        await loopback.turn()
        assert wire.lost is None
        there.passes(0.1)
        await wire.gone()

    assert b"HTTP" not in wire.received


@pytest_twisted.ensureDeferred
async def test_a_header_that_does_not_come_has_five_seconds(tmp_path: Path) -> None:
    listener = section(tmp_path, made(), proxied=True)
    async with running(listener) as there, loopback.wire(there.port) as wire:
        wire.send(LINE[:-1])
        await loopback.settle(lambda: len(there.timers) > 2)
        there.passes(HEADER_S)
        await wire.gone()

    assert wire.received == b""


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_is_replaced_is_shown_within_seconds(tmp_path: Path) -> None:
    old, new = made(), made()
    async with running(section(tmp_path, old)) as there, secure_wire(there.port, old) as early:
        assert await status(early) == 200
        section(tmp_path, new)
        there.passes(LOOK_S)
        async with secure_wire(there.port, new) as late:
            assert await status(late) == 200
        assert await status(early) == 200
        written(tmp_path / "both.pem", new.public)
        there.passes(LOOK_S)
        async with secure_wire(there.port, new) as later:
            assert await status(later) == 200


def test_what_listens_is_named_with_all_that_it_speaks(tmp_path: Path) -> None:
    names = []
    for listener in (section(tmp_path), section(tmp_path, made(), proxied=True)):
        reactor: Any = MemoryReactorClock()
        front = Front(Told(), LIMIT, Service(), reactor)
        service = listening("web", listener, front, gate(reactor), reactor)
        service.privilegedStartService()
        names.append(reactor.tcpServers[0][1].logPrefix())
        assert service.name == "listen web"

    assert names == ["Front", "Front (TLS) (PROXY)"]
