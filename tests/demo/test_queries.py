"""Does each question that an ordinary client asks get its complete answer?"""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from sockproxy.demo import queries
from sockproxy.demo.irc import IrcFactory


def answers(*lines: str) -> list[str]:
    """Return the numerics that a member of the lobby gets."""
    connection = IrcFactory(Clock()).buildProtocol(None)
    assert connection is not None
    wire = StringTransport()
    connection.makeConnection(wire)
    connection.dataReceived(b"NICK ada\r\nUSER ada 0 * :Ada\r\nJOIN #sockproxy\r\n")
    wire.clear()
    for line in lines:
        connection.dataReceived(line.encode() + b"\r\n")
    return [line.split(" ")[1] for line in wire.value().decode().split("\r\n")[:-1]]


@pytest.mark.parametrize(
    ("line", "numerics"),
    [
        ("MOTD", ["375", *["372"] * len(queries.MOTD), "376"]),
        ("LUSERS", ["251"]),
        ("VERSION", ["351"]),
        ("TIME", ["391"]),
        ("PING x", ["PONG"]),
        ("NAMES #sockproxy", ["353", "366"]),
        ("NAMES #nowhere", ["366"]),
        ("WHO #sockproxy", ["352", "315"]),
        ("WHO nobody", ["315"]),
    ],
)
def test_a_question_is_answered_to_its_end(line: str, numerics: list[str]) -> None:
    assert answers(line) == numerics
