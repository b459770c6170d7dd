"""What does one stranger cost who says very much, and what is he told?"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.report import MIB
from benchmarks.server import Broken, Server
from tests.loopback import cut

PORTION_BYTES = 64 * 1024
SAMPLE_S = 0.02
# Nothing was said or computed for so long: it is over.
QUIET_S = 0.5
LONGEST_S = 60.0
SWITCHING = 101
CLOSE_OPCODE = 8


@dataclass(slots=True)
class Cost:
    """What a server did; of memory and processor, what it took more than before."""

    said_bytes: int = 0
    status: int = 0
    head: bytes = b""
    close_code: int = 0
    frames: int = 0
    memory_mib: float = 0.0
    processor_s: float = 0.0
    _rest: bytes = b""

    def hear(self, data: bytes) -> None:
        """Take note of what the server says."""
        self._rest += data
        if not self.status:
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            self.head, self.status, self._rest = head, int(head.split()[1]), rest
        if self.status != SWITCHING:
            self._rest = b""
        while (found := cut(self._rest)) is not None:
            frame, size = found
            self._rest = self._rest[size:]
            self.frames += 1
            if frame.opcode == CLOSE_OPCODE:
                self.close_code = frame.close_code


def pour(server: Server, first: bytes, flood: Iterable[bytes] = (), *, reads: bool = True) -> Cost:
    """Say something and, if it is answered, very much; read the answers or none of them."""
    cost = Cost()
    memory = peak = server.rss_bytes
    processor = server.cpu_s
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stranger:
        stranger.sendall(first)
        while reads and not cost.status and (data := stranger.recv(PORTION_BYTES)):
            cost.hear(data)
        stranger.setblocking(False)
        for _ in _poured(server, stranger, portions(flood), cost, reads=reads):
            peak = max(peak, server.rss_bytes)
    cost.memory_mib = (peak - memory) / MIB
    cost.processor_s = server.cpu_s - processor
    return cost


def portions(flood: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a flood in larger portions."""
    kept: list[bytes] = []
    size = 0
    for part in flood:
        kept.append(part)
        size += len(part)
        if size >= PORTION_BYTES:
            yield b"".join(kept)
            kept, size = [], 0
    yield b"".join(kept)


def _poured(
    server: Server, stranger: socket.socket, flood: Iterator[bytes], cost: Cost, *, reads: bool
) -> Iterator[None]:
    """Carry bytes both ways until the server closes, or has nothing to do any more."""
    waiting, is_over = b"", False
    busy_at, processor, deadline = time.monotonic(), server.cpu_s, time.monotonic() + LONGEST_S
    while time.monotonic() - busy_at < QUIET_S:
        if not waiting and not is_over:
            waiting = next(flood, b"")
            is_over = not waiting
        writers = [stranger] if waiting else []
        can_read, can_write, _ = select.select([stranger] if reads else [], writers, [], SAMPLE_S)
        try:
            if can_read:
                data = stranger.recv(PORTION_BYTES)
                if not data:
                    return
                cost.hear(data)
            if can_write:
                sent = stranger.send(waiting)
                waiting = waiting[sent:]
                cost.said_bytes += sent
        except (ConnectionResetError, BrokenPipeError):
            return
        if can_read or can_write or server.cpu_s != processor:
            busy_at, processor = time.monotonic(), server.cpu_s
        if time.monotonic() > deadline:
            raise Broken(f"the server is not done after {LONGEST_S:g} s")
        yield
