"""Does the log hold one honest line for each event, never too many, and survive a full disk?"""

from __future__ import annotations

import ast
import errno
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogPublisher,
    formatEvent,
    globalLogPublisher,
    jsonFileLogObserver,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from sockproxy import logs
from sockproxy.logs import (
    KIND_BURST_LINES,
    KIND_LINES_PER_S,
    PEER_BURST_LINES,
    PEER_LINES_PER_S,
    PEERS_MAX,
    Logger,
    Sieve,
)
from tests.test_escape import ANYTHING

PACKAGE = Path(logs.__file__).parent
LEVELS = {"debug", "info", "warn", "error", "critical", "failure"}


class Disk:
    """A log file that may be full."""

    def __init__(self) -> None:
        self.text = ""
        self.is_full = False

    def write(self, text: str) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.text += text

    def flush(self) -> None:
        """Nothing is kept back."""


class Books:
    """A sieve over a log file, with a clock."""

    def __init__(self, kind: Any = textFileLogObserver) -> None:
        self.clock = Clock()
        self.disk = Disk()
        publisher = LogPublisher(kind(self.disk))
        self.sieve = Sieve(publisher, self.clock.seconds)
        self.sieve.start()
        self.log = Logger("books", observer=self.sieve)

    @property
    def lines(self) -> list[str]:
        """What stands in the file, without time and place."""
        return [line.partition("] ")[2] for line in self.disk.text.splitlines()]


def told(**fields: object) -> str:
    """Return the line of an event that says all its fields."""
    caught: list[LogEvent] = []

    @implementer(ILogObserver)
    def catch(event: LogEvent) -> None:
        caught.append(event)

    text = " ".join(f"{{{name}}}" for name in fields)
    Logger("books", observer=catch).info(text, **fields)
    return formatEvent(caught[0])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x1b[31m\r\nb", "a\\x1b[31m\\r\\nb"),
        (b"caf\xc3\xa9 \x85\xff", "café \\udc85\\udcff"),
        (ValueError("a\nb"), "a\\nb"),
        (ip_address("192.0.2.1"), "192.0.2.1"),
        (["\u202e"], "['\\\\u202e']"),
        (None, "None"),
        (7, "7"),
        ("x" * 300, "x" * 197 + "..."),
        ("{peer} {0}", "{peer} {0}"),
    ],
)
def test_every_field_is_written_in_printable_characters(value: object, shown: str) -> None:
    assert told(reason=value) == shown


@given(st.lists(ANYTHING, max_size=4), st.sampled_from([textFileLogObserver, jsonFileLogObserver]))
def test_every_event_is_one_line_of_either_log(texts: list[str], kind: Any) -> None:
    books = Books(kind)
    fields = {f"field{number}": text for number, text in enumerate(texts)}
    books.log.info("seen: " + " ".join(f"{{{name}}}" for name in fields), **fields)

    line = books.disk.text.removesuffix("\n").removeprefix("\x1e")  # JSON text sequences
    assert line.isprintable()
    assert "seen: " in line


def test_a_failure_keeps_its_traceback() -> None:
    books = Books()
    try:
        raise ValueError("ours")
    except ValueError:
        books.log.failure("of {peer}", peer="\x1b")

    assert books.lines[0] == "of \\x1b"
    assert "ValueError: ours" in books.disk.text


def test_a_peer_that_floods_is_left_out_and_counted() -> None:
    books = Books()
    for number in range(1000):
        books.log.info("refused {peer}: {number}", peer="192.0.2.1", number=number)

    assert len(books.lines) == PEER_BURST_LINES
    assert books.sieve.suppressed == 1000 - PEER_BURST_LINES
    books.sieve.sweep()
    assert books.lines[-1] == "980 more lines were left out: refused {peer}: {number}"
    books.clock.advance(1.0)
    for number in range(1000):
        books.log.info("refused {peer}: {number}", peer="192.0.2.1", number=number)
    assert len(books.lines) == PEER_BURST_LINES + 1 + PEER_LINES_PER_S


def test_a_flood_hides_no_other_peer_and_no_other_line() -> None:
    books = Books()
    for _ in range(1000):
        books.log.info("refused {peer}", peer="192.0.2.1")
    books.log.info("refused {peer}", peer="192.0.2.2")
    books.log.info("new session of {peer}", peer="192.0.2.1")

    assert books.lines[-2:] == ["refused 192.0.2.2", "new session of 192.0.2.1"]


def test_a_home_with_many_addresses_is_one_peer() -> None:
    books = Books()
    for number in range(1000):
        books.log.info("refused {peer}", peer=f"2001:db8::{number:x}")

    assert len(books.lines) == PEER_BURST_LINES


def test_where_no_peer_is_told_the_origin_counts() -> None:
    books = Books()
    for _ in range(PEER_BURST_LINES + 1):
        books.log.info("refused {origin}", origin="https://a.example")
    books.log.info("refused {origin}", origin="https://b.example")

    assert books.sieve.suppressed == 1
    assert books.lines[-1] == "refused https://b.example"


def test_many_peers_together_have_a_limit() -> None:
    books = Books()
    for number in range(10 * PEERS_MAX):
        books.log.info("refused {peer}", peer=str(ip_address(number)))
    assert len(books.lines) == KIND_BURST_LINES

    books.clock.advance(2.0)
    for number in range(10 * PEERS_MAX):
        books.log.info("refused {peer}", peer=str(ip_address(number)))
    assert len(books.lines) == KIND_BURST_LINES + 2 * KIND_LINES_PER_S


def test_failures_of_our_own_are_limited_by_their_kind() -> None:
    books = Books()
    for _ in range(100):
        books.log.failure("a repeated task failed", Failure(ValueError("ours")))

    assert books.disk.text.count("ValueError") == PEER_BURST_LINES
    books.sieve.sweep()
    assert books.disk.text.endswith(
        "[books#critical] 80 more lines were left out: a repeated task failed\n"
    )


def test_a_sweep_with_nothing_to_tell_is_silent() -> None:
    books = Books()
    books.log.info("once")
    books.sieve.sweep()
    books.sieve.sweep()

    assert books.lines == ["once"]


def test_lines_that_a_full_disk_loses_are_told_once_there_is_room() -> None:
    books = Books()
    books.disk.is_full = True
    for _ in range(5):
        books.log.info("lost")
    books.sieve.sweep()
    books.sieve.sweep()
    assert books.disk.text == ""
    assert books.sieve.write_errors == 7, "5 lines, 2 tries to tell"

    books.disk.is_full = False
    books.sieve.sweep()
    books.sieve.sweep()
    books.log.info("found")
    assert books.lines == ["5 lines could not be written", "found"]


def test_a_sieve_that_stops_tells_what_is_untold_and_begins_anew() -> None:
    books = Books()
    for _ in range(PEER_BURST_LINES + 5):
        books.log.info("again")
    books.sieve.stop()
    assert books.lines[-1] == "5 more lines were left out: again"

    books.log.info("again")
    assert books.lines[-1] == "again"


class Somewhere:
    """Logs as all of ours do."""

    log = Logger()


def test_a_class_logs_under_its_name_to_the_global_log_through_the_sieve() -> None:
    caught: list[LogEvent] = []

    @implementer(ILogObserver)
    def catch(event: LogEvent) -> None:
        caught.append(event)

    before = logs.SIEVE.suppressed
    globalLogPublisher.addObserver(catch)
    for _ in range(PEER_BURST_LINES + 1):
        Somewhere().log.info("{text}", text="\x00")
    globalLogPublisher.removeObserver(catch)

    assert {event["log_namespace"] for event in caught} == {f"{__name__}.Somewhere"}
    assert {formatEvent(event) for event in caught} == {"\\x00"}
    assert (len(caught), logs.SIEVE.suppressed) == (PEER_BURST_LINES, before + 1)


def log_calls() -> Iterator[ast.Call]:
    """Calls that make a line, in all of sockproxy."""
    for path in PACKAGE.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_bytes()))
        calls = [node for node in nodes if isinstance(node, ast.Call) and node.args]
        for call in calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS:
                yield call


def test_every_format_is_a_literal_line_so_that_no_text_from_outside_is_one() -> None:
    calls = list(log_calls())
    assert len(calls) > 10
    for call in calls:
        text = call.args[0]
        assert isinstance(text, ast.Constant), ast.unparse(call)
        assert isinstance(text.value, str), ast.unparse(call)
        assert text.value.isprintable(), ast.unparse(call)
