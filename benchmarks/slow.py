"""What do slow and refused clients cost the others? `python -m benchmarks.slow`

Debian's slowhttptest opens 300 connections whose heads, bodies or reading never come to an
end; then 500 handshakes a second are refused for their Origin, once where the limits of an
address are out of the way, and once as they are. Meanwhile somebody else asks for a file, again
and again, from another address. Only loopback; a minute and three quarters.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Figure, quantile, show
from benchmarks.server import AS_MANY, Broken, Server, server
from sockproxy.door import ANSWER_S, BODY_S, HEAD_S
from sockproxy.settings import Limits

CONNECTIONS = 300
WATCHED_S = 26.0
STORM_S = 10.0
STORM_PER_S = 500
# Of them between two files, so that a machine that is too slow shows in their rate.
BATCH_MAX = 40
LIMITED = "the same within limits"
PAUSE_S = 0.02
OTHERS_P99_MS = 50.0
ESTABLISHED = "01"
OTHERS_FROM = "127.0.0.2"
# A refused origin leaves a line of its own and one of the request.
LINES_MOST = 2 * (Limits().failures_burst + Limits().failures_per_s * (STORM_S + 1)) + 50
KINDS = {
    "heads": (HEAD_S, ["-H", "-i", "5"], "/sockproxy.js"),
    "bodies": (BODY_S, ["-B", "-i", "5", "-s", "4096", "-t", "POST"], "/sp/_/up"),
    "readers": (ANSWER_S, ["-X", "-w", "1", "-y", "5", "-n", "5", "-z", "1"], "/sockproxy.js"),
}
FILE = b"GET /sockproxy.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
FOREIGN = (
    b"GET /raw/echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Origin: https://evil.example\r\n\r\n"
)


def held(port: int) -> int:
    """Return how many connections a server holds on a port."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ours = f":{port:04X}"
    return sum(row.split()[1].endswith(ours) and row.split()[3] == ESTABLISHED for row in rows)


def trip_s(port: int) -> float:
    """Ask for a file and return how long it took."""
    start = time.perf_counter()
    source = (OTHERS_FROM, 0)
    with socket.create_connection(("127.0.0.1", port), 10, source) as connection:
        connection.sendall(FILE)
        said = b""
        while part := connection.recv(65_536):
            said += part
    if not said.startswith(b"HTTP/1.1 200 "):
        raise Broken(f"the file was not served: {said[:80]!r}")
    return time.perf_counter() - start


def trips(port: int, lasts_s: float, look: Callable[[float], None]) -> list[float]:
    """Ask again and again, and look around meanwhile."""
    samples, start = [], time.monotonic()
    while (now := time.monotonic() - start) < lasts_s:
        samples.append(trip_s(port))
        look(now)
        time.sleep(PAUSE_S)
    return samples


def others(name: str, samples: list[float]) -> Figure:
    p50, p99 = (1000 * quantile(samples, part) for part in (0.5, 0.99))
    note = f"p50 {p50:.2f} ms, {len(samples)} files"
    return Figure(f"{name}: other clients, p99", p99, "ms", most=OTHERS_P99_MS, note=note)


def slow(name: str, port: int) -> list[Figure]:
    """Let one kind of slow client loose."""
    deadline_s, options, path = KINDS[name]
    url = f"http://127.0.0.1:{port}{path}"
    command = ["slowhttptest", "-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-l", "60"]
    command += ["-p", "3", *options, "-u", url]
    seen: list[tuple[float, int]] = []
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        samples = trips(port, WATCHED_S, lambda now: seen.append((now, held(port))))
    finally:
        process.kill()
        process.wait()
    most = max(count for _, count in seen)
    if most < CONNECTIONS:
        raise Broken(f"slowhttptest held {most} connections, not {CONNECTIONS}")
    full = next(now for now, count in seen if count >= CONNECTIONS)
    gone = max(now for now, count in seen if count > CONNECTIONS // 100) - full
    note = f"{CONNECTIONS} connections"
    return [
        Figure(f"slow {name}: gone after", gone, "s", deadline_s + 1, note=note),
        others(name, samples),
    ]


def storm(name: str, proxy: Server) -> list[Figure]:
    """Refuse many handshakes."""
    begun, cpu_s, lines = time.monotonic(), proxy.cpu_s, len(proxy.log.read_text().splitlines())
    answers: Counter[str] = Counter()

    def refuse(_: float) -> None:
        for _ in range(BATCH_MAX):
            if answers.total() < STORM_PER_S * (time.monotonic() - begun):
                answers[refused(proxy.port)] += 1

    samples = trips(proxy.port, STORM_S, refuse)
    lasted_s = time.monotonic() - begun
    cpu = 100 * (proxy.cpu_s - cpu_s) / lasted_s
    lines = len(proxy.log.read_text().splitlines()) - lines
    note = ", ".join(f"{count} with {answer}" for answer, count in answers.most_common())
    return [
        Figure(name, answers.total() / lasted_s, "/s", least=0.9 * STORM_PER_S, note=note),
        Figure(f"{name}: processor", cpu, "%"),
        Figure(f"{name}: lines in the log", lines, "", most=LINES_MOST),
        others(name, samples),
    ]


def refused(port: int) -> str:
    """Try a handshake that nobody wants, and return how it was refused."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(FOREIGN)
            status = connection.recv(65_536)[9:12].decode()
        except ConnectionError:
            return "a cut"
    if status not in ("403", "503", ""):
        raise Broken(f"a foreign handshake was answered {status}")
    return status or "a cut"


def main() -> int:
    if shutil.which("slowhttptest") is None:
        raise Broken("slowhttptest is not installed: apt-get install slowhttptest")
    figures: list[Figure] = []
    # What the deadlines do is to be seen first, not what one address may have.
    with server({"echo": 9}, **AS_MANY) as proxy:
        for name in KINDS:
            figures += slow(name, proxy.port)
        figures += storm("refused handshakes", proxy)
    with server({"echo": 9}) as proxy:
        figures += storm(LIMITED, proxy)
    return show(figures)


if __name__ == "__main__":
    sys.exit(main())
