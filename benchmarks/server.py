"""How is the measured server started, stopped and looked at?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

ORIGIN = "https://app.example"
ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# For a measurement that is one address and many clients.
MANY = 1_000_000
AS_MANY = {
    "connections_per_address": MANY,
    "unauthenticated_per_address": MANY,
    "handshakes_burst": MANY,
    "failures_burst": MANY,
}
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Broken(Exception):
    """There is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running twistd, from outside."""

    pid: int
    port: int
    log: Path

    @property
    def rss_bytes(self) -> int:
        """Memory that is resident now."""
        statm = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(statm[1]) * PAGE_BYTES

    @property
    def cpu_s(self) -> float:
        """Processor time used so far."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS_PER_S


@contextmanager
def backends() -> Iterator[dict[str, int]]:
    """Run the backends' process; gives their ports."""
    command = [sys.executable, "-m", "benchmarks.backends"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=_environment())
    try:
        assert process.stdout is not None
        ports: dict[str, int] = json.loads(process.stdout.readline())
        yield ports
    finally:
        process.kill()
        process.communicate()


def ini(ports: dict[str, int], limits: dict[str, object]) -> str:
    """Return the proxy.ini of a measurement."""
    lines = ["[listen web]", "endpoint = tcp:0:backlog=1024:interface=127.0.0.1"]
    for name, port in ports.items():
        lines += ["", f"[backend {name}]", f"target = tcp:127.0.0.1:{port}", f"origins = {ORIGIN}"]
    if limits:
        lines += ["", "[limits]", *(f"{key} = {value}" for key, value in limits.items())]
    return "\n".join([*lines, ""])


@contextmanager
def server(
    ports: dict[str, int], descriptors: int | None = None, **limits: object
) -> Iterator[Server]:
    """Run a twistd of its own; a traceback in its log fails the measurement."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "proxy.ini").write_text(ini(ports, limits))
        log = Path(folder) / "log"
        twistd = [str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile="]
        if descriptors is not None:
            twistd = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors), *twistd]
        with log.open("wb") as output:
            process = _start([*twistd, "sockproxy", "--config", "proxy.ini"], folder, output)
        try:
            yield Server(process.pid, _port(process, log), log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if "Traceback" in (said := log.read_text()):
            raise Broken(said)


def _start(command: list[str], folder: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=_environment()
    )


def _environment() -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"Front starting on (\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise Broken(f"twistd does not start:\n{log.read_text()}")
