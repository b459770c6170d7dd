"""Does the service keep its bounds? `python -m benchmarks.bounds [--quick]`

Starts a real twistd and a process of backends for each measurement, prints one table and
a JSON line for each figure, and exits with 1 when a bound is missed. Only loopback.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import held, speed
from benchmarks.report import Figure, show
from benchmarks.server import backends

IDLE_SESSIONS = 1000
IDLE_SESSIONS_QUICK = 200
# Long enough for every session's ping, which comes after 25 s.
IDLE_S = 30.0


async def measure(reactor: Any, quick: bool, sessions: int) -> list[Figure]:
    """Measure everything, one after another."""
    flood_s = 1.0 if quick else 10.0
    seconds = 0.5 if quick else 5.0
    bulk_bytes = speed.BULK_BYTES // 5 if quick else speed.BULK_BYTES
    idle_s = seconds if quick else IDLE_S
    figures: list[Figure] = []
    with backends() as ports:
        figures += await held.page_stops_consuming(reactor, ports, flood_s)
        figures += await held.page_stops_reading(reactor, ports, flood_s)
        figures += await held.raw_page_stops_reading(reactor, ports, flood_s)
        figures += await held.backend_stops(reactor, ports)
        figures += await held.raw_backend_stops(reactor, ports)
        figures += await held.crowd(reactor, ports, flood_s)
        figures += await held.busy_neighbour(reactor, ports, seconds)
        figures += await held.idle(reactor, ports, sessions, idle_s)
        figures += await speed.speed(reactor, ports, seconds, bulk_bytes)
    return figures


def raise_descriptor_limit() -> None:
    """Every idle session takes one descriptor here and two in the server."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bounds", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, about 25 s")
    parser.add_argument(
        "--sessions", type=int, help=f"how many idle ones, {IDLE_SESSIONS} unless told"
    )
    chosen = parser.parse_args()
    usual = IDLE_SESSIONS_QUICK if chosen.quick else IDLE_SESSIONS
    raise_descriptor_limit()
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, loopback", flush=True)
    if show(await measure(reactor, chosen.quick, chosen.sessions or usual)):
        sys.exit(1)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
