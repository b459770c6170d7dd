"""How are bytes cut on their way, and what does a sequence return that never waits?"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Iterator
from typing import TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def chunkings(data: bytes) -> Iterator[list[bytes]]:
    """Yield `data` whole, byte by byte, and cut at random places."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    for seed in range(5):
        places = random.Random(seed)
        chunks, at = [], 0
        while at < len(data):
            end = at + places.randint(1, 7)
            chunks.append(data[at:end])
            at = end
        yield chunks


def result(sequence: Awaitable[T]) -> T:
    """Return what a coroutine returns without waiting for anything."""

    async def run() -> T:
        return await sequence

    found: list[T] = []
    Deferred.fromCoroutine(run()).addCallback(found.append)
    assert found, "it waits, or has failed"
    return found[0]
