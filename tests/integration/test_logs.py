"""Is the log of a real service one that nobody can forge, flood, read secrets in, or fill up?"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from sockproxy.core import events
from tests import loopback
from tests.integration import canaries, processes
from tests.integration.canaries import flaws, leaks
from tests.integration.native import NativeClient
from tests.integration.test_native import ORIGIN, Backend

FLOOD = 500
IDLE_S = 1.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Echo(Backend):
    """Says what it hears."""

    made: list[object] = []  # noqa: RUF012 - shared by all, as its base asks
    echoes = True


def ini(backend: int) -> str:
    return f"[backend echo]\ntarget = tcp:127.0.0.1:{backend}\norigins = {ORIGIN}\n"


@pytest_twisted.ensureDeferred
async def test_what_strangers_write_is_printable_in_the_log_and_secrets_are_not_there(
    tmp_path: Path,
) -> None:
    async with loopback.backend(Echo) as backend:
        with processes.service(tmp_path, ini(backend)) as server:
            secrets = await canaries.scrawl(server.port, "echo")
        said = server.log.read_bytes()

    assert flaws(said) == []
    assert leaks(said, secrets) == []
    assert b"left out" not in said, "and all of it was looked at"
    for told in (b'GET /%0a HTTP/1.1" 404', b"'\\\\x1b[31m", b'\\"', b"x...", b"{peer}"):
        assert told in said


@pytest_twisted.ensureDeferred
async def test_a_flood_of_refusals_is_counted_not_written(tmp_path: Path) -> None:
    asked = b"POST /sp/_/up HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\n"
    with processes.service(tmp_path, f"{ini(1)}[limits]\nfailures_burst = {2 * FLOOD}\n") as server:
        async with loopback.wire(server.port) as wire:
            wire.send((asked + b"Content-Length: 0\r\n\r\n") * FLOOD)
            await wire.until(lambda: wire.received.count(b"HTTP/1.1 403 ") == FLOOD)

    said = server.said()
    for line in ("refused https://evil", '"POST /sp/_/up HTTP/1.1" 403'):
        assert 20 <= said.count(line) < FLOOD / 2
    left_out = [int(told) for told in re.findall(r"([0-9]+) more lines were left out", said)]
    assert said.count("refused https://evil") + said.count('"POST /') + sum(left_out) == 2 * FLOOD


@pytest.mark.parametrize(
    "line", [b"\x1b[31m", b"a\rb", b"\tb", b"\xff", "\u202e".encode(), b"no time", b""]
)
def test_a_log_with_a_flaw_is_told(line: bytes) -> None:
    good = b"2026-11-25T02:07:40+0000 [sockproxy.hub.Hub#info] session 01234567: new\n"
    assert flaws(good * 2) == []
    assert len(flaws(good + line + b"\n" + good)) == 1
    assert len(flaws(good[:-1] + b" " + line[:1] + b"\x85\n")) == 1


@pytest.mark.parametrize("spelt", list(canaries.spellings(b"\xfe\x00secret?")))
def test_a_secret_in_any_spelling_is_told(spelt: bytes) -> None:
    assert leaks(b"a " + spelt + b" b", [b"other", b"\xfe\x00secret?"]) == [b"\xfe\x00secret?"]


ENDS = {
    "a log file on a full disk": ("--logfile=/dev/full", ""),
    "stdout on a full disk": ("", "> /dev/full"),
    "both on a full disk": ("", "> /dev/full 2>&1"),
    "no stdout": ("", ">&-"),
    "nothing at all": ("", "<&- >&- 2>&-"),
    "a reader that is gone": ("", "> >(exit 0) 2>&1"),
}


@contextmanager
def twistd(folder: Path, text: str, options: str, redirection: str) -> Iterator[processes.Server]:
    """Run a service whose log goes nowhere, and see it end as it is told to."""
    port = processes.free_port()
    listen = f"[listen web]\nendpoint = tcp:{port}:interface=127.0.0.1\n"
    (folder / "proxy.ini").write_text(listen + text)
    program = f"{processes.BIN / 'twistd'} -n --pidfile= {options} sockproxy --config proxy.ini"
    process = subprocess.Popen(["bash", "-c", f"exec {program} {redirection}"], cwd=folder)
    try:
        processes.wait_until_up(process, port, folder / "proxy.ini")
        yield processes.Server(port, folder / "proxy.ini", process.pid)
        process.terminate()
        assert process.wait(processes.STOP_TIMEOUT_S) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> float:
    """Return what a process has used of its processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@pytest.mark.parametrize("end", ENDS)
@pytest_twisted.ensureDeferred
async def test_a_log_that_cannot_be_written_changes_nothing_else(tmp_path: Path, end: str) -> None:
    async with loopback.backend(Echo) as backend:
        with twistd(tmp_path, ini(backend), *ENDS[end]) as server:
            client = NativeClient(loopback.reactor, server.port, origin=ORIGIN)
            await client.connect()
            stream = client.open("echo")
            for number in range(1, 200):
                client.open(f"nowhere{number % 7}")  # denied, with a line
                client.write(stream, b"still there?")
                await client.until(
                    lambda number=number: len(client.data.get(stream, b"")) == 12 * number  # type: ignore[misc]
                )
            assert not client.of(events.SessionEnded)
            before = cpu_s(server.pid)
            await deferLater(loopback.reactor, IDLE_S)
            assert cpu_s(server.pid) - before < 0.2 * IDLE_S
            client.close()
