"""Does a full server rest, serve who is in, and come back? `python -m benchmarks.full`

A twistd that may have 256 descriptors, and 400 clients that connect and say nothing. Meanwhile a
stream that was there before is echoed, and the processor time of the server is counted; then
they leave, and a file is asked for. Only loopback; ten seconds.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Figure, quantile, show
from benchmarks.server import AS_MANY, ORIGIN, Broken, Server, backends, server
from benchmarks.slow import trip_s
from tests.loopback import head, masked

DESCRIPTORS = 256
CLIENTS = 400
SETTLE_S = 1.0
WATCHED_S = 6.0
PAUSE_S = 0.05
CPU_MOST_PERCENT = 5.0
ECHO_P99_MS = 50.0
BACK_S = 1.0
PAYLOAD = bytes(100)
FRAME_HEAD_BYTES = 2


class Stream:
    """A raw WebSocket whose backend echoes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.sendall(head("/raw/echo", f"Origin: {ORIGIN}"))
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            said += self._socket.recv(1)
        if not said.startswith(b"HTTP/1.1 101 "):
            raise Broken(f"no stream: {said[:80]!r}")

    def echo_s(self) -> float:
        """Send and receive, and return how long it took."""
        start = time.perf_counter()
        self._socket.sendall(masked(2, PAYLOAD))
        while self._frame() != PAYLOAD:
            pass  # a ping; the measurement is over before the answer is missed
        return time.perf_counter() - start

    def close(self) -> None:
        self._socket.close()

    def _frame(self) -> bytes:
        """Return what is in a short frame."""
        return self._read(self._read(FRAME_HEAD_BYTES)[1])

    def _read(self, count: int) -> bytes:
        said = b""
        while len(said) < count:
            part = self._socket.recv(count - len(said))
            if not part:
                raise Broken("the stream ended")
            said += part
        return said


@contextmanager
def crowd(port: int) -> Iterator[None]:
    """Connect and say nothing; who is not accepted waits."""
    held = [socket.socket() for _ in range(CLIENTS)]
    try:
        for one in held:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield
    finally:
        for one in held:
            one.close()


def watch(proxy: Server, stream: Stream) -> list[Figure]:
    """Look at a full server, through the one stream that is in."""
    held = len(list(Path(f"/proc/{proxy.pid}/fd").iterdir()))
    if "accepting pauses" not in proxy.log.read_text():
        raise Broken(f"not full, with {held} descriptors")
    begun, cpu_s, samples = time.monotonic(), proxy.cpu_s, []
    while time.monotonic() - begun < WATCHED_S:
        samples.append(stream.echo_s())
        time.sleep(PAUSE_S)
    cpu = 100 * (proxy.cpu_s - cpu_s) / (time.monotonic() - begun)
    p99 = 1000 * quantile(samples, 0.99)
    note = f"{len(samples)} echoes meanwhile"
    return [
        Figure("descriptors while full", held, "", most=0.95 * DESCRIPTORS),
        Figure("processor while full", cpu, "%", most=CPU_MOST_PERCENT, note=note),
        Figure("a stream that was in, p99", p99, "ms", most=ECHO_P99_MS),
    ]


def main() -> int:
    with (
        backends() as ports,
        server({"echo": ports["echo"]}, descriptors=DESCRIPTORS, **AS_MANY) as proxy,
    ):
        stream = Stream(proxy.port)
        with crowd(proxy.port):
            time.sleep(SETTLE_S)
            figures = watch(proxy, stream)
        figures.append(Figure("a file after they left", trip_s(proxy.port), "s", most=BACK_S))
        stream.echo_s()
        stream.close()
        if "EMFILE" in proxy.log.read_text():
            raise Broken("it ran out of descriptors")
    return show(figures)


if __name__ == "__main__":
    sys.exit(main())
