"""What may happen to what a client says?

Each change takes the pieces of a conversation and gives others; which, where and how often
is drawn from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from sockproxy.core import frames, varint
from tests.fuzz.conversations import Pieces

STREAMS = (0, 1, 2, 3, 4, 6, 8)
INTEGERS = (0, 1, 63, 64, 125, 126, 127, 16_383, 16_384, 65_535, 2**30, 2**53 - 1)
# What no varint of ours may be, and the lengths at which WebSocket frames change.
ODD_INTEGERS = (
    b"\xff" * 8,
    b"\xc0\x20" + bytes(6),
    b"\xc0" + bytes(7),
    b"\xfe\xff\xff",
    b"\xff\x40" + bytes(7),
    b"\xff\x80" + bytes(7),
    b"\xfe\x00\x01",
)
WORDS = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"\x85",
    b"Content-Length: 0\r\n",
    b"Content-Length: 1000000000000\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    b"\x88\x82\0\0\0\0\x03\xe8",
    b"\xc1\x80\0\0\0\0",
    b"\x00\x80\0\0\0\0",
    b"\xff\xfe",
)
TIMES_MAX = 40


def flip(draw: Random, pieces: Pieces) -> Pieces:
    """Turn a bit over."""
    place, data = _one(draw, pieces)
    if not data:
        return pieces
    at = draw.randrange(len(data))
    turned = data[at] ^ 1 << draw.randrange(8)
    return _with(pieces, place, data[:at] + bytes((turned,)) + data[at + 1 :])


def delete(draw: Random, pieces: Pieces) -> Pieces:
    """Leave out some bytes of a piece, or all."""
    place, data = _one(draw, pieces)
    start, end = sorted(draw.randint(0, len(data)) for _ in range(2))
    return _with(pieces, place, data[:start] + data[end:])


def truncate(draw: Random, pieces: Pieces) -> Pieces:
    """Say nothing from some byte on."""
    place, data = _one(draw, pieces)
    return [*pieces[:place], data[: draw.randint(0, len(data))]]


def insert(draw: Random, pieces: Pieces) -> Pieces:
    """Say something more somewhere."""
    place, data = _one(draw, pieces)
    at = draw.randint(0, len(data))
    more = draw.choice(WORDS) if draw.random() < 0.6 else draw.randbytes(draw.randint(1, 30))
    return _with(pieces, place, data[:at] + more + data[at:])


def integer(draw: Random, pieces: Pieces) -> Pieces:
    """Write an integer at the edge of something over what was there."""
    place, data = _one(draw, pieces)
    at = draw.randint(0, min(len(data), 16))
    value = varint.encode(draw.choice(INTEGERS))
    value = draw.choice(ODD_INTEGERS) if draw.random() < 0.3 else value
    behind = at + (len(value) if draw.random() < 0.5 else 1)
    return _with(pieces, place, data[:at] + value + data[behind:])


def duplicate(draw: Random, pieces: Pieces) -> Pieces:
    """Say a piece again, once or very often."""
    place, data = _one(draw, pieces)
    times = 1 if draw.random() < 0.7 else draw.randint(2, TIMES_MAX)
    return [*pieces[:place], *[data] * times, *pieces[place:]]


def reorder(draw: Random, pieces: Pieces) -> Pieces:
    """Say two pieces in each other's place."""
    moved = list(pieces)
    one, other = draw.randrange(len(moved)), draw.randrange(len(moved))
    moved[one], moved[other] = moved[other], moved[one]
    return moved


def splice(draw: Random, pieces: Pieces) -> Pieces:
    """Begin as one piece and end as another."""
    place, data = _one(draw, pieces)
    _, other = _one(draw, pieces)
    begin, end = data[: draw.randint(0, len(data))], other[draw.randint(0, len(other)) :]
    return _with(pieces, place, begin + end)


def lie(draw: Random, pieces: Pieces) -> Pieces:
    """Put a whole frame of ours in between, of any type and with any fields."""
    place = draw.randint(0, len(pieces))
    return [*pieces[:place], _frame(draw), *pieces[place:]]


MUTATIONS: tuple[Callable[[Random, Pieces], Pieces], ...] = (
    flip,
    delete,
    truncate,
    insert,
    integer,
    duplicate,
    reorder,
    splice,
    lie,
    lie,
)


def mutated(draw: Random, pieces: Pieces, most: int) -> Pieces:
    """Return pieces to which up to so many things have happened."""
    for _ in range(draw.randint(0, most)):
        if pieces:
            pieces = draw.choice(MUTATIONS)(draw, pieces)
    return pieces


def _frame(draw: Random) -> bytes:
    if draw.random() < 0.3:
        stream = draw.choice(STREAMS)
        return frames.encode_data(stream, draw.randbytes(draw.choice((1, 9, 16_384))))
    cls, kinds = draw.choice(list(frames.LAYOUT.values()))
    return frames.encode(cls(*(_FIELDS[kind](draw) for kind in kinds)))


_FIELDS: dict[frames.Kind, Callable[[Random], Any]] = {
    frames.Kind.INT: lambda draw: draw.choice((*STREAMS, *STREAMS, *INTEGERS)),
    frames.Kind.TEXT: lambda draw: draw.choice(("", "echo", "text", "refused", "é" * 300)),
    frames.Kind.SID: lambda draw: draw.randbytes(draw.choice((0, 15, 16, 16))),
    frames.Kind.SECRET: lambda draw: draw.randbytes(draw.choice((0, 31, 32, 32))),
    frames.Kind.TLVS: lambda draw: {draw.choice(INTEGERS): draw.randbytes(draw.randint(0, 9))},
    frames.Kind.REST: lambda draw: draw.randbytes(draw.choice((0, 1, 9, 16_384))),
}


def _one(draw: Random, pieces: Pieces) -> tuple[int, bytes]:
    place = draw.randrange(len(pieces))
    return place, pieces[place]


def _with(pieces: Pieces, place: int, data: bytes) -> Pieces:
    return [*pieces[:place], data, *pieces[place + 1 :]]
