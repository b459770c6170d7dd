"""Which bytes are sent? Chunks that no other chunk equals, so that none can be swapped."""

from __future__ import annotations

from random import Random

CHUNK_BYTES = 64 * 1024

_TAIL = Random(1).randbytes(CHUNK_BYTES - 8)


def chunk(number: int) -> bytes:
    """Return chunk `number` of the endless sequence."""
    return number.to_bytes(8, "big") + _TAIL
