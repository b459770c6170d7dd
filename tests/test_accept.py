"""Is a connection counted as long as it lasts, refused in one write, or left to wait?"""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.http import Request
from twisted.web.resource import Resource

from sockproxy import accept
from sockproxy.accept import FAREWELL_S, FAREWELLS_MAX, RETRY_S, Accepted, Gate, entry_of
from sockproxy.door import Front
from sockproxy.front import Visitor
from sockproxy.logs import PEER_BURST_LINES
from sockproxy.policy.descriptors import Descriptors
from sockproxy.policy.entrance import Entrance
from sockproxy.policy.networks import Network
from sockproxy.policy.tally import Rates
from sockproxy.settings import Limits, Service
from sockproxy.upgrade import Socket, SocketFactory, UpgradeResource
from tests import loopback

HERE = "127.0.0.1"
TWO = Limits(connections_per_address=2)
PLENTY = Limits(unauthenticated_per_address=1000)


class Echo(Protocol):
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Door:
    """A gate before an echo, and what was told."""

    def __init__(
        self,
        limits: Limits = TWO,
        descriptors: Descriptors | None = None,
        trusted: Sequence[Network | str] = (),
    ) -> None:
        self.clock = Clock()
        self.told: list[tuple[str, str, int]] = []
        failures = Rates(limits.failures_per_s, limits.failures_burst)
        self.entrance = Entrance(
            limits, trusted, failures, self.clock.seconds, lambda *said: self.told.append(said)
        )
        self.descriptors = descriptors or Descriptors(1000)
        self.gate = Gate(self.entrance, self.descriptors, self.clock)
        self.echo = ServerFactory.forProtocol(Echo)
        self.echo.noisy = False

    @asynccontextmanager
    async def open(self, factory: Any = None, **options: bool) -> AsyncIterator[int]:
        """Listen on a free port and give its number."""
        inner = TCP4ServerEndpoint(loopback.reactor, 0, interface=HERE)
        endpoint = self.gate.watch(inner)
        port: Any = await endpoint.listen(factory or self.gate.around(self.echo, **options))
        try:
            yield port.getHost().port
        finally:
            await port.stopListening()

    async def empty(self) -> None:
        await loopback.settle(lambda: self.descriptors.taken == 0)
        assert self.entrance.connections == len(self.entrance.here) == self.gate.farewells == 0


async def echoed(wire: loopback.Wire) -> None:
    """See that the other end lives."""
    wire.received = b""
    wire.send(b"there?")
    await wire.until(lambda: wire.received == b"there?")


@pytest_twisted.ensureDeferred
async def test_who_is_not_let_in_reads_when_to_come_again_and_who_is_in_goes_on() -> None:
    door = Door()
    async with door.open() as port, loopback.wire(port) as one, loopback.wire(port) as two:
        await echoed(one)
        await echoed(two)
        async with loopback.wire(port) as late:
            late.send(b"GET / HTTP/1.1\r\nHost: gw.example\r\n\r\n")
            status, head = await late.answer()
            await late.gone()
            await echoed(one)

        assert status == 503
        assert b"Retry-After: %d\r\n" % RETRY_S in head + b"\r\n"
        assert late.received == b"more than 2 connections from one address\n"
        assert door.told == [(HERE, late.received.decode().strip(), 0)]
        await one.close()
        await loopback.settle(lambda: door.entrance.connections == 1)
        async with loopback.wire(port) as late:
            await echoed(late)
    await door.empty()


@pytest_twisted.ensureDeferred
async def test_who_does_not_leave_after_a_refusal_is_cut() -> None:
    door = Door(Limits(connections=1))
    async with door.open() as port, loopback.wire(port) as one:
        await echoed(one)
        async with loopback.wire(port) as late:
            # A wire that never reads notices no end.
            late.transport.pauseProducing()  # type: ignore[union-attr]
            await loopback.settle(lambda: door.gate.farewells == 1)
            door.clock.advance(FAREWELL_S)
            await loopback.settle(lambda: door.gate.farewells == 0)
    await door.empty()


@pytest.mark.parametrize(("limit", "told"), [(100_000, FAREWELLS_MAX), (64, 4)])
@pytest_twisted.ensureDeferred
async def test_only_so_many_are_told_and_the_next_are_cut(limit: int, told: int) -> None:
    door = Door(Limits(connections=1), Descriptors(limit=limit))
    async with door.open() as port, loopback.wire(port) as one, AsyncExitStack() as stack:
        await echoed(one)
        for _ in range(told):
            late = await stack.enter_async_context(loopback.wire(port))
            late.transport.pauseProducing()  # type: ignore[union-attr]
        await loopback.settle(lambda: door.gate.farewells == told)
        async with loopback.wire(port) as late:
            await late.gone()
            assert late.received == b""
        await echoed(one)
    await door.empty()
    assert not door.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_where_tls_is_spoken_nobody_is_told_anything_before_the_handshake() -> None:
    door = Door(Limits(connections=1))
    gated = door.gate.around(door.echo, plain=False)
    async with door.open(gated) as port, loopback.wire(port) as one:
        await echoed(one)
        async with loopback.wire(port) as late:
            await late.gone()
            assert late.received == b""
    await door.empty()


@pytest_twisted.ensureDeferred
async def test_accepting_waits_where_descriptors_run_out_and_goes_on_when_one_is_back() -> None:
    descriptors = Descriptors(limit=20, others=0)
    assert descriptors.pause_at == 4
    door = Door(PLENTY, descriptors)
    async with door.open() as port, AsyncExitStack() as stack:
        wires = []
        for _ in range(4):
            wires.append(await stack.enter_async_context(loopback.wire(port)))
            await echoed(wires[-1])
        async with loopback.wire(port) as late:
            late.send(b"there?")
            for wire in wires:
                await echoed(wire)
            assert late.received == b""
            await wires[0].close()
            await late.until(lambda: late.received == b"there?")
    await loopback.settle(lambda: descriptors.taken == 0)


@pytest_twisted.ensureDeferred
async def test_a_backend_that_takes_the_last_descriptor_lets_the_next_client_wait() -> None:
    descriptors = Descriptors(limit=20, others=2)
    door = Door(PLENTY, descriptors)
    async with door.open() as port, loopback.wire(port) as one:
        await echoed(one)
        backend = descriptors.take()
        async with loopback.wire(port) as late:
            late.send(b"there?")
            await echoed(one)
            assert (late.received, late.lost) == (b"", None)
            backend.give_back()
            await late.until(lambda: late.received == b"there?")


@pytest_twisted.ensureDeferred
async def test_what_is_accepted_all_the_same_is_cut() -> None:
    door = Door(PLENTY, Descriptors(limit=20, others=4))
    # Listening that is not watched, and does not pause: as the rest of a turn of its loop.
    port = loopback.reactor.listenTCP(0, door.gate.around(door.echo), interface=HERE)
    async with loopback.wire(port.getHost().port) as late:
        await late.gone()
        assert late.received == b""
    await port.stopListening()
    assert (door.descriptors.taken, door.entrance.connections) == (4, 0)


@pytest_twisted.ensureDeferred
async def test_a_peer_that_is_known_later_is_counted_from_then_on() -> None:
    door = Door()
    async with door.open(named=False) as port, loopback.wire(port) as one:
        await echoed(one)
        assert (door.entrance.connections, door.entrance.here[HERE]) == (1, 0)
    await door.empty()


@pytest.mark.parametrize("around", [False, True])
def test_a_layer_on_a_connection_finds_its_entry(around: bool) -> None:
    """With layers inside the gate, as for a PROXY header, or around it."""
    entry = Door().entrance.admit(None)
    held = Accepted(ProtocolWrapper(WrappingFactory(None), Echo()), entry, Descriptors().take())
    transport: Any = StringTransport()
    transport.protocol = held
    layer = ProtocolWrapper(WrappingFactory(None), held if around else Echo())
    layer.transport = transport
    if around:
        transport.protocol = layer

    assert entry_of(transport) is entry_of(layer) is entry
    assert entry_of(StringTransport()) is None
    transport.protocol = ProtocolWrapper(WrappingFactory(None), Echo())
    assert entry_of(transport) is None


def test_the_log_names_what_serves_not_what_counts() -> None:
    door = Door()

    assert door.gate.around(door.echo).logPrefix() == "ServerFactory"


def test_a_port_in_memory_has_nothing_to_pause() -> None:
    door = Door(PLENTY, Descriptors(limit=17))
    reactor: Any = MemoryReactor()
    accepting = door.gate.around(door.echo)
    TCP4ServerEndpoint(reactor, 1)
    door.gate.watch(TCP4ServerEndpoint(reactor, 1)).listen(accepting)

    door.descriptors.take().give_back()


def test_the_limit_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    counted = accept.descriptors(listeners=3)

    assert counted.limit == soft
    assert 6 <= counted.taken < soft
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert not accept.descriptors(listeners=3).full


class Greeted:
    """A WebSocket that says nothing."""

    subprotocol: str | None = None
    pings = False

    def opened(self, socket: Socket) -> None: ...
    def message(self, data: bytes, text: bool) -> None: ...
    def drained(self) -> None: ...
    def closed(self, code: int, reason: str) -> None: ...


class Told(Resource):
    """Serves, fails, or upgrades."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes | int:
        if request.path == b"/ws":
            return upgrades.render(request)
        request.setResponseCode(int(request.path[1:]))
        return b"told"


async def greet(visitor: Visitor) -> Greeted:
    return Greeted()


upgrades = UpgradeResource(greet, SocketFactory(loopback.reactor))


@asynccontextmanager
async def front(door: Door, *trusted: Network) -> AsyncIterator[int]:
    """Serve a real front behind the gate of `door`."""
    options = Service(trusted_proxies=trusted)
    served = Front(Told(), 1000, options, loopback.reactor)
    async with door.open(door.gate.around(served)) as port:
        yield port


def get(path: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: gw.example", *more, "", ""]).encode()


async def asked(wire: loopback.Wire, said: bytes) -> int:
    wire.send(said)
    status, _ = await wire.answer()
    if status != 101:
        await wire.until(lambda: wire.received.endswith((b"told", b"\n")))
        wire.received = b""
    return status


@pytest_twisted.ensureDeferred
async def test_a_connection_is_new_until_it_was_served_something() -> None:
    door = Door(Limits(unauthenticated_per_address=1))
    async with front(door) as port, loopback.wire(port) as one:
        assert await asked(one, get("/404")) == 404
        async with loopback.wire(port) as late:
            assert (await late.answer())[0] == 503
        assert await asked(one, get("/200")) == 200
        async with loopback.wire(port) as late:
            assert await asked(late, get("/200")) == 200
    await door.empty()


@pytest.mark.parametrize("odd", [get("/403"), get("/400"), b"odd\r\n\r\n"])
@pytest_twisted.ensureDeferred
async def test_who_fails_often_is_refused_for_a_moment(odd: bytes) -> None:
    door = Door(Limits(failures_burst=2, failures_per_s=1))
    async with front(door) as port, loopback.wire(port) as good:
        assert await asked(good, get("/200")) == 200
        for _ in range(2):
            async with loopback.wire(port) as bad:
                assert await asked(bad, odd) in (400, 403)
        async with loopback.wire(port) as late:
            assert (await late.answer())[0] == 503
        assert await asked(good, get("/200")) == 200
        door.clock.advance(1.0)
        async with loopback.wire(port) as late:
            assert await asked(late, get("/200")) == 200
    await door.empty()


@pytest_twisted.ensureDeferred
async def test_who_fails_again_and_again_on_one_connection_loses_it() -> None:
    door = Door(Limits(failures_burst=2, failures_per_s=1))
    async with front(door) as port, loopback.wire(port) as bad:
        assert [await asked(bad, get("/403")) for _ in range(3)] == [403, 403, 503]
        await bad.gone()
    await door.empty()


@pytest_twisted.ensureDeferred
async def test_a_websocket_is_counted_until_it_is_gone() -> None:
    door = Door(Limits(connections_per_address=1))
    async with front(door) as port, loopback.wire(port) as one:
        assert await asked(one, loopback.head("/ws")) == 101
        assert (door.entrance.connections, door.entrance.new[HERE]) == (1, 1)
        async with loopback.wire(port) as late:
            assert (await late.answer())[0] == 503
        one.send(loopback.masked(8, b"\x03\xe8"))
        assert (await one.frame()).close_code == 1000
        await one.gone()
        await door.empty()


@pytest_twisted.ensureDeferred
async def test_behind_a_trusted_proxy_its_clients_are_counted_and_it_is_not() -> None:
    proxy = ip_network("127.0.0.0/8")
    door = Door(Limits(connections_per_address=2), trusted=(proxy,))
    one, other = "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"
    async with front(door, proxy) as port, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(loopback.wire(port)) for _ in range(4)]
        for wire in wires[:2]:
            assert await asked(wire, loopback.head("/ws", one)) == 101
        assert await asked(wires[2], get("/200", other)) == 200

        wires[3].send(get("/200", one))
        status, answer = await wires[3].answer()
        await wires[3].gone()
        assert status == 503
        assert b"Retry-After: 2" in answer

        assert (door.entrance.here[one[-9:]], len(door.entrance.here)) == (2, 1), "none at rest"
        await wires[0].close()
        await loopback.settle(lambda: door.entrance.here[one[-9:]] == 1)
        assert await asked(wires[2], get("/200", one)) == 200
    await door.empty()


@pytest_twisted.ensureDeferred
async def test_a_websocket_knocks_for_its_client_at_a_trusted_proxy() -> None:
    proxy = ip_network("127.0.0.0/8")
    door = Door(Limits(handshakes_burst=1, handshakes_per_s=1), trusted=(proxy,))
    client = "X-Forwarded-For: 192.0.2.1"
    async with front(door, proxy) as port, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(loopback.wire(port)) for _ in range(3)]
        assert await asked(wires[0], get("/200", client)) == 200
        assert await asked(wires[1], loopback.head("/ws", client)) == 101
        assert await asked(wires[2], loopback.head("/ws", client)) == 503
    await door.empty()


def test_lines_of_many_refused_addresses_hide_none(lines: list[str]) -> None:
    addresses = [f"192.0.2.{number}" for number in range(2 * PEER_BURST_LINES)]
    for address in addresses:
        accept.tell(address, "too many failures from one address", 0)

    assert len(lines) == len(addresses)
