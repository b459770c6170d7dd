"""What does a live switch cost? `python -m benchmarks.switch`

Eight streams send and receive without a pause while their session moves between WebSocket,
stream and polls every 50 ms for 60 s. Both ends compare SHA-256; what a switch says again must
stay within one session window (I12). `--quick` does it for 5 s. Only loopback.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.held import session
from benchmarks.pages import Download, Page, Upload, lengths, settle
from benchmarks.report import MIB, Figure, show
from benchmarks.server import AS_MANY, Broken, backends, server
from sockproxy.core.session import Windows

KINDS = ("websocket", "stream", "poll")
STREAMS = 8
EVERY_S = 0.05
LASTS_S = 60.0
QUICK_S = 5.0
PART_BYTES = 3_000_000


@dataclass(slots=True)
class Tally:
    """What the switches did."""

    switches: int = 0
    again_bytes: list[int] = field(default_factory=list)
    carried_bytes: int = 0
    over: bool = False


class Lane:
    """One stream after another, each compared at its end."""

    def __init__(self, page: Page, tally: Tally) -> None:
        self.download = Download(0)
        self.stream = 0
        self._page = page
        self._tally = tally

    async def run(self) -> None:
        page = self._page
        while not self._tally.over:
            self.download, upload = Download(PART_BYTES), Upload(PART_BYTES)
            self.stream = page.open("exchange")
            page.write(self.stream, lengths(PART_BYTES, PART_BYTES))
            page.uploads[self.stream] = upload
            page.flush()
            await settle(page.reactor, lambda: self.download.done)
            if not self.download.agrees(upload):
                raise Broken("SHA-256 differs")
            self._tally.carried_bytes += 2 * PART_BYTES
            page.write_eof(self.stream)


async def switch(page: Page, tally: Tally, seconds: float, chance: random.Random) -> None:
    """Move the session again and again; note what was under way each time."""
    reactor = page.reactor
    kind = "websocket"
    end = reactor.seconds() + seconds
    while reactor.seconds() < end:
        start = reactor.seconds()
        kind = chance.choice([other for other in KINDS if other != kind])
        await page.connect_by(kind)
        # What the server had not taken when the link was left is said again.
        tally.again_bytes.append(page.core.log.next - page.core.log.base)
        tally.switches += 1
        await deferLater(reactor, max(0.0, EVERY_S - (reactor.seconds() - start)))
    tally.over = True


async def run(reactor: Any, seconds: float, seed: int) -> list[Figure]:
    tally = Tally()
    with backends() as ports, server(ports, **AS_MANY) as proxy:
        page, _ = await session(reactor, proxy)
        lanes = [Lane(page, tally) for _ in range(STREAMS)]

        def take(stream: int, data: bytes) -> None:
            for lane in lanes:
                if lane.stream == stream:
                    lane.download.take(data)

        page.on_data = take
        start = reactor.seconds()
        running = [Deferred.fromCoroutine(lane.run()) for lane in lanes]
        await switch(page, tally, seconds, random.Random(seed))
        for lane in running:
            await lane
        took_s = reactor.seconds() - start
        in_flight = page.in_flight_max
        page.close()
    window = Windows().session
    mean = sum(tally.again_bytes) / len(tally.again_bytes)
    carried = f"{tally.carried_bytes / 1e6:.0f} MB in {took_s:.0f} s on {STREAMS} streams"
    return [
        Figure("switches", tally.switches, "", least=1, note=f"{carried}, SHA-256 equal"),
        Figure(
            "unacknowledged at a switch, most", max(tally.again_bytes) / MIB, "MiB", window / MIB
        ),
        Figure("unacknowledged at a switch, mean", mean / MIB, "MiB"),
        Figure("requests in flight, most", in_flight, "", most=2),
    ]


async def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.switch", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_S:g} s only")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    if show(await run(reactor, QUICK_S if chosen.quick else LASTS_S, chosen.seed)):
        sys.exit(1)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
