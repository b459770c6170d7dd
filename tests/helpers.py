"""How are bytes cut on their way?"""

from __future__ import annotations

import random
from collections.abc import Iterator


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
