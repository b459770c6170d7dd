"""Does a page in Firefox get its sockets, keep them, and fall back, as one in Chromium?"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.browser.test_chromium import echo, scenario, service, tcp_server, url
from tests.integration import processes

MEGABYTES = 4 * 1024 * 1024


def firefox(tmp_path: Path, name: str, *, foreign: bool = False, **options: Any) -> Any:
    """Run a case in Firefox and return what it found."""
    program = shutil.which("firefox-esr")
    assert program, "firefox-esr is not installed"
    pages = processes.free_port()
    listed = processes.free_port() if foreign else pages
    with tcp_server(echo) as echoing, service(tmp_path, listed, echo=echoing) as server:
        words = {"server": url(server), "port": server.port, "pages": pages}
        done = scenario("firefox", firefox=program, case=name, **words, **options)
    return done["found"]


def test_a_socket_opens_half_closes_and_ends(tmp_path: Path) -> None:
    assert firefox(tmp_path, "opens") == "hello websocket"


def test_4_mib_come_back_as_they_went(tmp_path: Path) -> None:
    assert firefox(tmp_path, "carries") == MEGABYTES


def test_a_connection_that_is_killed_costs_no_byte(tmp_path: Path) -> None:
    assert firefox(tmp_path, "resumes", everyBytes=2_000_000) == MEGABYTES


def test_a_foreign_page_is_told_the_missing_line(tmp_path: Path) -> None:
    told = firefox(tmp_path, "refuses", foreign=True)
    assert told.startswith("NotAllowedError: origin http://127.0.0.1:")
    assert "is not listed" in told


def test_http_carries_where_websockets_may_not_be_used(tmp_path: Path) -> None:
    found = firefox(tmp_path, "falls")
    size = MEGABYTES // 8
    assert found == {"stream": [size, "stream"], "poll": [size, "poll"]}
