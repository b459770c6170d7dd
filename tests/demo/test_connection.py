"""Is one IRC client held on its wire, bounded, and gone once?"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from sockproxy.demo.connection import OUTBOX_BYTES, IrcConnection
from sockproxy.demo.lines import Message
from sockproxy.demo.network import Network


class Wire(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


def connected() -> tuple[IrcConnection, Wire, list[Message]]:
    obeyed: list[Message] = []
    network = Network("irc.test", 0.0)
    network.connections += 1
    connection = IrcConnection(network, Clock(), lambda _, message: obeyed.append(message))
    wire = Wire()
    connection.makeConnection(wire)
    return connection, wire, obeyed


def test_lines_become_messages_and_replies_lines() -> None:
    connection, wire, obeyed = connected()
    connection.dataReceived(b"NICK a\r\n\r\nUSER a 0")
    connection.reply("421", "FOO", "Unknown command")

    assert [message.verb for message in obeyed] == ["NICK"]
    assert wire.value() == b":irc.sockproxy.demo 421 * FOO :Unknown command\r\n"


def test_a_client_that_does_not_read_is_not_heard_and_then_dropped() -> None:
    connection, wire, _ = connected()
    connection.pauseProducing()
    for _ in range(OUTBOX_BYTES // 500 + 2):
        connection.tell("x" * 498)

    assert wire.aborted
    assert len(wire.value()) <= OUTBOX_BYTES
    connection.tell("never said")
    assert b"never" not in wire.value()


def test_a_client_that_reads_again_is_heard_again() -> None:
    connection, wire, _ = connected()
    connection.pauseProducing()
    connection.tell("waits")
    connection.resumeProducing()

    assert wire.producerState == "producing"
    assert not wire.aborted


def test_leaving_twice_is_leaving_once() -> None:
    connection, _, _ = connected()
    connection.depart("bye")
    connection.connectionLost()

    assert connection.network.connections == 0
