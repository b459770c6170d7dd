"""Is every request that two parsers could read in two ways refused, once, by a real service?"""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.integration import middleboxes, processes
from tests.integration.middleboxes import DOCS, README, snippet
from tests.integration.odd_heads import (
    SMUGGLED,
    Probe,
    all_probes,
    bytes_of_headers,
    codings,
    get,
    lengths,
    upgrade,
    upgrades,
)

INI = """\
[backend irc]
target = tcp:127.0.0.1:6667
origins = https://app.example
[limits]
failures_burst = 10000
handshakes_burst = 10000
"""
PATIENCE_S = 5.0
LEAST_PROBES = 67

Box = Callable[[Path, processes.Server], AbstractContextManager[processes.Server]]


def answers(port: int, raw: bytes) -> list[int]:
    """Return the statuses that come until the connection ends, or is a WebSocket's.

    Where it would be kept, one good request more ends it, whose answer is left out.
    """
    said, is_last = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(raw)
        try:
            while not said.startswith(b"HTTP/1.1 101 ") and (part := connection.recv(65_536)):
                said += part
                if not is_last and is_kept(said):
                    is_last = True
                    connection.sendall(get())
        except ConnectionResetError:
            pass
        except TimeoutError:
            return [0]
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", said)]
    return statuses[:-1] if is_last and statuses[-1] == http.client.OK else statuses


def is_kept(said: bytes) -> bool:
    """Return whether this is a whole answer, behind which the connection goes on."""
    head, end, body = said.lower().partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: ([0-9]+)", head)
    if not end or length is None or b"\r\nconnection: close" in head:
        return False
    return len(body) >= int(length[1])


def off(port: int, probes: Iterable[Probe]) -> list[str]:
    """Return what is not answered exactly once, and as it should be."""
    found = []
    for probe in probes:
        statuses = answers(port, probe.raw)
        if len(statuses) != 1 or statuses[0] not in probe.statuses:
            found.append(f"{probe.name}: {statuses}, not one of {sorted(probe.statuses)}")
    return found


@contextmanager
def service(folder: Path) -> Iterator[processes.Server]:
    with processes.service(folder, INI) as server:
        yield server
        assert answers(server.port, get()) == [200]
        assert answers(server.port, upgrade()) == [101]
    assert SMUGGLED.decode() not in server.said()


def test_no_odd_head_is_served(tmp_path: Path) -> None:
    probes = all_probes()
    assert len({probe.name for probe in probes}) == len(probes) >= LEAST_PROBES
    with service(tmp_path) as server:
        assert off(server.port, probes) == []


def test_every_byte_in_five_headers_is_taken_or_refused_as_it_should_be(tmp_path: Path) -> None:
    with service(tmp_path) as server:
        assert off(server.port, bytes_of_headers()) == []


def nginx(folder: Path, server: processes.Server) -> AbstractContextManager[processes.Server]:
    return middleboxes.nginx(folder, snippet(README, "nginx"), server)


def haproxy(folder: Path, server: processes.Server) -> AbstractContextManager[processes.Server]:
    return middleboxes.haproxy(folder, snippet(DOCS, "haproxy"), server)


@pytest.mark.parametrize("box", [nginx, haproxy])
def test_nothing_is_smuggled_past_a_proxy(tmp_path: Path, box: Box) -> None:
    """A proxy answers some by itself, and mends others; none of them becomes two."""
    with service(tmp_path) as server, box(tmp_path, server) as way:
        for probe in [*lengths(), *codings(), *upgrades()]:
            statuses = answers(way.port, probe.raw)
            assert len(statuses) <= 1, probe.name
            assert statuses != [101] or "Origin" not in probe.name, probe.name
        assert answers(way.port, upgrade("Cookie: J\u00fcrgen".encode())) == [101]
