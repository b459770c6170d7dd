"""Does a page get its bytes through a real nginx or HAProxy, set as the docs say?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_chromium import echo, scenario, service, tcp_server, url
from tests.integration import middleboxes, processes
from tests.integration.middleboxes import DOCS, README, snippet

Box = Callable[[Path, processes.Server], AbstractContextManager[processes.Server]]

SEEN_WITHIN_MS = 5000


def as_in_the_readme(folder: Path, server: processes.Server) -> Any:
    return middleboxes.nginx(folder, snippet(README, "nginx"), server)


def unbuffered(folder: Path, server: processes.Server) -> Any:
    return middleboxes.nginx(folder, snippet(DOCS, "nginx"), server)


def buffering(folder: Path, server: processes.Server) -> Any:
    """Buffers, whatever the service asks for; what is there when it pauses passes all the same."""
    location = snippet(DOCS, "nginx").replace("buffering off", "buffering on")
    location = location.replace("}", "    proxy_ignore_headers X-Accel-Buffering;\n}")
    return middleboxes.nginx(folder, location, server)


def without_upgrade(folder: Path, server: processes.Server) -> Any:
    lines = snippet(DOCS, "nginx").splitlines(keepends=True)
    location = "".join(line for line in lines if "pgrade" not in line)
    return middleboxes.nginx(folder, location, server)


def haproxy(folder: Path, server: processes.Server) -> Any:
    return middleboxes.haproxy(folder, snippet(DOCS, "haproxy"), server)


ALL = None
STREAM = ["stream", "poll"]
POLL = ["poll"]


@pytest.mark.parametrize(
    ("box", "links", "carried_by"),
    [
        (as_in_the_readme, ALL, "websocket"),
        (as_in_the_readme, STREAM, "stream"),
        (as_in_the_readme, POLL, "poll"),
        (unbuffered, ALL, "websocket"),
        (unbuffered, STREAM, "stream"),
        (unbuffered, POLL, "poll"),
        (buffering, ALL, "websocket"),
        (buffering, STREAM, "stream"),
        (buffering, POLL, "poll"),
        (without_upgrade, ALL, "stream"),
        (haproxy, ALL, "websocket"),
        (haproxy, STREAM, "stream"),
        (haproxy, POLL, "poll"),
    ],
)
def test_bytes_get_through(
    tmp_path: Path, box: Box, links: list[str] | None, carried_by: str
) -> None:
    pages = processes.free_port()
    with (
        tcp_server(echo) as echoing,
        service(tmp_path, pages, echo=echoing) as server,
        box(tmp_path, server) as way,
    ):
        found = scenario("networks", server=url(way), pages=pages, links=links)
    assert found["link"] == carried_by
    up = next(told for told in found["states"] if told["state"] == "up")
    assert up["ms"] < SEEN_WITHIN_MS
    print(box.__name__, carried_by, up["ms"], "ms")
