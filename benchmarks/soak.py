"""Does every byte arrive though the link is killed all the time? `python -m benchmarks.soak`

Rounds of 100 MB both ways at once on one stream of one session, and every 500 ms a kill:
by an RST, or by a link that nobody hears of any more while the next one attaches: a WebSocket,
a stream or polls, at random. Both ends compare SHA-256. `--quick` kills 20 times instead of
200. Only loopback.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.held import session
from benchmarks.pages import Download, Page, Upload, lengths
from benchmarks.report import MIB, Figure, quantile, show
from benchmarks.server import AS_MANY, Broken, Server, backends, server
from sockproxy.core import events
from sockproxy.timers import Every

ROUND_BYTES = 100_000_000
KILLS = 200
KILLS_QUICK = 20
EVERY_S = 0.5
SILENT_PART = 0.25
SILENT_S = 0.2
WATCH_S = 0.05
MEMORY_MIB = 16
BACK_S = 2
ROUND_TIMEOUT_S = 300.0
KINDS = ("websocket", "stream", "poll")


@dataclass(slots=True)
class Tally:
    """What has happened so far."""

    kills_left: int
    kills: int = 0
    rounds: int = 0
    before_bytes: int = 0
    peak_bytes: int = 0

    def look(self, proxy: Server) -> None:
        """Note how much memory the server has now."""
        self.peak_bytes = max(self.peak_bytes, proxy.rss_bytes)


class Killer:
    """Kills the page's link in its own time, until it may no more."""

    def __init__(self, page: Page, tally: Tally, chance: random.Random) -> None:
        self.back_s: list[float] = []
        self._page = page
        self._tally = tally
        self._chance = chance

    async def run(self) -> None:
        reactor, tally = self._page.reactor, self._tally
        while tally.kills_left:
            await deferLater(reactor, EVERY_S * self._chance.uniform(0.5, 1.5))
            tally.kills_left -= 1
            tally.kills += 1
            start = reactor.seconds()
            await self._kill()
            self.back_s.append(reactor.seconds() - start)

    async def _kill(self) -> None:
        """Lose the link and attach by the next; welcomed when this returns."""
        page = self._page
        carrier = page.carrier
        if carrier is not None and self._chance.random() < SILENT_PART:
            carrier.transport.pauseProducing()
            page.carrier = None
            page.reactor.callLater(SILENT_S, carrier.transport.abortConnection)
        else:
            page.kill()
        await page.connect_by(self._chance.choice(KINDS))


async def exchange(page: Page) -> None:
    """Move 100 MB both ways at once on a stream of its own, and end it."""
    stream = page.open("exchange")
    upload, download = Upload(ROUND_BYTES), Download(ROUND_BYTES)
    ended = len(page.of(events.StreamClosed))
    page.on_data = lambda _, data: download.take(data)
    page.write(stream, lengths(ROUND_BYTES, ROUND_BYTES))
    page.uploads[stream] = upload
    page.flush()
    await page.until(lambda: download.done, ROUND_TIMEOUT_S)
    if not download.agrees(upload):
        raise Broken("SHA-256 differs")
    page.write_eof(stream)
    await page.until(lambda: len(page.of(events.StreamClosed)) > ended)


async def rounds(page: Page, tally: Tally, kills: Deferred[None]) -> None:
    """Exchange again and again while links are killed."""
    while not tally.rounds or not kills.called:
        await exchange(page)
        tally.rounds += 1


async def soak(reactor: Any, kills: int, seed: int) -> list[Figure]:
    tally = Tally(kills)
    with backends() as ports, server(ports, **AS_MANY) as proxy:
        page, _ = await session(reactor, proxy)
        tally.before_bytes = tally.peak_bytes = proxy.rss_bytes
        start = reactor.seconds()
        watch = Every(reactor, WATCH_S, lambda: tally.look(proxy))
        watch.start()
        killer = Killer(page, tally, random.Random(seed))
        killing: Deferred[None] = Deferred.fromCoroutine(killer.run())
        await rounds(page, tally, killing)
        await killing
        watch.stop()
        took_s = reactor.seconds() - start
        kept_bytes = proxy.rss_bytes
        page.close()
    carried = 2 * tally.rounds * ROUND_BYTES
    note = f"{tally.rounds} rounds of 100 MB both ways in {took_s:.0f} s, SHA-256 equal"
    return [
        Figure("kills", tally.kills, "", least=kills, note=note),
        Figure("memory at most", (tally.peak_bytes - tally.before_bytes) / MIB, "MiB", MEMORY_MIB),
        Figure("memory at the end", (kept_bytes - tally.before_bytes) / MIB, "MiB"),
        Figure("back within, p99", quantile(killer.back_s, 0.99), "s", most=BACK_S),
        Figure("carried", carried / 1e6 / took_s, "MB/s"),
    ]


async def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{KILLS_QUICK} kills only")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    kills = KILLS_QUICK if chosen.quick else chosen.kills
    if show(await soak(reactor, kills, chosen.seed)):
        sys.exit(1)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
