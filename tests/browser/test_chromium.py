"""Does a page in a real browser get its sockets from a real service to real servers?"""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests import pems
from tests.integration import processes

HERE = Path(__file__).parent
SCENARIO_TIMEOUT_S = 110


def scenario(name: str, **options: Any) -> dict[str, Any]:
    """Run a scenario in the browser and return what it found."""
    node, chromium = shutil.which("node"), shutil.which("chromium")
    assert node, "node is not installed"
    assert chromium, "chromium is not installed"
    words = json.dumps(options | {"chromium": chromium})
    done = subprocess.run(
        [node, str(HERE / f"{name}.mjs"), words],
        capture_output=True,
        text=True,
        timeout=SCENARIO_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def tcp_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                thread.start()
                threads.append(thread)

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for thread in (accepting, *threads):
            thread.join(5)


def echo(connection: socket.socket) -> None:
    with connection, suppress(ConnectionError):
        while data := connection.recv(65_536):
            connection.sendall(data)


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def backend(name: str, port: int, pages: int) -> str:
    return f"[backend {name}]\ntarget = tcp:127.0.0.1:{port}\norigins = http://127.0.0.1:{pages}\n"


@contextmanager
def service(
    folder: Path, pages: int, more: str = "", **backends: int
) -> Iterator[processes.Server]:
    ini = more + "".join(backend(name, port, pages) for name, port in backends.items())
    with processes.service(folder, ini) as server:
        yield server


def url(server: processes.Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_two_pages_talk_on_a_channel_of_ngircd(tmp_path: Path) -> None:
    pages = processes.free_port()
    with (
        processes.ngircd(tmp_path) as ircd,
        service(tmp_path, pages, irc=ircd.port) as server,
    ):
        scenario("irc", server=url(server), pages=pages, irc=ircd.port)


def test_a_page_hears_what_redis_cli_publishes(tmp_path: Path) -> None:
    pages = processes.free_port()
    with (
        processes.redis(tmp_path) as redis,
        service(tmp_path, pages, redis=redis.port) as server,
    ):
        scenario("redis", server=url(server), pages=pages, redis=redis.port)


@pytest.mark.parametrize("kind", ["websocket", "stream", "poll"])
def test_no_byte_is_lost_when_every_connection_is_killed_twenty_times(
    tmp_path: Path, kind: str
) -> None:
    pages, there = processes.free_port(), processes.free_port()
    with service(tmp_path, pages, there=there) as server:
        found = scenario("kills", port=server.port, pages=pages, backend=there, kind=kind)
    assert found["kills"] == 20


def test_tcpsocket_keeps_the_rules_of_direct_sockets(tmp_path: Path) -> None:
    pages, refused = processes.free_port(), processes.free_port()
    with (
        tcp_server(echo) as echoing,
        tcp_server(reset) as resetting,
        service(tmp_path, pages, echo=echoing, refused=refused, reset=resetting) as server,
    ):
        found = scenario(
            "sockets",
            server=url(server),
            pages=pages,
            echo=echoing,
            refused=refused,
            resetting=resetting,
        )
    assert found["rules"] >= 12


def test_an_unmodified_mqtt_client_talks_through_the_raw_endpoint(tmp_path: Path) -> None:
    pages = processes.free_port()
    with (
        processes.mosquitto(tmp_path) as broker,
        service(tmp_path, pages, broker=broker.port) as server,
    ):
        scenario("mqtt", server=url(server), pages=pages)


def test_a_page_of_a_foreign_origin_is_told_the_missing_line(tmp_path: Path) -> None:
    pages, other = processes.free_port(), processes.free_port()
    with service(tmp_path, other, echo=1) as server:
        scenario("foreign", server=url(server), pages=pages)
        assert "is not listed" in server.said()


@pytest.mark.timeout(150)
def test_the_demo_does_what_the_readme_says(tmp_path: Path) -> None:
    with processes.demo(tmp_path) as server:
        scenario("demo", server=url(server))


def test_a_page_with_short_tickets_keeps_its_sockets(tmp_path: Path) -> None:
    pages, secret = processes.free_port(), "0123456789abcdef0123456789abcdef"
    key = tmp_path / "ticket.key"
    key.write_text(secret)
    key.chmod(0o600)
    with tcp_server(echo) as echoing:
        ini = (
            f"[tickets]\nkeys = k1 HS256 file:{key}\n[backend echo]\n"
            f"target = tcp:127.0.0.1:{echoing}\norigins = http://127.0.0.1:{pages}\n"
            "principals = *\n"
        )
        with processes.service(tmp_path, ini) as server:
            shown = {"secret": secret, "audience": "sockproxy", "lifeS": 5}
            scenario("tickets", server=url(server), pages=pages, **shown)


def test_a_page_speaks_tls_over_every_kind_of_link(tmp_path: Path) -> None:
    pages, port = processes.free_port(), processes.free_port()
    own = pems.made()
    (tmp_path / "own.pem").write_bytes(own.public + own.private)
    (tmp_path / "own.pem").chmod(0o600)
    with tcp_server(echo) as echoing:
        ini = (
            f"[listen tls]\nendpoint = tcp:{port}:interface=127.0.0.1\n"
            f"certificate = {tmp_path}/own.pem\n{backend('echo', echoing, pages)}"
        )
        with processes.service(tmp_path, ini):
            scenario("tls", server=f"https://127.0.0.1:{port}", pages=pages, ownCertificate=True)
