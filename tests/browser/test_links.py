"""Does a page in a real browser keep its sockets over every kind of link?"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.browser.test_chromium import echo, scenario, service, tcp_server, url
from tests.integration import processes

# Short, so that a page that sleeps is given up while the test looks on.
QUICK = "[limits]\nping = 1s\nping_timeout = 1s\n"
ASLEEP_MS = 4000
TICK_S = 0.02


def ticks(connection: socket.socket) -> None:
    """Count, a hundred lines at a time."""
    with connection, suppress(OSError):
        number = 0
        while True:
            lines = "".join(f"{n}\n" for n in range(number, number + 100))
            connection.sendall(lines.encode())
            number += 100
            time.sleep(TICK_S)


def test_a_page_moves_between_websocket_stream_and_poll(tmp_path: Path) -> None:
    pages = processes.free_port()
    with tcp_server(echo) as echoing, service(tmp_path, pages, echo=echoing) as server:
        scenario("links", server=url(server), pages=pages)


@pytest.mark.parametrize("kind", ["stream", "poll"])
def test_eight_tabs_share_six_connections(tmp_path: Path, kind: str) -> None:
    pages = processes.free_port()
    with tcp_server(echo) as echoing, service(tmp_path, pages, echo=echoing) as server:
        scenario("tabs", server=url(server), pages=pages, kind=kind)


def test_a_page_that_slept_goes_on_where_it_was(tmp_path: Path) -> None:
    pages = processes.free_port()
    with tcp_server(ticks) as ticking, service(tmp_path, pages, QUICK, ticks=ticking) as server:
        found = scenario("asleep", server=url(server), pages=pages, asleepMs=ASLEEP_MS)
    print(found)
    assert set(found) == {"websocket", "stream", "poll"}


@contextmanager
def broken(folder: Path, server: processes.Server, *rules: str) -> Iterator[processes.Server]:
    """Run the fault proxy, as anybody would, in front of a service."""
    port = processes.free_port()
    words = [word for rule in rules for word in ("--fault", rule)]
    command = (sys.executable, "-m", "sockproxy", "faultproxy", "--seed", "7", *words)
    ways = ("--listen", f"tcp:{port}:interface=127.0.0.1", "--to", f"127.0.0.1:{server.port}")
    with processes.listening(folder, port, *command, *ways) as proxy:
        yield proxy


HTTP = ["stream", "poll"]

# Row of the matrix, the rules, which links the page may use, the link that it ends on.
NETWORKS: dict[str, tuple[tuple[str, ...], list[str] | None, set[str]]] = {
    "1 websocket cut again and again": (
        ("cut after=40KiB step=1 of=body direction=down link=ws times=12",),
        ["websocket"],
        {"websocket"},
    ),
    "1 stream cut again and again": (
        ("cut after=40KiB step=1 of=body direction=down where=/down times=12",),
        ["stream"],
        {"stream"},
    ),
    "2 answers to UPs are lost": (
        ("drop what=response where=/up chance=0.2",),
        HTTP,
        {"stream"},
    ),
    "3 POSTs are said again behind their successors": (
        ("replay where=/up chance=0.5",),
        HTTP,
        {"stream"},
    ),
    "7 a websocket opens, then silence": (("stall link=ws after=0 of=body",), None, {"stream"}),
    "7 a websocket is never upgraded": (("strip header=Upgrade link=ws",), None, {"stream"}),
    "9 answers held back to their end": (("buffer until=end where=/down",), HTTP, {"poll"}),
    "9 answers held back until 1 MiB": (("buffer until=1MiB where=/down",), HTTP, {"poll"}),
    "9 the first piece held back": (("buffer until=first where=/down",), HTTP, {"stream", "poll"}),
    "9 one piece behind": (("buffer until=next where=/down",), HTTP, {"stream", "poll"}),
    "10 Accept is stripped": (("strip header=Accept link=http",), HTTP, {"stream"}),
    "10 a login page now and then": (("login link=http chance=0.2 where=/sp/*",), HTTP, set(HTTP)),
    "10 a redirect now and then": (("redirect link=http chance=0.2 where=/sp/*",), HTTP, set(HTTP)),
    "11 a body is too large now and then": (
        ("answer status=413 where=/up chance=0.2",),
        HTTP,
        set(HTTP),
    ),
    "11 a busy gateway": (
        ("answer status=502 where=/up chance=0.1", "answer status=503 where=/down chance=0.1"),
        HTTP,
        set(HTTP),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_no_byte_is_lost_in_a_broken_network(tmp_path: Path, name: str) -> None:
    rules, links, ends_on = NETWORKS[name]
    pages = processes.free_port()
    with (
        tcp_server(echo) as echoing,
        service(tmp_path, pages, echo=echoing) as server,
        broken(tmp_path, server, *rules) as proxy,
    ):
        found = scenario("networks", server=url(proxy), pages=pages, links=links)
    print(found)
    assert found["link"] in ends_on


def test_a_path_that_lags_by_a_piece_is_seen_when_the_server_falls_silent(tmp_path: Path) -> None:
    pages = processes.free_port()
    with (
        tcp_server(echo) as echoing,
        service(tmp_path, pages, echo=echoing) as server,
        broken(tmp_path, server, "buffer until=next where=/down") as proxy,
    ):
        scenario("networks", server=url(proxy), pages=pages, links=HTTP, idle="poll")


def test_a_stripped_origin_is_a_refusal(tmp_path: Path) -> None:
    pages = processes.free_port()
    with (
        service(tmp_path, pages, echo=1) as server,
        broken(tmp_path, server, "strip header=Origin") as proxy,
    ):
        scenario("networks", server=url(proxy), pages=pages, error="NotAllowedError")
