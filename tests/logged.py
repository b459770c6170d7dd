"""What is logged while something happens?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer


@contextmanager
def lines() -> Iterator[list[str]]:
    """Collect what is logged within the block, as it would be read."""
    caught: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        caught.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        yield caught
    finally:
        globalLogPublisher.removeObserver(observe)
