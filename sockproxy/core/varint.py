"""How does an integer look on the wire? (RFC 9000 section 16, up to 2^53-1.)"""

from __future__ import annotations

from sockproxy.codes import Code
from sockproxy.core.errors import LocalError, PeerError

MAX_VALUE = 2**53 - 1

_LENGTHS = ((1 << 6, 1, 0x00), (1 << 14, 2, 0x4000), (1 << 30, 4, 0x8000_0000))


class CutError(Exception):
    """The bytes end before the value does; more may come."""


def encode(value: int) -> bytes:
    """Return the shortest encoding of `value`, 1 to 8 bytes."""
    if 0 <= value < 64:
        return bytes((value,))
    if not 0 <= value <= MAX_VALUE:
        raise LocalError(f"integer {value} outside 0..{MAX_VALUE}")
    for bound, length, mark in _LENGTHS:
        if value < bound:
            return (value | mark).to_bytes(length, "big")
    return (value | 0xC0 << 56).to_bytes(8, "big")


def decode(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the integer at `at` and the position behind it.

    Longer encodings than needed are accepted. Raises `CutError` when the bytes end
    early, `PeerError` above 2^53-1.
    """
    if at >= len(data):
        raise CutError
    first = data[at]
    if first < 64:
        return first, at + 1
    length = 1 << (first >> 6)
    end = at + length
    if end > len(data):
        raise CutError
    value = int.from_bytes(data[at:end], "big") & (1 << (8 * length - 2)) - 1
    if value > MAX_VALUE:
        raise PeerError(Code.PROTOCOL, f"integer {value} above {MAX_VALUE}")
    return value, end
