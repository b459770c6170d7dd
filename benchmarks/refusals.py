"""Can a page tell by the time why a host is refused? `python -m benchmarks.refusals`

Four reasons, 200 times each and mixed, for hosts that a page chose: not allowed, without an
address, with an address that is out of bounds, with a port that refuses. Only loopback; half
a minute.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.report import Figure, quantile, show
from sockproxy.core import events
from tests.integration import processes
from tests.integration.native import NativeClient

TIMES = 200
AT_ONCE = 10
APART_MS = 5.0
INI = """
[access chosen]
origins = https://app.example
allow =
    *.test.invalid:80
    localhost:81
    127.0.0.1:{closed}
[limits]
opens_per_s = 1000
failures_burst = 1000
"""


class Clocked(NativeClient):
    """A session that notes when each of its streams was refused."""

    def __init__(self, reactor: Any, port: int) -> None:
        super().__init__(reactor, port)
        self.ended_s: dict[int, float] = {}
        self.told: set[tuple[int, str]] = set()

    def _note(self, event: events.Event) -> None:
        super()._note(event)
        if isinstance(event, events.StreamClosed):
            self.ended_s[event.stream] = self.reactor.seconds()
            self.told.add((event.code, event.text))


def targets(closed: int) -> dict[str, tuple[str, int]]:
    return {
        "not allowed": ("denied.example", 80),
        "no address": ("nothing.test.invalid", 80),
        "out of bounds": ("localhost", 81),
        "refused": ("127.0.0.1", closed),
    }


async def measure(client: Clocked, closed: int) -> dict[str, list[float]]:
    """Return how long each refusal took, in ms, by reason."""
    took: dict[str, list[float]] = {reason: [] for reason in targets(closed)}
    for _ in range(TIMES // AT_ONCE):
        # Numbers of streams that have ended are used again.
        client.ended_s.clear()
        begun: list[tuple[str, int, float]] = []
        for reason, (host, port) in [*targets(closed).items()] * AT_ONCE:
            begun.append((reason, client.open(host, port), client.reactor.seconds()))
        await client.until(lambda begun=begun: all(s in client.ended_s for _, s, _ in begun))  # type: ignore[misc]
        for reason, stream, at_s in begun:
            took[reason].append(1000 * (client.ended_s[stream] - at_s))
    return took


def figures(took: dict[str, list[float]], told: int) -> Iterator[Figure]:
    medians = {reason: quantile(samples, 0.5) for reason, samples in took.items()}
    for reason, median in medians.items():
        yield Figure(f"{reason}, median", median, "ms", note=f"{len(took[reason])} times")
    apart = max(medians.values()) - min(medians.values())
    yield Figure("medians apart", apart, "ms", most=APART_MS)
    yield Figure("codes and texts", told, "", most=1, least=1)


async def main(reactor: Any) -> None:
    closed = processes.free_port()
    ini = INI.format(closed=closed)
    with TemporaryDirectory() as folder, processes.service(Path(folder), ini) as server:
        client = Clocked(reactor, server.port)
        await client.connect()
        took = await measure(client, closed)
        client.close()
    if show(list(figures(took, len(client.told)))):
        sys.exit(1)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
