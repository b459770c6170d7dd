"""Do listeners of a real service speak TLS that a stranger's tools find nothing wrong with?

And do they know who is behind a real HAProxy that passes TCP on?
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sockproxy import ini
from tests.integration import middleboxes, processes
from tests.integration.test_ways_in import INI, hello, post, status, upgrade
from tests.loopback import masked
from tests.pems import HOST, Pem, made, written

OPERATIONS = middleboxes.DOCS.with_name("operations.md")
DOWN = "/sp/_/down"
PATIENCE_S = 20.0
RENEWED_WITHIN_S = 15.0
# What testssl says of the OpenSSL that it runs, not of the server.
OF_ITS_OWN = {"engine_problem", "RC4"}
LEAST_FINDINGS = 30
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="web", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def root() -> Pem:
    return made("root.example", is_ca=True)


def certified(folder: Path, root: Pem, key: Any = None) -> str:
    """Put a certificate into place and return the line that says so."""
    pem = made(HOST, root, key)
    return f"certificate = {written(folder / 'both.pem', pem.public + pem.private)}\n"


def asked(
    port: int, root: Pem, raw: bytes, source: str = "127.0.0.1", *, behind_head: int = 0
) -> tuple[bytes, str]:
    """Ask by TLS and return how the answer begins, and the certificate's serial number."""
    client = ssl.create_default_context(cadata=root.public.decode())
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S, (source, 0)) as plain,
        client.wrap_socket(plain, server_hostname=HOST) as connection,
    ):
        connection.sendall(raw)
        shown: Any = connection.getpeercert()
        found = b""
        while len(found.partition(b"\r\n\r\n")[2]) < behind_head or b"\r\n\r\n" not in found:
            part = connection.recv(65_536)
            assert part, found
            found += part
        return found, str(shown["serialNumber"])


def look_at(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Let testssl look at a port; its report goes to a file."""
    program = shutil.which("testssl")
    assert program, "testssl is not installed"
    report = str(folder / f"report-{port}.json")
    options = ("--fast", "-p", "-s", "-f", "-U", "--warnings", "off", "--jsonfile", report)
    return subprocess.Popen(
        [program, *options, f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.timeout(300)
def test_testssl_finds_nothing_below_ok(tmp_path: Path, root: Pem) -> None:
    """Neither with an elliptic key nor with RSA, whose suites are others."""
    pem = made(HOST, root, rsa.generate_private_key(65_537, 2048))
    other = processes.free_port()
    ini_text = (
        f"{certified(tmp_path, root)}"
        f"[listen rsa]\nendpoint = tcp:{other}:interface=127.0.0.1\n"
        f"certificate = {written(tmp_path / 'rsa.pem', pem.public + pem.private)}\n{INI}"
    )
    with processes.service(tmp_path, ini_text) as server:
        ports = (server.port, other)
        for look in [look_at(tmp_path, port) for port in ports]:
            look.wait()

    for port in ports:
        findings = json.loads((tmp_path / f"report-{port}.json").read_text())
        judged = [found for found in findings if found["id"] not in OF_ITS_OWN]
        assert len(judged) > LEAST_FINDINGS
        assert [found for found in judged if found["severity"] not in ("OK", "INFO")] == []
        told = {found["id"]: found["finding"] for found in judged}
        assert told["TLS1_2"] == "offered"
        assert told["ALPN"] == "http/1.1"


@pytest.mark.parametrize(
    "options",
    [
        ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-GCM-SHA384"),
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA"),
    ],
    ids=["TLS 1.0", "TLS 1.1", "RSA key exchange", "CBC"],
)
def test_openssl_is_refused_what_is_old(
    tmp_path: Path, root: Pem, options: tuple[str, ...]
) -> None:
    key = rsa.generate_private_key(65_537, 2048)
    with processes.service(tmp_path, certified(tmp_path, root, key) + INI) as server:
        refused, taken = (
            subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *more],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            for more in (options, ())
        )

    assert refused.returncode != 0
    assert re.search(rb"alert (protocol version|handshake failure)", refused.stderr)
    assert taken.returncode == 0
    assert b"New, TLSv1.3, " in taken.stdout


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path, root: Pem) -> None:
    with processes.service(tmp_path, certified(tmp_path, root) + INI) as server:
        answer, first = asked(server.port, root, post(DOWN))
        assert status(answer) == 403
        certified(tmp_path, root)
        deadline = time.monotonic() + RENEWED_WITHIN_S
        while (serial := asked(server.port, root, post(DOWN))[1]) == first:
            assert time.monotonic() < deadline
            time.sleep(processes.LOOK_S)
        (tmp_path / "both.pem").write_text("torn")
        while "the certificate shown stays the old one" not in server.said():
            assert time.monotonic() < deadline
            time.sleep(processes.LOOK_S)
        assert asked(server.port, root, post(DOWN))[1] == serial
        assert server.said().count("a new certificate is shown") == 1


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_the_client_behind_a_haproxy_that_passes_tcp_on_is_known(
    tmp_path: Path, root: Pem, option: str
) -> None:
    sections = middleboxes.snippet(middleboxes.DOCS, "haproxy", "send-proxy-v2")
    sections = sections.replace("send-proxy-v2", option)
    listener = certified(tmp_path, root) + "proxy_protocol = yes\n"
    trust = "[sockproxy]\ntrusted_proxies = 127.0.0.1\n"
    lines = (b"Origin: https://app.example", b"X-Forwarded-For: 198.51.100.1")
    with (
        processes.service(tmp_path, listener + trust + INI) as server,
        middleboxes.haproxy(tmp_path, sections, server) as way,
    ):
        answer, _ = asked(way.port, root, post(DOWN, *lines), "127.0.0.9")
        assert status(answer) == 200
        raw = upgrade("/sp/_/ws", *lines) + masked(2, hello())
        answer, _ = asked(way.port, root, raw, "127.0.0.10", behind_head=2)
        assert status(answer) == 101
        for client in ("127.0.0.9", "127.0.0.10"):
            assert f": new, https://app.example from {client}" in server.said()
        assert "198.51.100" not in server.said()


def test_who_comes_past_the_proxy_is_cut(tmp_path: Path, root: Pem) -> None:
    """A listener behind a proxy takes nothing from others, and nothing without a header."""
    trust = "[sockproxy]\ntrusted_proxies = 127.0.0.1\n"
    header = b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n"
    with processes.service(tmp_path, f"proxy_protocol = yes\n{trust}{INI}") as server:
        place = ("127.0.0.1", server.port)
        heard = []
        for source, said in (("127.0.0.9", header), ("127.0.0.1", b""), ("127.0.0.1", header)):
            with socket.create_connection(place, PATIENCE_S, (source, 0)) as connection:
                try:
                    connection.sendall(said + post(DOWN, b"Origin: https://app.example"))
                    heard.append(connection.recv(12))
                except ConnectionError:
                    heard.append(b"")
        assert heard == [b"", b"", b"HTTP/1.1 200"]
        told = re.findall(r"PROXY header of (\S+) refused: (.*)", server.said())
        assert [source for source, _ in told] == ["127.0.0.9", "127.0.0.1"]
        assert "from 192.0.2.7" in server.said()


def test_a_socket_that_systemd_opened_may_speak_tls(tmp_path: Path, root: Pem) -> None:
    """It is there before the service is, so that the first client waits for it."""
    listener = f"[listen web]\nendpoint = systemd:domain=INET:index=0\n{certified(tmp_path, root)}"
    (tmp_path / "proxy.ini").write_text(listener + INI)
    with socket.create_server(("127.0.0.1", 0)) as opened:
        twistd = (str(processes.BIN / "twistd"), "-n", "--pidfile=", "sockproxy")
        process = subprocess.Popen(
            [sys.executable, "-c", AS_SYSTEMD, str(opened.fileno()), *twistd, "-c", "proxy.ini"],
            cwd=tmp_path,
            pass_fds=[opened.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            answer, _ = asked(opened.getsockname()[1], root, post(DOWN))
        finally:
            process.terminate()
            process.wait()
    assert status(answer) == 403


def test_the_listeners_of_the_manual_load(tmp_path: Path) -> None:
    text = middleboxes.snippet(OPERATIONS, "ini", "certificate = ")
    pem = made()
    for name, content in (
        ("fullchain.pem", pem.public),
        ("privkey.pem", pem.private),
        ("both.pem", pem.public + pem.private),
    ):
        written(tmp_path / name, content)
    loaded = ini.loads(text.replace("/etc/sockproxy", str(tmp_path))).settings

    assert [each.proxy_protocol for each in loaded.listeners.values()] == [False, True]
    assert [bool(each.certificate) for each in loaded.listeners.values()] == [True, True]
