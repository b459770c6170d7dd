"""What does HTTP cost beside a WebSocket? `python -m benchmarks.http`

One server, one client, the kinds of link in turns, so that whatever else the machine does
hits all of them: bulk down, round trips of 64 bytes, requests in flight. Then what must leave
nothing behind: streams opened and closed over each kind, and 100,000 one-byte writes of a
backend through polls. `--quick` does a tenth. Only loopback.
"""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater, react

from benchmarks.held import Pinger
from benchmarks.pages import Download, Page, Upload, lengths, settle
from benchmarks.report import MIB, Figure, quantile, show
from benchmarks.server import AS_MANY, Broken, Server, backends, server
from sockproxy.core import events
from tests.loopback import backend

KINDS = ("websocket", "stream", "poll")
TURNS = 3
BULK_BYTES = 60_000_000
TRIPS_S = 2.0
CYCLES = 10_000
SESSIONS = 2_000
AT_ONCE = 40
WRITES = 100_000
DOWN_RATIO = 0.35
TRIPS_RATIO = 0.25
GROWTH_MIB = 2.0


async def page_by(reactor: Any, proxy: Server, kind: str) -> Page:
    page = Page(reactor, proxy.port)
    await page.connect_by(kind)
    return page


async def bulk(reactor: Any, proxy: Server, kind: str, size: int) -> float:
    """Return bytes a second from the backend to the page."""
    page = await page_by(reactor, proxy, kind)
    download = Download(size)
    page.on_data = lambda _, data: download.take(data)
    stream = page.open("exchange")
    start = reactor.seconds()
    page.write(stream, lengths(0, size))
    await page.until(lambda: download.done, 300.0)
    took_s: float = reactor.seconds() - start
    if not download.agrees(Upload(0)):
        raise Broken("SHA-256 differs")
    page.close()
    return size / took_s


async def trips(reactor: Any, proxy: Server, kind: str, seconds: float) -> tuple[float, int]:
    """Return round trips a second, and how many requests were in flight at most."""
    page = await page_by(reactor, proxy, kind)
    stream = page.open("echo")
    await page.until(lambda: bool(page.of(events.StreamOpened, stream)))
    pinger = Pinger(page, stream)
    pinger.start()
    await deferLater(reactor, seconds)
    pinger.stop()
    page.close()
    return len(pinger.samples_s) / seconds, page.in_flight_max


async def ratios(reactor: Any, proxy: Server, part: float) -> list[Figure]:
    """Each kind in turns, beside our own WebSocket."""
    downs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    round_trips: dict[str, list[float]] = {kind: [] for kind in KINDS}
    in_flight = 0
    for _ in range(TURNS):
        for kind in KINDS:
            downs[kind].append(await bulk(reactor, proxy, kind, int(BULK_BYTES * part)))
            rate, most = await trips(reactor, proxy, kind, TRIPS_S * part)
            round_trips[kind].append(rate)
            in_flight = max(in_flight, most)
    found = []
    for name, rates, least, unit, scale in (
        ("down", downs, DOWN_RATIO, "MB/s", 1e6),
        ("round trips", round_trips, TRIPS_RATIO, "/s", 1.0),
    ):
        own = quantile(rates["websocket"], 0.5)
        for kind in KINDS[1:]:
            rate = quantile(rates[kind], 0.5)
            bound = least if kind == "stream" else None
            note = f"{rate / scale:.0f} {unit} beside {own / scale:.0f}"
            found.append(Figure(f"{kind}, {name}, ratio", rate / own, "", least=bound, note=note))
    found.append(Figure("requests in flight, most", in_flight, "", most=2))
    return found


async def cycles(reactor: Any, proxy: Server, kind: str, count: int) -> list[Figure]:
    """Open and close streams, and see what the server keeps."""
    page = await page_by(reactor, proxy, kind)
    await _open_close(page, AT_ONCE)
    before_bytes, before_fds = proxy.rss_bytes, descriptors(proxy)
    for _ in range(count // AT_ONCE):
        await _open_close(page, AT_ONCE)
    await settle(reactor, lambda: descriptors(proxy) <= before_fds, 10.0)
    grown = (proxy.rss_bytes - before_bytes) / MIB
    left = descriptors(proxy) - before_fds
    page.close()
    name = f"{count:,} streams over {kind}"
    return [
        Figure(f"{name}, memory", grown, "MiB", most=GROWTH_MIB),
        Figure(f"{name}, descriptors left", left, "", most=0),
    ]


async def _open_close(page: Page, count: int) -> None:
    page.happened.clear()
    streams = [page.open("echo") for _ in range(count)]
    for stream in streams:
        page.write(stream, b"x")
        page.write_eof(stream)
    await page.until(lambda: len(page.of(events.StreamClosed)) == count)


async def sessions(reactor: Any, proxy: Server, kind: str, count: int) -> list[Figure]:
    """Begin sessions and end them by BYE; 10 minutes long their ids are remembered."""
    await _come_and_go(reactor, proxy, kind)
    before_bytes, before_fds = proxy.rss_bytes, descriptors(proxy)
    for _ in range(count):
        await _come_and_go(reactor, proxy, kind)
    await settle(reactor, lambda: descriptors(proxy) <= before_fds, 10.0)
    grown = (proxy.rss_bytes - before_bytes) / MIB
    left = descriptors(proxy) - before_fds
    name = f"{count:,} sessions over {kind}"
    return [
        Figure(f"{name}, memory", grown, "MiB", most=GROWTH_MIB),
        Figure(f"{name}, descriptors left", left, "", most=0),
    ]


async def _come_and_go(reactor: Any, proxy: Server, kind: str) -> None:
    page = await page_by(reactor, proxy, kind)
    await _open_close(page, 1)
    page.leave()
    await page.until(lambda: page.carrier is None and page.http is None)
    page.close()


def descriptors(proxy: Server) -> int:
    return len(list(Path(f"/proc/{proxy.pid}/fd").iterdir()))


class Dripper(Protocol):
    """A backend that writes single bytes, each a write of its own."""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        for number in range(int.from_bytes(data, "big")):
            transport.write(bytes((number % 251,)))
        transport.loseConnection()


async def drips(reactor: Any, count: int) -> Figure:
    """One-byte writes of a backend, through polls."""
    async with backend(Dripper) as port:
        with server({"drip": port}, **AS_MANY) as proxy:
            page = await page_by(reactor, proxy, "poll")
            digest, came = sha256(), [0]

            def take(_: int, data: bytes) -> None:
                digest.update(data)
                came[0] += len(data)

            page.on_data = take
            stream = page.open("drip")
            page.write(stream, count.to_bytes(4, "big"))
            await page.until(lambda: came[0] == count, 120.0)
            page.close()
    expected = sha256(bytes(number % 251 for number in range(count)))
    if digest.digest() != expected.digest():
        raise Broken("other bytes, or another order")
    return Figure("one-byte writes through polls", count, "", least=count, note="SHA-256 equal")


async def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    part = 0.1 if parser.parse_args().quick else 1.0
    with backends() as ports, server(ports, **AS_MANY) as proxy:
        figures = await ratios(reactor, proxy, part)
        for kind in KINDS:
            figures += await cycles(reactor, proxy, kind, int(CYCLES * part))
            figures += await sessions(reactor, proxy, kind, int(SESSIONS * part))
    figures.append(await drips(reactor, int(WRITES * part)))
    if show(figures):
        sys.exit(1)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
