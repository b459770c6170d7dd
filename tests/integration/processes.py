"""How does a test start real servers on free ports, and stop them again?"""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
LOOK_S = 0.02
# Below those that kernels give to whoever asks for any port.
OWN_PORTS = range(20_000, 32_768)

# Not the seeded one: two runs at a time would try the same ports.
_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Server:
    """A process that listens; what it said is in `log`."""

    port: int
    log: Path
    pid: int

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def free_port() -> int:
    """Return a port that is free, and is not given to whoever asks for any meanwhile."""
    while True:
        port = _random.choice(OWN_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def listening(folder: Path, port: int, *command: str) -> Iterator[Server]:
    """Run a command until the block ends; it is up when it accepts connections."""
    program = shutil.which(command[0]) or command[0]
    log = folder / f"{Path(program).name}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *command[1:]], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until_up(process, port, log)
        yield Server(port, log, process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        process.kill()
        process.wait()


def wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(LOOK_S)
        else:
            return
    raise AssertionError(f"nothing on port {port}:\n{log.read_text(errors='replace')}")


@contextmanager
def service(
    folder: Path, ini: str, port: int | None = None, descriptors: int | None = None
) -> Iterator[Server]:
    """Run twistd on what the sections in `ini` say, and look at its log at the end.

    It may have so many `descriptors`, or as many as we.
    """
    port = port or free_port()
    listen = f"[listen web]\nendpoint = tcp:{port}:backlog=1024:interface=127.0.0.1\n"
    (folder / "proxy.ini").write_text(listen + ini)
    twistd = [str(BIN / "twistd"), "-n", "--pidfile=", "sockproxy", "--config", "proxy.ini"]
    if descriptors is not None:
        twistd = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors), *twistd]
    with listening(folder, port, *twistd) as server:
        yield server
    assert_no_traceback(server)


@contextmanager
def demo(folder: Path) -> Iterator[Server]:
    """Run the demo."""
    port = free_port()
    twistd = (str(BIN / "twistd"), "-n", "--pidfile=", "sockproxy", "--demo")
    endpoint = f"tcp:{port}:interface=127.0.0.1"
    with listening(folder, port, *twistd, "--listen", endpoint) as server:
        yield server
    assert_no_traceback(server)


def assert_no_traceback(server: Server) -> None:
    said = server.said()
    assert "Traceback" not in said, said
    assert "#critical" not in said, said


@contextmanager
def redis(folder: Path) -> Iterator[Server]:
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    with listening(folder, port, "redis-server", *options) as server:
        yield server


NGIRCD = """\
[Global]
Name = irc.test.example
Info = for tests
Listen = 127.0.0.1
Ports = {port}
ServerUID = root
[Limits]
MaxConnectionsIP = 0
[Options]
Ident = no
PAM = no
DNS = no
"""


@contextmanager
def ngircd(folder: Path, *options: str) -> Iterator[Server]:
    """Run an IRC server, with lines of its [Options]."""
    port = free_port()
    file = folder / "ngircd.conf"
    text = NGIRCD.format(port=port) + "\n".join(options)
    if not _is_root():
        text = text.replace("ServerUID = root\n", "")
    file.write_text(text)
    with listening(folder, port, "ngircd", "--nodaemon", "--config", str(file)) as server:
        yield server


def _is_root() -> bool:
    import os

    return os.geteuid() == 0


@contextmanager
def mosquitto(folder: Path) -> Iterator[Server]:
    port = free_port()
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with listening(folder, port, "mosquitto", "-c", str(file)) as server:
        yield server
