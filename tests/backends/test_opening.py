"""Is only what was allowed connected to, once resolved and with every address looked at?"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectError, ConnectionRefusedError, NoRouteError
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from sockproxy.backends.opening import ADDRESSES_TRIED, OpenFailed, Opening
from sockproxy.codes import Code
from sockproxy.policy.access import Allow
from sockproxy.policy.descriptors import Descriptors
from sockproxy.policy.preamble import Preamble
from sockproxy.relay import Relay
from sockproxy.settings import Target, TcpTarget, Tls, UnixTarget
from tests import loopback
from tests.certificates import Authority
from tests.memory import BackendTransport, Server, seat
from tests.test_relay import PlainPage

IRC = TcpTarget(host="irc.example.org", port=6667)
HERE = TcpTarget(host="127.0.0.1", port=6667)


def allow(target: Target, **changes: Any) -> Allow:
    options: dict[str, Any] = {
        "name": "there",
        "target": target,
        "rule": "[backend there]",
        "chosen_by_page": False,
        "connect_timeout_s": 10.0,
        "dns_timeout_s": 5.0,
        "reveal_address": False,
        "detail": True,
    }
    return Allow(**options | changes)


@implementer(IHostResolution)
@dataclass
class Looking:
    name: str
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@implementer(IHostnameResolver)
class Names:
    """A resolver that answers what a test says, or nothing at all."""

    def __init__(self, answers: Sequence[str] | None) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.looking: Looking | None = None

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        self.asked.append(hostName)
        self.looking = Looking(hostName)
        self._receiver = resolutionReceiver
        resolutionReceiver.resolutionBegan(self.looking)
        if self.answers is not None:
            self.answer(self.answers)
        return self.looking

    def answer(self, answers: Sequence[str]) -> None:
        for answer in answers:
            kind = IPv6Address if ":" in answer else IPv4Address
            self._receiver.addressResolved(kind("TCP", answer, 0))
        self._receiver.resolutionComplete()


def opened(names: Names, permission: Allow) -> tuple[Any, PlainPage, Relay]:
    reactor: Any = MemoryReactorClock()
    page = PlainPage()
    relay = Relay(page, Opening(reactor, names), seat(permission), reactor)
    relay.start()
    return reactor, page, relay


def test_a_literal_is_never_looked_up() -> None:
    names = Names([])
    reactor, _, _ = opened(names, allow(TcpTarget(host="127.0.0.1", port=6667)))

    assert names.asked == []
    assert reactor.tcpClients[0][:2] == ("127.0.0.1", 6667)


def test_a_name_is_looked_up_once_and_the_literal_connected_to() -> None:
    names = Names(["192.0.2.7"])
    reactor, _, _ = opened(names, allow(TcpTarget(host="irc.example.org", port=6667)))

    assert names.asked == ["irc.example.org"]
    assert reactor.tcpClients[0][:2] == ("192.0.2.7", 6667)


def test_the_next_address_is_tried_where_one_refuses() -> None:
    names = Names(["192.0.2.7", "2001:db8::7"])
    reactor, page, _ = opened(names, allow(TcpTarget(host="irc.example.org", port=6667)))

    reactor.tcpClients[0][2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert reactor.tcpClients[1][:2] == ("2001:db8::7", 6667)
    reactor.tcpClients[1][2].clientConnectionFailed(None, Failure(NoRouteError()))

    assert page.told == [Code.UNREACHABLE]


def test_only_so_many_addresses_are_tried() -> None:
    names = Names([f"192.0.2.{n}" for n in range(1, 100)])
    reactor, page, _ = opened(names, allow(TcpTarget(host="irc.example.org", port=6667)))

    for number in range(ADDRESSES_TRIED):
        reactor.tcpClients[number][2].clientConnectionFailed(None, Failure(ConnectError()))

    assert len(reactor.tcpClients) == ADDRESSES_TRIED
    assert page.told == [Code.UNREACHABLE]


@pytest.mark.parametrize(
    "answers",
    [["10.0.0.1"], ["192.0.2.7", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["203.0.113.1"]],
)
def test_one_special_address_refuses_a_name_that_a_page_chose(answers: list[str]) -> None:
    permission = allow(TcpTarget(host="irc.example.org", port=6667), chosen_by_page=True)
    reactor, page, _ = opened(Names(answers), permission)

    assert page.told == [Code.DENIED]
    assert not reactor.tcpClients


def test_an_operators_name_may_be_private_but_never_metadata() -> None:
    target = TcpTarget(host="irc.internal", port=6667)

    reactor, _, _ = opened(Names(["10.0.0.1"]), allow(target))
    assert reactor.tcpClients[0][0] == "10.0.0.1"

    reactor, page, _ = opened(Names(["10.0.0.1", "169.254.169.254"]), allow(target))
    assert page.told == [Code.DENIED]
    assert not reactor.tcpClients


def test_a_name_without_an_address_is_not_found() -> None:
    _, page, _ = opened(Names([]), allow(TcpTarget(host="irc.example.org", port=6667)))

    assert page.told == [Code.NAME_NOT_FOUND]


def test_a_resolver_without_an_answer_times_out_and_is_cancelled() -> None:
    names = Names(None)
    reactor, page, _ = opened(names, allow(TcpTarget(host="irc.example.org", port=6667)))

    reactor.advance(5.1)

    assert page.told == [Code.CONNECT_TIMEOUT]
    assert names.looking is not None
    assert names.looking.cancelled
    assert not reactor.getDelayedCalls()


def test_a_page_that_leaves_cancels_the_look_up() -> None:
    names = Names(None)
    reactor, page, relay = opened(names, allow(TcpTarget(host="irc.example.org", port=6667)))

    relay.reset(Code.ABORTED, "gone")

    assert page.told == [Code.ABORTED]
    assert not reactor.getDelayedCalls()


@pytest.mark.parametrize("after_s", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("answers", [[], ["127.0.0.1"], ["9.9.9.9"]])
def test_where_no_detail_is_told_every_failure_looks_the_same_and_takes_the_same_time(
    answers: list[str], after_s: float
) -> None:
    names = Names(None)
    reactor, page, _ = opened(names, allow(IRC, chosen_by_page=True, detail=False))
    reactor.advance(after_s)
    names.answer(answers)
    for client in reactor.tcpClients:
        client[2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    reactor.advance(max(0.0, 0.99 - after_s))
    assert page.told == ([Code.DENIED] if after_s > 1 else [])
    reactor.advance(0.01)
    assert page.told == [Code.DENIED]
    assert not reactor.getDelayedCalls()


def test_a_page_that_leaves_meanwhile_leaves_nothing_behind() -> None:
    reactor, page, relay = opened(Names([]), allow(IRC, chosen_by_page=True, detail=False))
    relay.reset(Code.ABORTED, "gone")

    assert page.told == [Code.ABORTED]
    assert not reactor.getDelayedCalls()


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


@asynccontextmanager
async def tls_backend(context: Any, protocol: Callable[[], Protocol] = Echo) -> AsyncIterator[int]:
    factory = ServerFactory.forProtocol(protocol)
    factory.noisy = False
    port = loopback.reactor.listenSSL(0, factory, context, interface="127.0.0.1")
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()


async def talk(target: Target, names: Names | None = None) -> PlainPage:
    """Open a target for real, echo a word, half-close, and wait for the end."""
    page = PlainPage()
    opening = Opening(loopback.reactor, names or Names(["127.0.0.1"]))
    relay = Relay(page, opening, seat(allow(target)), loopback.reactor)
    relay.start()
    relay.write(b"hello")
    await loopback.settle(lambda: b"hello" in page.told or isinstance(page.told[-1:], Code))
    relay.write_eof()
    await loopback.settle(lambda: isinstance(page.told[-1], Code))
    return page


async def failed(target: Target) -> list[Any]:
    page = PlainPage()
    opening = Opening(loopback.reactor, Names(["127.0.0.1"]))
    Relay(page, opening, seat(allow(target)), loopback.reactor).start()
    await loopback.settle(lambda: bool(page.told))
    return page.told


@pytest_twisted.ensureDeferred
async def test_a_tls_backend_is_verified_and_carries_bytes(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with tls_backend(authority.server("irc.example.org")) as port:
        tls = Tls(server_name="irc.example.org", ca_file=authority.file)
        page = await talk(TcpTarget(host="irc.example.org", port=port, tls=tls))

    assert page.told == ["opened", b"hello", "eof", Code.CLEAN]


@pytest_twisted.ensureDeferred
async def test_a_unix_backend_carries_bytes(tmp_path: Path) -> None:
    path = str(tmp_path / "backend.sock")
    factory = ServerFactory.forProtocol(Echo)
    factory.noisy = False
    port = loopback.reactor.listenUNIX(path, factory)
    try:
        page = await talk(UnixTarget(path=path))
    finally:
        await port.stopListening()

    assert page.told == ["opened", b"hello", "eof", Code.CLEAN]


@pytest_twisted.ensureDeferred
async def test_a_unix_backend_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    assert await failed(UnixTarget(path=str(tmp_path / "nobody"))) == [Code.UNREACHABLE]


@pytest_twisted.ensureDeferred
async def test_a_closed_port_is_refused() -> None:
    async with loopback.backend(Echo) as port:
        closed = port

    assert await failed(TcpTarget(host="127.0.0.1", port=closed)) == [Code.REFUSED]


@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_finished_halfway_is_delivered_and_reset() -> None:
    seen: list[Any] = []

    class Sink(Protocol):
        def dataReceived(self, data: bytes) -> None:
            seen.append(data)

        def connectionLost(self, reason: Any = None) -> None:
            seen.append(reason.type.__name__)

    data = os.urandom(300_000)
    async with loopback.backend(Sink) as port:
        page = PlainPage()
        opening = Opening(loopback.reactor, Names([]))
        target = TcpTarget(host="127.0.0.1", port=port)
        relay = Relay(page, opening, seat(allow(target)), loopback.reactor)
        relay.start()
        await loopback.settle(lambda: "opened" in page.told)
        relay.write(data)
        relay.finish()
        await loopback.settle(lambda: bool(seen) and isinstance(seen[-1], str))

    assert b"".join(seen[:-1]) == data
    assert seen[-1] == "ConnectionLost", "an upload that was cut off must not look complete"


@pytest.mark.parametrize("leaves", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_handshake_that_nobody_waits_for_leaves_no_connection(leaves: bool) -> None:
    seen: list[str] = []

    class Silent(Protocol):
        def connectionMade(self) -> None:
            seen.append("made")

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            seen.append("lost")

    async with loopback.backend(Silent) as port:
        page = PlainPage()
        target = TcpTarget(host="127.0.0.1", port=port, tls=Tls(server_name="irc.example.org"))
        permission = allow(target, connect_timeout_s=10 if leaves else 0.1)
        relay = Relay(
            page, Opening(loopback.reactor, Names([])), seat(permission), loopback.reactor
        )
        relay.start()
        await loopback.settle(lambda: bool(seen))
        if leaves:
            relay.reset(Code.ABORTED, "gone")
        await loopback.settle(lambda: seen == ["made", "lost"])

    assert page.told == [Code.ABORTED if leaves else Code.CONNECT_TIMEOUT]


@pytest_twisted.ensureDeferred
async def test_an_unfinished_upload_over_tls_is_delivered_too(tmp_path: Path) -> None:
    data, seen = os.urandom(300_000), bytearray()

    class Sink(Protocol):
        def dataReceived(self, data: bytes) -> None:
            seen.extend(data)

    authority = Authority(tmp_path)
    async with tls_backend(authority.server("irc.example.org"), Sink) as port:
        tls = Tls(server_name="irc.example.org", ca_file=authority.file)
        page = PlainPage()
        relay = Relay(
            page,
            Opening(loopback.reactor, Names([])),
            seat(allow(TcpTarget(host="127.0.0.1", port=port, tls=tls))),
            loopback.reactor,
        )
        relay.start()
        await loopback.settle(lambda: "opened" in page.told)
        relay.write(data)
        relay.finish()
        await loopback.settle(lambda: page.told[-1] == Code.ABORTED)

    assert seen == data


def test_an_address_without_an_answer_leaves_time_for_the_next() -> None:
    names = Names(["192.0.2.7", "192.0.2.8"])
    reactor, _, _ = opened(names, allow(TcpTarget(host="irc.example.org", port=6667)))

    assert reactor.tcpClients[0][3] == 5.0


def test_a_file_of_ours_that_cannot_be_read_is_no_fault_of_the_backend(
    logged_errors: Any,
) -> None:
    tls = Tls(server_name="irc.example.org", ca_file="/nowhere/ca.pem")

    _, page, _ = opened(Names([]), allow(TcpTarget(host="127.0.0.1", port=6697, tls=tls)))

    assert page.told == [Code.INTERNAL]
    assert len(logged_errors.flush(FileNotFoundError)) == 1


KNOWN = Preamble(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"WEBIRC x gw 192.0.2.1 192.0.2.1\r\n")
LIE = b"PROXY TCP4 198.51.100.9 192.0.2.2 1 2\r\n"


@pytest.mark.parametrize("target", [UnixTarget(path="/run/irc.sock"), IRC])
def test_the_backend_hears_who_the_client_is_before_any_byte_of_his(target: Target) -> None:
    reactor, page, relay = opened(Names(["192.0.2.7"]), allow(target, preamble=KNOWN))
    relay.write(LIE)
    relay.write_eof()
    transport = BackendTransport()
    connecting = reactor.tcpClients if target is IRC else reactor.unixClients
    transport.protocol = connecting[0][2 if target is IRC else 1].buildProtocol(None)
    transport.protocol.makeConnection(transport)

    assert transport.value() == KNOWN.clear + KNOWN.inside + LIE
    assert page.consumed_bytes == len(LIE), "what we say is not the page's"


@pytest_twisted.ensureDeferred
async def test_what_is_said_before_tls_is_heard_before_tls(tmp_path: Path) -> None:
    heard, peers = bytearray(), set()

    class Hearing(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            peers.add(self.transport.getPeer())
            heard.extend(data)

    authority = Authority(tmp_path)
    inner = TLSMemoryBIOFactory(
        authority.server("irc.example.org"), False, ServerFactory.forProtocol(Hearing)
    )
    port = loopback.reactor.listenTCP(0, HAProxyWrappingFactory(inner), interface="127.0.0.1")
    tls = Tls(server_name="irc.example.org", ca_file=authority.file)
    target = TcpTarget(host="127.0.0.1", port=port.getHost().port, tls=tls)
    page = PlainPage()
    opening = Opening(loopback.reactor, Names([]))
    relay = Relay(page, opening, seat(allow(target, preamble=KNOWN)), loopback.reactor)
    try:
        relay.start()
        relay.write(LIE)
        await loopback.settle(lambda: heard == KNOWN.inside + LIE)
    finally:
        relay.reset(Code.ABORTED, "enough")
        await port.stopListening()

    assert peers == {IPv4Address("TCP", "192.0.2.1", 1)}


def test_the_fault_names_code_and_text() -> None:
    fault = OpenFailed(Code.REFUSED, "there: connection refused")
    assert (fault.code, str(fault)) == (Code.REFUSED, "there: connection refused")


def test_a_descriptor_is_taken_for_a_backend_until_its_connection_is_gone() -> None:
    server = Server(descriptors=Descriptors(limit=20, others=1))
    descriptors = server.descriptors
    relay = Relay(PlainPage(), server.shared.opening, seat(allow(HERE)), server.reactor)
    relay.start()
    assert descriptors.taken == 2

    backend = server.backend()
    assert descriptors.taken == 2
    backend.abortConnection()
    assert descriptors.taken == 1


def test_an_attempt_that_fails_or_is_given_up_gives_its_descriptor_back() -> None:
    server = Server(descriptors=Descriptors(limit=20))
    refused, left = (
        Relay(PlainPage(), server.shared.opening, seat(allow(HERE)), server.reactor)
        for _ in range(2)
    )
    refused.start()
    left.start()
    assert server.descriptors.taken == 2

    failure = Failure(ConnectionRefusedError())
    server.reactor.tcpClients[0][2].clientConnectionFailed(None, failure)
    assert server.descriptors.taken == 1
    left.reset(Code.ABORTED, "the page left")
    assert server.descriptors.taken == 0


def test_the_reserve_is_not_for_backends() -> None:
    server = Server(descriptors=Descriptors(limit=20, others=4))
    named, chosen = PlainPage(), PlainPage()
    for page, detail in ((named, True), (chosen, False)):
        permission = allow(HERE, detail=detail)
        Relay(page, server.shared.opening, seat(permission), server.reactor).start()
    server.reactor.advance(1.0)

    assert named.told == [Code.BUSY]
    assert chosen.told == [Code.DENIED], "a page that chose the host sees one refusal for all"
    assert (server.reactor.tcpClients, server.descriptors.taken) == ([], 4)
