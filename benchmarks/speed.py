"""How fast is one stream, with a client in Python on the other processor?"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from twisted.internet.task import deferLater

from benchmarks.held import ROUND_TRIP_BYTES, Pinger, Ports, session
from benchmarks.pages import DIGESTS_BYTES, Download, Page, Upload, lengths, raw_page, settle
from benchmarks.report import Figure
from benchmarks.server import Broken, Server, server
from sockproxy.core import frames

ONE_BYTE_WRITES = 20_000
ONE_BYTE_WRITES_PER_S = 50_000
ONE_BYTE_TRIES = 5
BULK_BYTES = 100_000_000
MEGA = 1_000_000


async def speed(reactor: Any, ports: Ports, seconds: float, bulk_bytes: int) -> list[Figure]:
    """All figures of one stream, from one server."""
    with server(ports) as proxy:
        return [
            await one_byte_writes(reactor, proxy),
            await one_byte_page(reactor, proxy),
            await round_trips(reactor, proxy, seconds),
            await raw_round_trips(reactor, proxy, seconds),
            await bulk(reactor, proxy, 0, bulk_bytes),
            await bulk(reactor, proxy, bulk_bytes, 0),
            await raw_bulk(reactor, proxy, 0, bulk_bytes),
            await raw_bulk(reactor, proxy, bulk_bytes, 0),
        ]


def _one_byte() -> list[bytes]:
    return [bytes((number % 251,)) for number in range(ONE_BYTE_WRITES)]


def _check(tail: bytes, payload: bytes) -> None:
    if tail != sha256(payload).digest() + sha256().digest():
        raise Broken("the backend saw other bytes, or another order")


async def one_byte_writes(reactor: Any, proxy: Server) -> Figure:
    """What the server does with a WebSocket message and a DATA frame for each byte.

    The best of some tries: whatever else runs on the machine only takes away.
    """
    cpu_s = proxy.cpu_s
    took_s = min([await _one_byte_try(reactor, proxy) for _ in range(ONE_BYTE_TRIES)])
    each_us = 1e6 * (proxy.cpu_s - cpu_s) / ONE_BYTE_WRITES / ONE_BYTE_TRIES
    note = f"{ONE_BYTE_WRITES:,} messages in order, best of {ONE_BYTE_TRIES} tries;"
    note += f" {each_us:.1f} us of processor each"
    rate = ONE_BYTE_WRITES / took_s
    return Figure("one-byte writes, server", rate, "/s", least=ONE_BYTE_WRITES_PER_S, note=note)


async def _one_byte_try(reactor: Any, proxy: Server) -> float:
    """Return the seconds from the first byte to the backend's answer.

    All messages are made before: it is the server that is measured, not this client.
    """
    page = Page(reactor, proxy.port)
    await page.connect()
    stream = page.open("exchange")
    page.write(stream, lengths(ONE_BYTE_WRITES, 0))
    await settle(reactor, lambda: not page.core.log.entries)
    carrier: Any = page.carrier
    came = bytearray()
    wire = _captured(carrier, [frames.encode_data(stream, byte) for byte in _one_byte()])
    decoder = frames.Decoder(frames.MAX_SERVER_DATA_BYTES)

    def take(payload: bytes, isBinary: bool) -> None:
        for raw in decoder.feed(payload):
            if raw.kind == frames.DATA:
                came.extend(raw.body)

    carrier.onMessage = take
    start = reactor.seconds()
    carrier.transport.write(wire)
    took_s = await _until(reactor, lambda: len(came) == DIGESTS_BYTES, start)
    page.close()
    _check(bytes(came), b"".join(_one_byte()))
    return took_s


def _captured(carrier: Any, messages: list[bytes]) -> bytes:
    """Return what these messages are on the wire."""
    parts: list[bytes] = []
    send, carrier.sendData = carrier.sendData, lambda data, *_: parts.append(data)
    for message in messages:
        carrier.sendMessage(message, isBinary=True)
    carrier.sendData = send
    return b"".join(parts)


async def one_byte_page(reactor: Any, proxy: Server) -> Figure:
    """The same as a page does it: it may put together what waits."""
    page = Page(reactor, proxy.port)
    await page.connect()
    stream = page.open("exchange")
    page.write(stream, lengths(ONE_BYTE_WRITES, 0))
    start = reactor.seconds()
    for byte in _one_byte():
        page.core.write(stream, byte)
    page.flush()
    took_s = await _until(reactor, lambda: len(page.data.get(stream, b"")) == DIGESTS_BYTES, start)
    page.close()
    _check(bytes(page.data[stream]), b"".join(_one_byte()))
    return Figure("one-byte writes, page", ONE_BYTE_WRITES / took_s, "/s")


async def round_trips(reactor: Any, proxy: Server, seconds: float) -> Figure:
    page, stream = await session(reactor, proxy)
    pinger = Pinger(page, stream)
    pinger.start()
    await deferLater(reactor, seconds)
    pinger.stop()
    page.close()
    return Figure(f"{ROUND_TRIP_BYTES} B round trips", len(pinger.samples_s) / seconds, "/s")


async def raw_round_trips(reactor: Any, proxy: Server, seconds: float) -> Figure:
    page = await raw_page(reactor, proxy.port, "echo")
    came = 0

    def answer(data: bytes) -> None:
        nonlocal came
        came += len(data)
        if came % ROUND_TRIP_BYTES == 0:
            page.send(bytes(ROUND_TRIP_BYTES))

    page.on_data = answer
    page.send(bytes(ROUND_TRIP_BYTES))
    await deferLater(reactor, seconds)
    page.transport.abortConnection()
    rate = came / ROUND_TRIP_BYTES / seconds
    return Figure(f"{ROUND_TRIP_BYTES} B round trips, raw", rate, "/s")


async def bulk(reactor: Any, proxy: Server, up_bytes: int, down_bytes: int) -> Figure:
    page = Page(reactor, proxy.port)
    await page.connect()
    stream = page.open("exchange")
    upload, download = Upload(up_bytes), Download(down_bytes)
    page.on_data = lambda _, data: download.take(data)
    start = reactor.seconds()
    page.write(stream, lengths(up_bytes, down_bytes))
    page.uploads[stream] = upload
    page.flush()
    took_s = await _until(reactor, lambda: download.done, start)
    page.close()
    return _rate("native", upload, download, up_bytes, down_bytes, took_s)


async def raw_bulk(reactor: Any, proxy: Server, up_bytes: int, down_bytes: int) -> Figure:
    page = await raw_page(reactor, proxy.port, "exchange")
    upload, download = Upload(up_bytes), Download(down_bytes)
    page.on_data = download.take
    start = reactor.seconds()
    page.send(lengths(up_bytes, down_bytes))
    page.upload = upload
    page.feed()
    took_s = await _until(reactor, lambda: download.done, start)
    page.transport.abortConnection()
    return _rate("raw", upload, download, up_bytes, down_bytes, took_s)


def _rate(
    way: str, upload: Upload, download: Download, up_bytes: int, down_bytes: int, took_s: float
) -> Figure:
    if not download.agrees(upload):
        raise Broken(f"{way}: SHA-256 differs")
    direction = "up" if up_bytes else "down"
    return Figure(f"bulk {direction}, {way}", (up_bytes + down_bytes) / MEGA / took_s, "MB/s")


async def _until(reactor: Any, check: Callable[[], bool], start: float) -> float:
    """Return the seconds from `start` until `check` holds."""
    await settle(reactor, check)
    return float(reactor.seconds() - start)
