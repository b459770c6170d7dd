"""Does a page in Firefox get its sockets, keep them, and fall back, as one in Chromium?"""

from __future__ import annotations

import hashlib
import random
import shutil
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.browser.test_chromium import echo, scenario, service, tcp_server, url
from tests.browser.test_links import broken
from tests.integration import processes

MEGABYTES = 4 * 1024 * 1024


def firefox(
    tmp_path: Path,
    name: str,
    *rules: str,
    foreign: bool = False,
    there: Callable[[socket.socket], None] = echo,
    **options: Any,
) -> Any:
    """Run a case in Firefox, through a network that keeps the rules; return what it found."""
    program = shutil.which("firefox-esr")
    assert program, "firefox-esr is not installed"
    pages = processes.free_port()
    listed = processes.free_port() if foreign else pages
    with ExitStack() as stack:
        echoing, other = (stack.enter_context(tcp_server(serve)) for serve in (echo, there))
        server = stack.enter_context(service(tmp_path, listed, echo=echoing, there=other))
        way = stack.enter_context(broken(tmp_path, server, *rules)) if rules else server
        words = {"server": url(way), "port": way.port, "pages": pages}
        done = scenario("firefox", firefox=program, case=name, **words, **options)
    return done["found"]


def test_a_socket_opens_half_closes_and_ends(tmp_path: Path) -> None:
    assert firefox(tmp_path, "opens") == "hello websocket"


def test_4_mib_each_way_are_the_same_at_both_ends(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(MEGABYTES)
    taken = hashlib.sha256()

    def swap(connection: socket.socket) -> None:
        with connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65_536):
                taken.update(chunk)

    found = firefox(tmp_path, "carries", there=swap)
    assert found["got"] == hashlib.sha256(data).hexdigest()
    assert found["sent"] == taken.hexdigest()


def test_a_connection_that_is_killed_costs_no_byte(tmp_path: Path) -> None:
    assert firefox(tmp_path, "resumes", everyBytes=2_000_000) == MEGABYTES


def test_a_foreign_page_is_told_the_missing_line(tmp_path: Path) -> None:
    told = firefox(tmp_path, "refuses", foreign=True)
    assert told.startswith("NotAllowedError: origin http://127.0.0.1:")
    assert "is not listed" in told


def test_http_carries_where_websockets_are_blocked(tmp_path: Path) -> None:
    found = firefox(tmp_path, "falls", "strip header=Upgrade link=ws")
    assert [size for size, _ in found.values()] == [MEGABYTES // 8] * 3
    assert found["any"][1] in {"stream", "poll"}
    assert found["stream,poll"][1] in {"stream", "poll"}
    assert found["poll"][1] == "poll"
