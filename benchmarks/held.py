"""How much does the server hold for those who do not read, and who else notices?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from benchmarks.pages import Page, Upload, raw_page, settle
from benchmarks.report import KIB, MIB, Figure, quantile
from benchmarks.server import AS_MANY, Broken, Server, server

PAGE_STOPS_MIB = 8
BACKEND_STOPS_MIB = 4
PUSH_BYTES = 200_000_000
ROUND_TRIP_BYTES = 64
ROUND_TRIP_P99_MS = 20
IDLE_KIB = 30
IDLE_CPU_PERCENT = 2
IDLE_FIRST = 50
SAMPLE_S = 0.05
READS_FIRST_S = 1.0
STALLED_S = 0.5
STALLED_AT_MIB = 16
AT_ONCE = 50
CROWD = 20

Ports = dict[str, int]


class Count:
    """How many bytes came, before and after the page stopped."""

    def __init__(self) -> None:
        self._came = 0
        self._before = 0

    def take(self, data: bytes) -> None:
        self._came += len(data)

    def stop(self) -> None:
        self._before = self._came

    def note(self, seconds: float) -> str:
        """Say it; a flood that never came would prove nothing."""
        if not self._before:
            raise Broken("the flood never came")
        before, after = (count / MIB for count in (self._before, self._came - self._before))
        return f"{before:.0f} MiB came, then {seconds:g} s of flood brought {after:.1f} MiB"


async def growth(reactor: Any, proxy: Server, act: Awaitable[None]) -> float:
    """Return the MiB that the server grows by, at most, while `act` runs."""
    before = peak = proxy.rss_bytes
    running: Deferred[None] = Deferred.fromCoroutine(act)  # type: ignore[arg-type]
    while not running.called:
        await deferLater(reactor, SAMPLE_S)
        peak = max(peak, proxy.rss_bytes)
    await running
    return (peak - before) / MIB


async def session(reactor: Any, proxy: Server) -> tuple[Page, int]:
    """Connect a page and open `echo` on it; one round trip has been made."""
    page = Page(reactor, proxy.port)
    await page.connect()
    stream = page.open("echo")
    page.write(stream, b"ready")
    await settle(reactor, lambda: len(page.data.get(stream, b"")) == len(b"ready"))
    return page, stream


class Pinger:
    """Round trips of 64 bytes, one after another, until it is stopped."""

    def __init__(self, page: Page, stream: int) -> None:
        self.page = page
        self.stream = stream
        self.samples_s: list[float] = []
        self.others: Callable[[int, bytes], None] = lambda stream, data: None
        self._came = 0
        self._at = 0.0
        self._on = False

    def start(self) -> None:
        self.page.on_data = self._data
        self._on = True
        self._send()

    def stop(self) -> None:
        self._on = False

    def _send(self) -> None:
        self._came = 0
        self._at = self.page.reactor.seconds()
        self.page.write(self.stream, bytes(ROUND_TRIP_BYTES))

    def _data(self, stream: int, data: bytes) -> None:
        if stream != self.stream:
            self.others(stream, data)
            return
        if not self.page.reading:
            self.page.core.consume(stream, len(data))
        self._came += len(data)
        if self._came == ROUND_TRIP_BYTES:
            self.samples_s.append(self.page.reactor.seconds() - self._at)
            if self._on:
                self._send()

    def figures(self, name: str, *, bound: bool = True) -> list[Figure]:
        """Return p50 and p99 in ms."""
        p50, p99 = (1000 * quantile(self.samples_s, part) for part in (0.5, 0.99))
        most = ROUND_TRIP_P99_MS if bound else None
        note = f"p50 {p50:.2f} ms, {len(self.samples_s)} round trips of {ROUND_TRIP_BYTES} B"
        return [Figure(f"{name}: other stream, p99", p99, "ms", most=most, note=note)]


async def page_stops_consuming(reactor: Any, ports: Ports, seconds: float) -> list[Figure]:
    """The page's link is read, its stream is not; another stream goes on."""
    name = "page stops consuming"
    with server(ports) as proxy:
        page, echo = await session(reactor, proxy)
        pinger = Pinger(page, echo)
        count = Count()
        pinger.others = lambda _, data: count.take(data)

        async def act() -> None:
            page.open("flood")
            await deferLater(reactor, READS_FIRST_S)
            page.reading = False
            count.stop()
            pinger.samples_s.clear()
            await deferLater(reactor, seconds)

        pinger.start()
        grown = await growth(reactor, proxy, act())
        pinger.stop()
        page.close()
        held = Figure(name, grown, "MiB", most=PAGE_STOPS_MIB, note=count.note(seconds))
        return [held, *pinger.figures(name)]


async def page_stops_reading(reactor: Any, ports: Ports, seconds: float) -> list[Figure]:
    """The page's TCP connection is not read at all."""
    with server(ports) as proxy:
        page, _ = await session(reactor, proxy)
        count = Count()
        page.on_data = lambda _, data: count.take(data)

        async def act() -> None:
            page.open("flood")
            await deferLater(reactor, READS_FIRST_S)
            assert page.carrier is not None
            count.stop()
            page.carrier.transport.pauseProducing()
            await deferLater(reactor, seconds)

        grown = await growth(reactor, proxy, act())
        page.close()
    note = count.note(seconds)
    return [Figure("page's TCP not read", grown, "MiB", most=PAGE_STOPS_MIB, note=note)]


async def raw_page_stops_reading(reactor: Any, ports: Ports, seconds: float) -> list[Figure]:
    """The same over /raw."""
    with server(ports) as proxy:
        await _warm_raw(reactor, proxy)
        count = Count()

        async def act() -> None:
            page = await raw_page(reactor, proxy.port, "flood")
            page.on_data = count.take
            await deferLater(reactor, READS_FIRST_S)
            count.stop()
            page.transport.pauseProducing()
            await deferLater(reactor, seconds)
            page.transport.abortConnection()

        grown = await growth(reactor, proxy, act())
    note = count.note(seconds)
    return [Figure("raw page's TCP not read", grown, "MiB", most=PAGE_STOPS_MIB, note=note)]


async def backend_stops(reactor: Any, ports: Ports) -> list[Figure]:
    """A backend that reads nothing stalls its stream; another stream goes on."""
    name = "backend stops reading"
    with server(ports) as proxy:
        page, echo = await session(reactor, proxy)
        pinger = Pinger(page, echo)
        stalled = Stalled(reactor)

        async def act() -> None:
            stream = page.open("hold")
            page.uploads[stream] = Upload(PUSH_BYTES)
            page.flush()
            pinger.start()
            await stalled.wait(lambda: page.sent(stream))

        grown = await growth(reactor, proxy, act())
        pinger.stop()
        page.close()
        return [*stalled.figures(name, grown), *pinger.figures(name)]


async def raw_backend_stops(reactor: Any, ports: Ports) -> list[Figure]:
    """The same over /raw, where the kernel's buffers are the credit."""
    with server(ports) as proxy:
        await _warm_raw(reactor, proxy)
        stalled = Stalled(reactor)

        async def act() -> None:
            page = await raw_page(reactor, proxy.port, "hold")
            page.upload = Upload(PUSH_BYTES)
            page.feed()
            await stalled.wait(lambda: page.sent)
            page.transport.abortConnection()

        grown = await growth(reactor, proxy, act())
    return stalled.figures("raw backend stops reading", grown)


async def crowd(reactor: Any, ports: Ports, seconds: float) -> list[Figure]:
    """Many at once, so that memory that was free before cannot hide what each one takes."""
    with server(ports) as proxy:
        pages = await _sessions(reactor, proxy, 2 * CROWD)

        async def flood() -> None:
            for page in pages[:CROWD]:
                page.open("flood")
            await deferLater(reactor, READS_FIRST_S)
            for page in pages[:CROWD]:
                assert page.carrier is not None
                page.carrier.transport.pauseProducing()
            await deferLater(reactor, seconds)

        async def push() -> None:
            for page in pages[CROWD:]:
                page.uploads[page.open("hold")] = Upload(PUSH_BYTES)
                page.flush()
            await deferLater(reactor, seconds)

        flooded = await growth(reactor, proxy, flood()) / CROWD
        pushed = await growth(reactor, proxy, push()) / CROWD
        for page in pages:
            page.close()
    note = f"mean of {CROWD} sessions at once"
    return [
        Figure("page's TCP not read, each", flooded, "MiB", most=PAGE_STOPS_MIB, note=note),
        Figure("backend stops reading, each", pushed, "MiB", most=BACKEND_STOPS_MIB, note=note),
    ]


class Stalled:
    """Waits until nothing moves any more."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.taken = 0

    async def wait(self, sent: Callable[[], int]) -> None:
        """Return when `sent` stands still, or all was taken."""
        while self.taken < PUSH_BYTES:
            await deferLater(self._reactor, STALLED_S)
            before, self.taken = self.taken, sent()
            if before == self.taken:
                return

    def figures(self, name: str, grown: float) -> list[Figure]:
        note = f"of {PUSH_BYTES / MIB:.0f} MiB pushed; most of it is in kernels"
        return [
            Figure(name, grown, "MiB", most=BACKEND_STOPS_MIB),
            Figure(f"{name}: stalled at", self.taken / MIB, "MiB", most=STALLED_AT_MIB, note=note),
        ]


async def busy_neighbour(reactor: Any, ports: Ports, seconds: float) -> list[Figure]:
    """A stream beside one that floods and is read as fast as the page can."""
    with server(ports) as proxy:
        page, echo = await session(reactor, proxy)
        pinger = Pinger(page, echo)
        page.open("flood")
        pinger.start()
        await deferLater(reactor, seconds)
        pinger.stop()
        page.close()
    return pinger.figures("neighbour floods and is read", bound=False)


async def idle(reactor: Any, ports: Ports, count: int, seconds: float) -> list[Figure]:
    """Sessions with one stream that do nothing."""
    limit = count + IDLE_FIRST
    limits = {"sessions_per_address": limit, "streams_per_address": 0, "address_opens_per_s": 0}
    with server(ports, **limits, **AS_MANY) as proxy:
        pages = await _sessions(reactor, proxy, IDLE_FIRST)
        before = proxy.rss_bytes
        pages += await _sessions(reactor, proxy, count)
        await deferLater(reactor, 1)
        grown = proxy.rss_bytes - before
        cpu_s = proxy.cpu_s
        await deferLater(reactor, seconds)
        cpu_percent = 100 * (proxy.cpu_s - cpu_s) / seconds
        for page in pages:
            page.close()
    note = f"{count:,} sessions with one stream, sessions_per_address = {limit}"
    return [
        Figure("idle session", grown / count / KIB, "KiB", most=IDLE_KIB, note=note),
        Figure("idle processor", cpu_percent, "%", most=IDLE_CPU_PERCENT, note=f"in {seconds:g} s"),
    ]


async def _sessions(reactor: Any, proxy: Server, count: int) -> list[Page]:
    pages: list[Page] = []
    while len(pages) < count:
        together = min(AT_ONCE, count - len(pages))
        opening = [Deferred.fromCoroutine(session(reactor, proxy)) for _ in range(together)]
        pages += [(await one)[0] for one in opening]
    return pages


async def _warm_raw(reactor: Any, proxy: Server) -> None:
    """Have everything imported and one connection made before memory is looked at."""
    page = await raw_page(reactor, proxy.port, "echo")
    came: list[bytes] = []
    page.on_data = came.append
    page.send(b"ready")
    await settle(reactor, lambda: bool(came))
    page.transport.loseConnection()
