"""Does one stream meet one backend with every byte, both back-pressures and one end?"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.python.failure import Failure

from sockproxy.codes import Code
from sockproxy.policy.access import Allow, Asker
from sockproxy.policy.target import NamedTarget
from sockproxy.relay import CLOSE_LINGER_S, Relay
from tests.memory import ASKER, INI, BackendTransport, Server, seat


class PlainPage:
    """A page that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.consumed_bytes = 0

    def opened(self, remote: tuple[str, int], local: tuple[str, int]) -> None:
        self.told.append("opened")

    def data(self, data: bytes) -> None:
        self.told.append(data)

    def eof(self) -> None:
        self.told.append("eof")

    def closed(self, code: Code, text: str) -> None:
        self.told.append(code)

    def consumed(self, count: int) -> None:
        self.consumed_bytes += count


def started(asker: Asker = ASKER, text: str = INI) -> tuple[Server, PlainPage, Relay]:
    server, page = Server(text), PlainPage()
    allow = server.policy.decide(asker, NamedTarget("irc"))
    assert isinstance(allow, Allow)
    taken = seat(allow, server.hub.usage)
    relay = Relay(page, server.shared.opening, taken, server.reactor)
    relay.start()
    return server, page, relay


def open_relay(text: str = INI) -> tuple[Server, PlainPage, Relay, BackendTransport]:
    server, page, relay = started(text=text)
    backend = server.backend()
    return server, page, relay, backend


def test_what_was_written_before_the_backend_came_goes_first() -> None:
    server, page, relay = started()
    relay.write(b"one ")
    relay.write(b"two")
    relay.write_eof()
    assert page.consumed_bytes == 0

    backend = server.backend()

    assert backend.value() == b"one two"
    assert backend.half_closed
    assert page.told == ["opened"]
    assert page.consumed_bytes == 7


def test_a_page_that_was_full_before_the_backend_came_pauses_it() -> None:
    server, _, relay = started()
    relay.pause()

    backend = server.backend()

    assert backend.producerState == "paused"
    relay.resume()
    relay.resume()
    assert backend.producerState == "producing"


def test_bytes_count_as_consumed_while_the_backend_takes_them() -> None:
    _, page, relay, backend = open_relay()

    relay.write(b"x" * 10)
    assert page.consumed_bytes == 10
    assert backend.producer is not None
    backend.producer.pauseProducing()
    relay.write(b"x" * 20)
    assert page.consumed_bytes == 10

    backend.producer.resumeProducing()
    assert page.consumed_bytes == 30
    backend.producer.resumeProducing()
    assert page.consumed_bytes == 30
    backend.producer.stopProducing()


def test_both_ends_finishing_is_clean_in_either_order() -> None:
    for page_first in (True, False):
        _, page, relay, backend = open_relay()
        if page_first:
            relay.write_eof()
            backend.protocol.readConnectionLost()
        else:
            backend.protocol.readConnectionLost()
            relay.write_eof()
        assert page.told == ["opened", "eof", Code.CLEAN]


def test_a_reset_by_the_backend_is_no_clean_end() -> None:
    for reason in (ConnectionLost(), ConnectionAborted()):
        _, page, _, backend = open_relay()
        backend.protocol.dataReceived(b"last")
        backend.protocol.connectionLost(Failure(reason))
        assert page.told == ["opened", b"last", Code.BACKEND_RESET]


def test_a_full_close_by_the_backend_waits_for_the_page() -> None:
    _, page, relay, backend = open_relay()

    backend.protocol.connectionLost(Failure(ConnectionDone()))
    assert page.told == ["opened", "eof"]
    relay.write_eof()
    assert page.told == ["opened", "eof", Code.CLEAN]


def test_writing_behind_a_full_close_is_a_reset() -> None:
    _, page, relay, backend = open_relay()
    backend.protocol.connectionLost(Failure(ConnectionDone()))

    relay.write(b"too late")
    relay.write(b"again")
    relay.reset(Code.ABORTED, "over already")

    assert page.told == ["opened", "eof", Code.BACKEND_RESET]


def test_a_close_behind_both_ends_words_is_clean() -> None:
    _, page, relay, backend = open_relay()
    relay.write_eof()

    backend.protocol.connectionLost(Failure(ConnectionDone()))

    assert page.told == ["opened", "eof", Code.CLEAN]


def test_a_reset_by_the_page_aborts_and_tells_its_own_code() -> None:
    _, page, relay, backend = open_relay()

    relay.reset(Code.KILLED, "by hand")
    relay.reset(Code.KILLED, "twice")
    relay.finish()

    assert backend.aborted
    assert page.told == ["opened", Code.KILLED]


def test_a_reset_while_connecting_cancels_the_attempt() -> None:
    server, page, relay = started()
    relay.write(b"never sent")

    relay.reset(Code.ABORTED, "never mind")
    relay.write(b"nor this")

    assert server.reactor.connectors[0].stoppedConnecting
    assert page.told == [Code.ABORTED]
    assert not server.reactor.getDelayedCalls()


def test_a_failed_connect_tells_its_code() -> None:
    server, page, _ = started()

    factory = server.reactor.tcpClients[0][2]
    factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    assert page.told == [Code.REFUSED]


def test_a_connect_without_an_answer_times_out() -> None:
    server, page, _ = started()

    server.reactor.advance(10.1)

    assert page.told == [Code.CONNECT_TIMEOUT]


def test_finishing_a_whole_upload_is_a_fin() -> None:
    server, page, relay, backend = open_relay()
    relay.write(b"all of it")
    relay.write_eof()

    relay.finish()

    assert backend.closing
    assert not backend.aborted
    assert page.told[-1] == Code.CLEAN
    assert not server.reactor.getDelayedCalls()


def test_finishing_half_an_upload_is_a_reset_behind_its_bytes() -> None:
    server, page, relay, backend = open_relay()
    assert backend.producer is not None
    backend.producer.pauseProducing()
    relay.write(b"half of it")

    relay.finish()
    server.reactor.pump([0.5] * 4)
    assert not backend.aborted, "the transport still holds bytes"
    backend.producer.resumeProducing()
    server.reactor.advance(0.5)

    assert backend.aborted
    assert page.told[-1] == Code.ABORTED
    assert not server.reactor.getDelayedCalls()


def test_a_backend_that_never_reads_is_left_after_five_seconds() -> None:
    server, _page, relay, backend = open_relay()
    assert backend.producer is not None
    backend.producer.pauseProducing()
    relay.write(b"never read")

    relay.finish()
    server.reactor.pump([0.5] * int(2 * CLOSE_LINGER_S + 1))

    assert backend.aborted
    assert not server.reactor.getDelayedCalls()


def test_finishing_before_the_backend_came_gives_up() -> None:
    server, page, relay = started()

    relay.finish()

    assert page.told == [Code.ABORTED]
    assert server.reactor.connectors[0].stoppedConnecting


def test_finishing_behind_a_full_close_just_ends() -> None:
    server, page, relay, backend = open_relay()
    backend.protocol.connectionLost(Failure(ConnectionDone()))

    relay.finish()

    assert page.told == ["opened", "eof", Code.ABORTED]
    assert not server.reactor.getDelayedCalls()


@pytest.mark.parametrize("paused", [True, False])
def test_a_half_closed_backend_is_not_read_again(paused: bool) -> None:
    _, page, relay, backend = open_relay()
    if paused:
        relay.pause()
    backend.protocol.readConnectionLost()

    relay.resume()

    assert page.told == ["opened", "eof"]


RATE = 64 * 1024
SLOW = f"{INI}[limits]\nbytes_per_s = 64KiB\n"


def test_a_slowed_stream_is_neither_read_nor_given_credit_until_its_rate_allows() -> None:
    server, page, relay, backend = open_relay(SLOW)
    relay.write(bytes(RATE))
    assert page.consumed_bytes == RATE

    backend.protocol.dataReceived(bytes(RATE // 2))
    assert page.told[-1] == bytes(RATE // 2), "what has arrived goes on"
    assert backend.producerState == "paused"
    relay.write(b"x" * 100)
    assert backend.value()[-100:] == b"x" * 100
    assert page.consumed_bytes == RATE

    server.reactor.advance(0.4)
    assert (backend.producerState, page.consumed_bytes) == ("paused", RATE)
    server.reactor.pump([0.1] * 2)
    assert (backend.producerState, page.consumed_bytes) == ("producing", RATE + 100)
    relay.reset(Code.ABORTED, "done")
    assert not server.reactor.getDelayedCalls()


def test_a_full_page_and_a_used_up_rate_hold_a_backend_together() -> None:
    server, _, relay, backend = open_relay(SLOW)
    relay.pause()
    relay.write(bytes(RATE + 1))

    relay.resume()
    assert backend.producerState == "paused", "the rate is used up"
    relay.pause()
    server.reactor.pump([0.1] * 2)
    assert backend.producerState == "paused", "the page is full"
    relay.resume()
    assert backend.producerState == "producing"
    relay.reset(Code.ABORTED, "done")


def test_a_stream_that_was_slowed_before_its_backend_came_waits_on() -> None:
    server, _, relay = started(text=SLOW)
    relay.write(bytes(2 * RATE))

    backend = server.backend()
    assert backend.producerState == "paused"
    server.reactor.pump([0.1] * 11)
    assert backend.producerState == "producing"
    relay.reset(Code.ABORTED, "done")


def test_what_the_transport_took_while_slowed_is_credit_afterwards() -> None:
    server, page, relay, backend = open_relay(SLOW)
    backend.producer.pauseProducing()
    relay.write(bytes(RATE + 1))
    backend.producer.resumeProducing()
    assert page.consumed_bytes == 0

    server.reactor.pump([0.1] * 2)

    assert page.consumed_bytes == RATE + 1
    relay.reset(Code.ABORTED, "done")


def test_a_slowed_stream_whose_page_left_still_gives_the_backend_all() -> None:
    server, _, relay, backend = open_relay(SLOW)
    relay.write(bytes(2 * RATE))

    backend.producer.pauseProducing()
    relay.finish()
    assert backend.producerState == "producing", "unread bytes would make the close a reset"
    server.reactor.pump([0.1] * 11)
    backend.protocol.dataReceived(bytes(2 * RATE))
    assert backend.producerState == "producing"

    server.reactor.pump([0.5] * int(2 * CLOSE_LINGER_S + 1))
    assert len(backend.value()) == 2 * RATE
    assert not server.reactor.getDelayedCalls()


@pytest.mark.parametrize("by_page", [True, False])
def test_a_byte_beyond_the_quota_goes_nowhere_and_ends_the_stream(by_page: bool) -> None:
    options = "reveal_address = yes\nmax_bytes = 100B\n"
    text = INI.replace("[backend told]", f"{options}[backend told]")
    server, page, relay, backend = open_relay(text)
    relay.write(b"x" * 60)
    backend.protocol.dataReceived(b"y" * 40)

    if by_page:
        relay.write(b"!")
    else:
        backend.protocol.dataReceived(b"!")

    assert backend.value() == b"x" * 60
    assert page.told == ["opened", b"y" * 40, Code.QUOTA]
    assert backend.aborted
    assert len(server.hub.usage.streams) == 0


def test_the_place_of_a_stream_is_free_when_it_has_ended_and_not_before() -> None:
    server, _, relay, backend = open_relay()
    backend.producer.pauseProducing()
    relay.write(b"not read yet")
    relay.finish()
    assert len(server.hub.usage.streams) > 0, "its backend is there yet"

    server.reactor.pump([0.5] * int(2 * CLOSE_LINGER_S + 1))

    assert len(server.hub.usage.streams) == 0
