"""Does the echo give everything back, slow down with its reader, and close after EOF?"""

from __future__ import annotations

from twisted.internet.testing import StringTransport

from sockproxy.demo.echo import Echo, EchoFactory


def connected() -> tuple[Echo, StringTransport]:
    echo, transport = EchoFactory().buildProtocol(None), StringTransport()
    echo.makeConnection(transport)
    return echo, transport


def test_bytes_come_back_as_they_were() -> None:
    echo, transport = connected()
    echo.dataReceived(bytes(range(256)))
    assert transport.value() == bytes(range(256))


def test_a_slow_reader_stops_the_reading() -> None:
    _, transport = connected()
    producer = transport.producer
    assert transport.streaming
    assert producer is not None
    producer.pauseProducing()
    assert transport.producerState == "paused"
    producer.resumeProducing()
    assert transport.producerState == "producing"


def test_end_of_input_closes_after_the_last_byte() -> None:
    echo, transport = connected()
    echo.dataReceived(b"last words")
    assert not transport.disconnecting
    echo.readConnectionLost()
    assert transport.value() == b"last words"
    assert transport.disconnecting
    assert transport.producer is None


def test_a_reader_that_leaves_is_no_error() -> None:
    echo, transport = connected()
    echo.writeConnectionLost()
    assert transport.value() == b""
