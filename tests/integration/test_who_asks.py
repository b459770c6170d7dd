"""Do real servers behind the service see the browser's address, and only that?

The browser is one of the many addresses of loopback, so that it cannot be taken for the
gateway. The settings are those of docs/recipes.md.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_twisted

from sockproxy import ini
from sockproxy.core import events
from tests import loopback
from tests.certificates import Authority
from tests.integration import middleboxes, processes
from tests.integration.native import NativeClient
from tests.integration.test_ways_in import said, status, upgrade
from tests.loopback import masked

RECIPES = Path(__file__).parents[2] / "docs" / "recipes.md"
BROWSER = "127.0.0.9"
BINARY = 2
ORIGIN = b"Origin: https://app.example"
CHAT = b"Origin: https://chat.example"
GET = b"GET / HTTP/1.0\r\n\r\n"
LIE = b"PROXY TCP4 198.51.100.9 192.0.2.2 1 2\r\n"
BLOCKS: list[str] = re.findall(r"```ini\n(.*?)```", RECIPES.read_text(encoding="utf-8"), re.DOTALL)
PASSWORD_FILE = "/etc/sockproxy/webirc"

NGINX = """\
{user}
daemon off;
pid nginx.pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {server}
}}
"""


def recipe(name: str, *changes: tuple[str, str]) -> str:
    """Return the settings of a recipe, by its backend's name."""
    (found,) = [text for text in BLOCKS if text.startswith(f"[backend {name}]")]
    for old, new in changes:
        assert old in found
        found = found.replace(old, new)
    return found


def block(language: str) -> str:
    """Return what stands in the recipes for the other side."""
    return str(middleboxes.snippet(RECIPES, language))


@contextmanager
def nginx(folder: Path, server: str) -> Iterator[processes.Server]:
    """Run nginx with one server of the docs."""
    port = processes.free_port()
    # As root nginx would give up its rights, and could not write into the test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    server = server.replace("127.0.0.1:8081", f"127.0.0.1:{port}")
    file = folder / "nginx-behind.conf"
    file.write_text(NGINX.format(user=user, server=server))
    command = ("nginx", "-p", str(folder), "-c", str(file))
    middleboxes.check(*command, "-t")
    with processes.listening(folder, port, *command) as behind:
        yield behind


@contextmanager
def haproxy(folder: Path, frontend: str) -> Iterator[processes.Server]:
    """Run HAProxy with one frontend of the docs."""
    port = processes.free_port()
    frontend = frontend.replace("127.0.0.1:8081", f"127.0.0.1:{port}")
    file = folder / "haproxy-behind.cfg"
    file.write_text(f"defaults\n    mode http\n    timeout client 20s\n{frontend}")
    middleboxes.check("haproxy", "-c", "-f", str(file))
    with processes.listening(folder, port, "haproxy", "-db", "-f", str(file)) as behind:
        yield behind


def web(port: int, version: str = "v2") -> str:
    """Return the recipe of a web server, on the port of a test."""
    return recipe("web", ("8081", str(port)), ("= v2", f"= {version}"))


def ask(port: int, *lines: bytes, sends: bytes = GET, source: str = BROWSER) -> bytes:
    """Return what the web server behind says to a browser on /raw."""
    raw = upgrade("/raw/web", ORIGIN, *lines) + masked(BINARY, sends)
    return said(port, raw, lambda found: found.endswith(b"\x88\x02\x03\xe8"), source)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("box", ["nginx", "haproxy"])
def test_a_server_behind_sees_the_browser(tmp_path: Path, box: str, version: str) -> None:
    run = {"nginx": nginx, "haproxy": haproxy}[box]
    with (
        run(tmp_path, block(box)) as behind,
        processes.service(tmp_path, web(behind.port, version)) as server,
    ):
        answer = ask(server.port)
        lied = ask(server.port, sends=LIE + GET)

    assert b"HTTP/1.1 200" in answer
    assert BROWSER.encode() in answer
    assert b" 400 " in lied, "a header of the browser's own is no more than bytes"
    assert b"198.51.100.9" not in lied


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("client", ["203.0.113.9", "2001:db8::9"])
def test_a_server_behind_sees_the_browser_in_front_of_a_proxy(
    tmp_path: Path, client: str, version: str
) -> None:
    line = b"X-Forwarded-For: " + client.encode()
    with nginx(tmp_path, block("nginx")) as behind:
        trusting = f"[sockproxy]\ntrusted_proxies = {BROWSER}\n{web(behind.port, version)}"
        with processes.service(tmp_path, trusting) as server:
            answer = ask(server.port, line)

    assert answer.split(b"\r\n\r\n")[-1].startswith(client.encode() + b"\x88")


def test_the_header_stands_before_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = tmp_path / "web.pem"
    pair.write_bytes(authority.signed("web.example"))
    tls = f"proxy_protocol ssl;\n    ssl_certificate {pair};\n    ssl_certificate_key {pair};"
    with nginx(tmp_path, block("nginx").replace("proxy_protocol;", tls, 1)) as behind:
        target = f"tls:127.0.0.1:{behind.port}:ca={authority.file}:name=web.example"
        plain = f"tcp:127.0.0.1:{behind.port}"
        with processes.service(tmp_path, web(behind.port).replace(plain, target)) as server:
            answer = ask(server.port)

    assert BROWSER.encode() in answer


def test_a_browser_without_an_address_is_unknown(tmp_path: Path) -> None:
    """It comes by a UNIX socket; the server behind sees the gateway then."""
    path = tmp_path / "gw.sock"
    with nginx(tmp_path, block("nginx")) as behind:
        settings = f"[listen local]\nendpoint = unix:{path}\n{web(behind.port, 'v1')}"
        with processes.service(tmp_path, settings), socket.socket(socket.AF_UNIX) as local:
            local.settimeout(5)
            local.connect(str(path))
            local.sendall(upgrade("/raw/web", ORIGIN) + masked(BINARY, GET))
            answer = b"".join(iter(lambda: local.recv(65_536), b""))

    assert b"HTTP/1.1 200" in answer
    assert b"127.0.0.1\x88" in answer


@pytest_twisted.ensureDeferred
async def test_a_stream_of_a_session_has_its_pages_address_and_port(tmp_path: Path) -> None:
    told = block("nginx").replace("$remote_addr", "$proxy_protocol_addr:$proxy_protocol_port")
    with (
        nginx(tmp_path, told) as behind,
        processes.service(tmp_path, web(behind.port, "v1")) as server,
    ):
        page = NativeClient(loopback.reactor, server.port)
        try:
            await page.connect()
            assert page.carrier is not None
            own = page.carrier.transport.getHost()
            stream = page.open("web")
            page.write(stream, GET)
            await page.until(lambda: bool(page.of(events.EofReceived, stream)))
        finally:
            page.close()

    assert page.data[stream].endswith(f"{own.host}:{own.port}".encode())


def test_an_irc_server_knows_the_browser(tmp_path: Path) -> None:
    password = tmp_path / "webirc"
    password.write_text("hunter2\n")
    password.chmod(0o640)
    login = b"NICK ann\r\nUSER ann 0 * :Ann\r\nWHOIS ann\r\n"
    with processes.ngircd(tmp_path, "WebircPassword = hunter2") as irc:
        settings = recipe("irc", ("6667", str(irc.port)), (PASSWORD_FILE, str(password)))
        local = f"[listen local]\nendpoint = unix:{tmp_path}/gw.sock\n"
        with processes.service(tmp_path, local + settings) as server:
            raw = upgrade("/raw/irc", CHAT) + masked(BINARY, login)
            answer = said(server.port, raw, lambda found: b" 318 " in found, BROWSER)
            with socket.socket(socket.AF_UNIX) as nobody:
                nobody.settimeout(5)
                nobody.connect(f"{tmp_path}/gw.sock")
                nobody.sendall(upgrade("/raw/irc", CHAT))
                refused = nobody.recv(65_536)
            log = server.said()

    assert re.search(rb" 311 ann ann \S+ 127\.0\.0\.9 \* :Ann\r\n", answer), answer
    assert status(refused) == 403
    assert b"WEBIRC says who the client is, and this one has no address" in refused
    assert "hunter2" not in log


def test_an_irc_server_that_does_not_know_the_password_says_so(tmp_path: Path) -> None:
    password = tmp_path / "webirc"
    password.write_text("hunter3")
    password.chmod(0o600)
    with processes.ngircd(tmp_path, "WebircPassword = hunter2") as irc:
        settings = recipe("irc", ("6667", str(irc.port)), (PASSWORD_FILE, str(password)))
        with processes.service(tmp_path, settings) as server:
            raw = upgrade("/raw/irc", CHAT)
            answer = said(server.port, raw, lambda found: b" 464 " in found, BROWSER)

    assert b" 464 * :Invalid password" in answer


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: text.partition("\n")[0])
def test_every_recipe_loads(tmp_path: Path, text: str) -> None:
    password = tmp_path / "webirc"
    password.write_text("hunter2\n")
    password.chmod(0o640)

    section = text.replace(PASSWORD_FILE, str(password))
    ini.loads(f"[listen web]\nendpoint = tcp:8080\n{section}")
