"""What does a network that drops every packet cost? `python -m benchmarks.outage`

A service in a network namespace of its own, reached over a veth pair; iptables drops all
packets for 5, 30 and 120 s (linger 180 s) in the middle of an echo in both directions, once
over a WebSocket and once over HTTP. The client tries a new link as a page does, at most 1.5 s
apart. Bytes compare at both ends; they must flow again within 2 s. `--quick` does 5 s only.
Needs root, for the namespace.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater, react
from twisted.protocols.wire import Echo

from benchmarks.pages import Page, settle
from benchmarks.report import Figure, show
from benchmarks.server import ORIGIN, Broken
from sockproxy.timers import Every
from tests.integration import processes

NAME = f"sp{os.getpid() % 100_000}"
HERE, THERE = "10.213.7.1", "10.213.7.2"
KINDS = ("websocket", "stream", "poll")
DROPS_S = (5, 30, 120)
SILENCE_S = 3.0
TRY_S = 1.5
BACK_S = 2.0
RATE_BYTES_PER_S = 200_000
TICK_S = 0.05


def sudo(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"{' '.join(words)}: {done.stderr.strip()} (this needs root)")


@contextmanager
def namespace() -> Iterator[None]:
    """A host beside this one, joined by a cable of two ends."""
    try:
        sudo("ip", "netns", "add", NAME)
        sudo("ip", "link", "add", f"{NAME}a", "type", "veth", "peer", f"{NAME}b", "netns", NAME)
        sudo("ip", "addr", "add", f"{HERE}/24", "dev", f"{NAME}a")
        sudo("ip", "link", "set", f"{NAME}a", "up")
        inside("ip", "addr", "add", f"{THERE}/24", "dev", f"{NAME}b")
        inside("ip", "link", "set", f"{NAME}b", "up")
        inside("ip", "link", "set", "lo", "up")
        yield
    finally:
        for words in (["ip", "link", "del", f"{NAME}a"], ["ip", "netns", "del", NAME]):
            subprocess.run(words, capture_output=True, check=False)


def inside(*words: str) -> None:
    sudo("ip", "netns", "exec", NAME, *words)


def drop(on: bool) -> None:
    """Drop what comes in and what goes out, or nothing any more."""
    for chain in ("INPUT", "OUTPUT"):
        # The other way of the service, to its backend, is not the network of the page.
        for side in ("--dport", "--sport"):
            rule = ("-p", "tcp", side, "8080", "-j", "DROP")
            inside("iptables", "-A" if on else "-D", chain, *rule)


@contextmanager
def service(port: int) -> Iterator[None]:
    """A twistd inside; its backend is out here."""
    with TemporaryDirectory() as folder:
        text = (
            "[listen web]\nendpoint = tcp:8080\n[limits]\nlinger = 180s\n"
            f"[backend echo]\ntarget = tcp:{HERE}:{port}\norigins = {ORIGIN}\n"
        )
        (Path(folder) / "proxy.ini").write_text(text)
        twistd = (str(processes.BIN / "twistd"), "-n", "--pidfile=", "sockproxy")
        command = ("ip", "netns", "exec", NAME, *twistd, "--config", "proxy.ini")
        with (Path(folder) / "log").open("wb") as log:
            running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            running.terminate()
            running.wait(10)


class Pilot:
    """Keeps a page's session up as the ladder does: silence, then tries, the newest one counts."""

    def __init__(self, page: Page, kind: str) -> None:
        self.page = page
        self.kind = kind
        self.heard_at = page.reactor.seconds()
        self._trying: Deferred[None] | None = None
        self._tried_at = 0.0
        self._watch = Every(page.reactor, TICK_S, self._look)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()
        self._call_off()

    def _look(self) -> None:
        now = self.page.reactor.seconds()
        if now - self.heard_at < SILENCE_S or now - self._tried_at < TRY_S:
            return
        self._tried_at = now
        self._call_off()
        self.page.kill()
        self._trying = Deferred.fromCoroutine(self.page.connect_by(self.kind))
        self._trying.addErrback(lambda failure: None)

    def _call_off(self) -> None:
        trying, self._trying = self._trying, None
        if trying is not None:
            trying.cancel()


class Echoing:
    """Bytes that go out all the time, and what comes back of them."""

    def __init__(self, page: Page, pilot: Pilot) -> None:
        self.sent = bytearray()
        self.came = bytearray()
        self._page = page
        self._pilot = pilot
        self._stream = page.open("echo")
        self._saying = Every(page.reactor, TICK_S, self._say)
        page.on_data = self._take

    def start(self) -> None:
        self._saying.start()

    def stop(self) -> None:
        self._saying.stop()

    async def more(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until so many bytes more are back."""
        goal = len(self.came) + count
        await settle(self._page.reactor, lambda: len(self.came) >= goal, timeout_s)

    def _say(self) -> None:
        if len(self.sent) - len(self.came) < RATE_BYTES_PER_S:
            data = os.urandom(int(RATE_BYTES_PER_S * TICK_S))
            self.sent.extend(data)
            self._page.write(self._stream, data)

    def _take(self, _: int, data: bytes) -> None:
        self.came.extend(data)
        self._pilot.heard_at = self._page.reactor.seconds()


async def outage(reactor: Any, kind: str, seconds: float) -> Figure:
    """Echo while all packets are dropped for a while; return how long it took to flow again."""
    page = Page(reactor, 8080)
    page.host = THERE
    await page.connect_by(kind)
    pilot = Pilot(page, kind)
    echoing = Echoing(page, pilot)
    echoing.start()
    pilot.start()
    await echoing.more(RATE_BYTES_PER_S)
    drop(True)
    try:
        await deferLater(reactor, seconds)
    finally:
        drop(False)
    healed_at = reactor.seconds()
    await echoing.more(1)
    back_s = reactor.seconds() - healed_at
    await echoing.more(2 * RATE_BYTES_PER_S)
    echoing.stop()
    await settle(reactor, lambda: len(echoing.came) == len(echoing.sent), 60.0)
    pilot.stop()
    page.close()
    if echoing.came != echoing.sent:
        raise Broken("other bytes came back")
    name = f"{kind}, {seconds:g} s without a packet: flows again in"
    note = f"{len(echoing.sent) / 1e6:.1f} MB there and back, equal"
    return Figure(name, back_s, "s", most=BACK_S, note=note)


async def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 s only")
    drops = DROPS_S[:1] if parser.parse_args().quick else DROPS_S
    figures = []
    with namespace():
        echo = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface=HERE)
        with service(echo.getHost().port):
            await _listening(reactor)
            for seconds in drops:
                for kind in KINDS:
                    figures.append(await outage(reactor, kind, seconds))
        await echo.stopListening()
    if show(figures):
        sys.exit(1)


async def _listening(reactor: Any) -> None:
    """Wait until the service inside accepts connections."""
    for _ in range(100):
        with suppress(Exception):
            page = Page(reactor, 8080)
            page.host = THERE
            await page.connect_by("poll")
            page.close()
            return
        await deferLater(reactor, 0.1)
    raise Broken("the service does not start")


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
