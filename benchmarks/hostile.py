"""What does a hostile peer cost, and is he told so? `python -m benchmarks.hostile [--quick]`

One stranger at a time, each at a fresh server: bombs, endless messages, floods of what costs
nothing to send. Then lies on a session with 20 open streams. Only loopback; about a minute.
"""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.pour import PORTION_BYTES, SWITCHING, Cost, pour
from benchmarks.report import MIB, Figure, show
from benchmarks.server import Broken, backends, server
from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.head import CONTENT_TOO_LARGE, LENGTH_REQUIRED
from sockproxy.upgrade import MESSAGE_MAX_BYTES, TOO_BIG
from tests import loopback
from tests.integration.test_native import World, world
from tests.loopback import head, masked

ORIGIN = "Origin: https://app.example"
NATIVE = "Sec-WebSocket-Protocol: sockproxy.v1"
MEMORY_MIB = 16
PROCESSOR_S = 1.0
# A million frames of ours, which are 2 to 4 MB that a page may as well say.
MILLION_FRAMES_S = 5.0
STREAMS = 20
CLOSED_S = 1.0
PROTOCOL_ERROR = 1002
COMPRESSED = 0x40
FILLER = 9
BOMB_BYTES = 200 * MIB
ENDLESS_BYTES = 64 * MIB
# Told nothing: what he does is allowed, and costs him as much as us.
ALIVE = 0


@dataclass(frozen=True, slots=True)
class Stranger:
    """What he says first, what then, and which status or close code he is to get."""

    first: Callable[[], bytes]
    flood: Callable[[int], Iterable[bytes]]
    told: int
    count: int = 1
    reads: bool = True
    processor_s: float = PROCESSOR_S


def _raw(*lines: str) -> Callable[[], bytes]:
    return lambda: head("/raw/echo", ORIGIN, *lines)


def _native(filler: bytes = b"") -> Callable[[], bytes]:
    """Return how a new session begins; a HELLO takes its filler with it."""

    def first() -> bytes:
        sid, secret = os.urandom(frames.SID_BYTES), os.urandom(frames.SECRET_BYTES)
        tlvs = {FILLER: filler} if filler else {}
        hello = frames.Hello(1, frames.FLAG_CREATE, 1, 0, 0, sid, secret, tlvs)
        return head("/sp/_/ws", ORIGIN, NATIVE) + masked(2, frames.encode(hello))

    return first


def _posted(line: str) -> Callable[[], bytes]:
    lines = ("POST /sp/_/up HTTP/1.1", "Host: gw.example", ORIGIN, line, "", "")
    return lambda: "\r\n".join(lines).encode()


def _each(frame: bytes) -> Callable[[int], Iterator[bytes]]:
    return lambda count: repeat(frame, count)


def _packed(frame: bytes) -> Callable[[int], Iterator[bytes]]:
    """Put as many frames of ours into each message as it takes."""
    each = MESSAGE_MAX_BYTES // len(frame)
    return lambda count: chain(
        repeat(masked(2, frame * each), count // each), [masked(2, frame * (count % each))]
    )


def _zeros(count: int) -> Iterator[bytes]:
    return repeat(bytes(PORTION_BYTES), ENDLESS_BYTES // PORTION_BYTES)


def _endless(opcode: int) -> Callable[[int], Iterator[bytes]]:
    begin = bytes((0x80 | opcode, 0xFF)) + (2**62).to_bytes(8, "big") + bytes(4)
    return lambda count: chain([begin], _zeros(count))


def _bomb(count: int) -> Iterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(bytes(BOMB_BYTES)) + packer.flush(zlib.Z_SYNC_FLUSH)
    frame = masked(2, packed[:-4])
    yield bytes((frame[0] | COMPRESSED,)) + frame[1:]


GET = b"GET /sockproxy.js HTTP/1.1\r\nHost: gw.example\r\n\r\n"
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
CHUNK = b"10000\r\n" + bytes(65_536) + b"\r\n"
LAKH, MILLION = 100_000, 1_000_000

STRANGERS: dict[str, Stranger] = {
    "deflate bomb of 200 MiB": Stranger(_raw(OFFER), _bomb, PROTOCOL_ERROR),
    "message of 2^62 bytes": Stranger(_raw(), _endless(2), TOO_BIG),
    "ping of 2^62 bytes": Stranger(_raw(), _endless(9), PROTOCOL_ERROR),
    "empty fragments": Stranger(
        lambda: _raw()() + masked(2, b"", final=False),
        _each(masked(0, b"", final=False)),
        TOO_BIG,
        MILLION,
    ),
    "pings": Stranger(_raw(), _each(masked(9, b"ping")), 1008, LAKH),
    "pings, no pong read": Stranger(_raw(), _each(masked(9, bytes(125))), 1008, LAKH, False),
    "empty messages": Stranger(_raw(), _each(masked(2, b"")), ALIVE, LAKH),
    "PADs of no bytes": Stranger(
        _native(), _packed(b"\0\0"), ALIVE, MILLION, processor_s=MILLION_FRAMES_S
    ),
    "PINGs of ours": Stranger(
        _native(),
        _packed(frames.encode(frames.Ping(7))),
        ALIVE,
        MILLION,
        processor_s=MILLION_FRAMES_S,
    ),
    "DATA of no bytes": Stranger(_native(), _packed(b"\x82\0"), 4000 + Code.PROTOCOL, MILLION),
    "HELLO of 16 KiB": Stranger(_native(bytes(16_000)), _zeros, 4000 + Code.TOO_BIG),
    "HELLO of 200 KiB": Stranger(_native(bytes(200_000)), _zeros, 4000 + Code.TOO_BIG),
    "chunked POST without end": Stranger(
        _posted("Transfer-Encoding: chunked"), _each(CHUNK), LENGTH_REQUIRED, 1000
    ),
    "Content-Length of 10^12": Stranger(
        _posted("Content-Length: 1000000000000"), _zeros, CONTENT_TOO_LARGE
    ),
    "requests, no answer read": Stranger(lambda: GET, _each(GET), ALIVE, LAKH, False),
}


def strangers(ports: dict[str, int], quick: bool) -> Iterator[Figure]:
    """Let in one stranger after another, each at a server of its own."""
    for name, stranger in STRANGERS.items():
        count = max(1, stranger.count // 10) if quick else stranger.count
        with server(ports) as proxy:
            # Once without the flood: by then all is imported.
            pour(proxy, stranger.first(), reads=stranger.reads)
            cost = pour(proxy, stranger.first(), stranger.flood(count), reads=stranger.reads)
        yield from _figures(name, stranger, cost, count)


def _figures(name: str, stranger: Stranger, cost: Cost, count: int) -> Iterator[Figure]:
    each_us = 1e6 * cost.processor_s / count
    note = f"{count:,} of them, {each_us:.1f} us each" if count > 1 else ""
    yield Figure(f"{name}: memory", cost.memory_mib, "MiB", most=MEMORY_MIB, note=note)
    yield Figure(f"{name}: processor", cost.processor_s, "s", most=stranger.processor_s)
    if stranger.reads:
        told = cost.close_code if cost.status == SWITCHING else cost.status
        yield Figure(f"{name}: told", told, "", most=stranger.told, least=stranger.told)


LIES: dict[str, tuple[Callable[[int], bytes], int]] = {
    "a bad frame": (lambda stream: b"\x30\x00", STREAMS),
    "an impossible ack": (lambda stream: frames.encode(frames.Ack(2**40)), STREAMS),
    "a cut frame": (lambda stream: frames.encode_data(stream, b"abc")[:-1], STREAMS),
    # The lie of one stream ends that one.
    "credit exceeded": (lambda stream: frames.encode_data(stream, bytes(16_384)) * 5, 1),
}


async def lies(reactor: Any) -> list[Figure]:
    """Lie on a session with open streams and see how soon their backends are closed."""
    figures = []
    with TemporaryDirectory() as folder:
        async with world(Path(folder), more="[limits]\nopens_per_s = 1000\n") as there:
            for name, (lie, ends) in LIES.items():
                took_s = await _lie(reactor, there, lie, ends)
                note = f"of {STREAMS} streams, {ends} may end"
                figures.append(
                    Figure(f"{name}: backends closed", took_s, "s", most=CLOSED_S, note=note)
                )
    return figures


async def _lie(reactor: Any, there: World, lie: Callable[[int], bytes], ends: int) -> float:
    client, before = await there.client(), len(there.made)
    streams = [client.open("there") for _ in range(STREAMS)]
    await client.until(lambda: len(client.of(events.StreamOpened)) == STREAMS)
    await loopback.settle(lambda: len(there.made) == before + STREAMS)
    backends = there.made[before:]
    began_s = reactor.seconds()
    assert client.carrier is not None
    client.carrier.deaf = True  # it does not know what is said behind its back
    client.send_raw(lie(streams[0]))
    await loopback.settle(lambda: sum(played.lost is not None for played in backends) >= ends)
    took_s: float = reactor.seconds() - began_s
    if sum(played.lost is not None for played in backends) != ends:
        raise Broken("a stream ended that nobody lied on")
    client.close()
    return took_s


async def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of each flood")
    chosen = parser.parse_args()
    figures = await lies(reactor)
    with backends() as ports:
        figures += strangers(ports, chosen.quick)
    if show(figures):
        sys.exit(1)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
