"""Is an Origin judged alike on every way in?"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sockproxy.codes import Code
from sockproxy.core import frames
from tests.integration import middleboxes, processes
from tests.loopback import masked

DATA: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "origins.json").read_text(encoding="utf-8")
)
INI = """
[backend exact]
target = tcp:127.0.0.1:6667
origins =
    https://app.example
    https://app.example:8443

[backend wild]
target = tcp:127.0.0.1:6667
origins = https://*.good.example
"""
REFUSED = frames.encode(frames.Refuse(Code.ORIGIN, 0, ""))[:1]
PATIENCE_S = 5.0


def hello() -> bytes:
    """Return what creates a session of its own."""
    new = frames.Hello(1, frames.FLAG_CREATE, 1, 0, 0, os.urandom(16), os.urandom(32))
    return frames.encode(new)


def request(first: str, *lines: bytes, body: bytes = b"") -> bytes:
    head = [first.encode() + b" HTTP/1.1", b"Host: gw.example", *lines]
    return b"\r\n".join([*head, b"", b""]) + body


def upgrade(path: str, *origins: bytes) -> bytes:
    lines = (
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Protocol: sockproxy.v1",
    )
    return request(f"GET {path}", *lines, *origins)


def post(path: str, *origins: bytes) -> bytes:
    body = hello()
    length = b"Content-Length: %d" % len(body)
    return request(f"POST {path}", length, b"Connection: close", *origins, body=body)


def said(
    port: int, raw: bytes, enough: Callable[[bytes], bool], source: str = "127.0.0.1"
) -> bytes:
    """Return what comes until it is enough, or the connection ends."""
    found = b""
    place = ("127.0.0.1", port)
    with socket.create_connection(place, PATIENCE_S, (source, 0)) as connection:
        connection.sendall(raw)
        while not enough(found) and (part := connection.recv(65_536)):
            found += part
    return found


def status(answer: bytes) -> int:
    match = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", answer)
    assert match is not None, answer
    return int(match[1])


def by_raw(port: int, *origins: bytes) -> bool:
    answer = said(port, upgrade("/raw/exact", *origins), lambda found: b"\r\n\r\n" in found)
    return status(answer) == 101


def by_post(path: str) -> Callable[..., bool]:
    def let_in(port: int, *origins: bytes) -> bool:
        """A page without a session is told that it has none; a foreign one is refused before."""
        answer = said(port, post(path, *origins), lambda found: b"\r\n\r\n" in found)
        return status(answer) == 200

    return let_in


def by_websocket(port: int, *origins: bytes) -> bool:
    """The handshake is no answer: a page could not read it. The first frame is."""
    raw = upgrade("/sp/_/ws", *origins) + masked(2, hello())
    answer = said(port, raw, lambda found: len(found.partition(b"\r\n\r\n")[2]) > 2)
    if status(answer) != 101:
        return False
    return answer.partition(b"\r\n\r\n")[2][2:3] != REFUSED


WAYS: dict[str, Callable[..., bool]] = {
    "raw": by_raw,
    "up": by_post("/sp/_/up"),
    "down": by_post("/sp/_/down"),
    "websocket": by_websocket,
}


@pytest.mark.parametrize("way", WAYS)
def test_an_origin_is_judged_alike_on_every_way_in(tmp_path: Path, way: str) -> None:
    let_in = WAYS[way]
    listed = b"Origin: " + DATA["allowed"][0].encode()
    foreign = b"Origin: https://evil.example"
    with processes.service(tmp_path, INI) as server:
        port = server.port
        allowed = [o for o in DATA["allowed"] if let_in(port, f"Origin: {o}".encode())]
        refused = [o for o in DATA["refused"] if not let_in(port, f"Origin: {o}".encode())]
        odd = (
            (),
            (listed, listed),
            (listed, foreign),
            (foreign, listed),
            (b"X-A: v\x85" + listed,),
            ("X-A: v\u0085".encode() + listed,),
        )
        assert [lines for lines in odd if let_in(port, *lines)] == []

    assert allowed == DATA["allowed"]
    assert refused == DATA["refused"]


def test_a_wildcard_is_judged_alike_too(tmp_path: Path) -> None:
    wildcard = DATA["wildcard"]
    with processes.service(tmp_path, INI) as server:
        for way in ("up", "down", "websocket"):
            let_in = WAYS[way]
            for origin in wildcard["pass"]:
                assert let_in(server.port, f"Origin: {origin}".encode()), (way, origin)
            for origin in wildcard["refuse"]:
                assert not let_in(server.port, f"Origin: {origin}".encode()), (way, origin)


PLACES = (
    *("GET /", "GET /irc.html", "GET /style.css", "GET /none", "HEAD /", "DELETE /", "GET /*"),
    *("GET /sockproxy.js", "GET /sockproxy.mjs", "GET /sockproxy.d.ts"),
    *("GET /playground/backends", "GET /playground/cut", "POST /playground/cut"),
    *("GET /sp/_/ws", "GET /sp/_/up", "POST /sp/_/up", "POST /sp/_/down", "OPTIONS /sp/_/down"),
    *("GET /raw/exact", "POST /raw/exact", "GET /raw/none", "GET /\xff"),
)
ORIGINS = (b"", b"https://app.example", b"https://evil.example", b"null")


def answered(port: int, place: str, origin: bytes) -> dict[str, str]:
    """Return the headers of an answer, by their names in lower case."""
    body = hello() if place.startswith("POST") else b""
    lines = [b"Connection: close", *([b"Origin: " + origin] if origin else [])]
    lines += [b"Content-Length: %d" % len(body)] if body else []
    head, _, _ = said(port, request(place, *lines, body=body), lambda _: False).partition(
        b"\r\n\r\n"
    )
    fields = (line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return {name.lower(): value for name, value in fields}


def test_no_answer_is_of_use_to_a_foreign_page(tmp_path: Path) -> None:
    with processes.service(tmp_path, f"[sockproxy]\nplayground = yes\n{INI}") as server:
        found = {
            (place, origin): answered(server.port, place, origin)
            for place in PLACES
            for origin in ORIGINS
        }

    for (place, origin), headers in found.items():
        is_client = "sockproxy." in place
        is_session = place.startswith("POST /sp/")
        readers = "*" if is_client else origin.decode() if is_session else ""
        assert headers["x-content-type-options"] == "nosniff", place
        assert headers.get("access-control-allow-origin", "") == readers, (place, origin)
        for leave in ("credentials", "private-network", "methods", "headers"):
            assert f"access-control-allow-{leave}" not in headers, place
        if is_session:
            assert "no-store" in headers["cache-control"], place
            assert headers["vary"] == "Origin", place
        if headers["content-type"].startswith("text/html"):
            assert "frame-ancestors 'none'" in headers["content-security-policy"], place
        if place != "GET /\xff":  # judged before there is a request
            is_known = is_session and origin == ORIGINS[1]
            shared = "cross-origin" if is_client or is_known else "same-origin"
            assert headers["cross-origin-resource-policy"] == shared, place


def test_what_a_foreign_page_can_send_without_asking_changes_nothing(tmp_path: Path) -> None:
    """A form, a beacon, a picture: none of them has our Origin, whatever else it says."""
    with socket.create_server(("127.0.0.1", 0)) as backend:
        backend.setblocking(False)
        port = backend.getsockname()[1]
        settings = f"[sockproxy]\nplayground = yes\n{INI.replace(':6667', f':{port}')}"
        with processes.service(tmp_path, settings) as server:
            for origin in (b"Origin: https://evil.example", b"Origin: null", b""):
                for kind in (b"text/plain", b"application/x-www-form-urlencoded"):
                    for path in ("/sp/_/up", "/sp/_/down", "/playground/cut"):
                        lines = [b"Content-Type: " + kind, *([origin] if origin else [])]
                        answer = said(server.port, post(path, *lines), lambda _: False)
                        assert status(answer) == 403
            for path in ("/sp/_/up", "/sp/_/down", "/playground/cut"):
                listed = b"Origin: https://app.example"
                get = request(f"GET {path}", b"Connection: close", listed)
                assert status(said(server.port, get, lambda _: False)) == 405

            assert ": new," not in server.said()
        with pytest.raises(BlockingIOError):
            backend.accept()


@pytest.mark.parametrize("box", ["nginx", "haproxy"])
def test_the_client_behind_a_proxy_is_known_and_cannot_lie(tmp_path: Path, box: str) -> None:
    """The proxy and its client are two of the many addresses of loopback."""
    run = {"nginx": middleboxes.nginx, "haproxy": middleboxes.haproxy}[box]
    lines = (
        b"Origin: https://app.example",
        b"X-Forwarded-For: 198.51.100.1",
        b"Forwarded: for=198.51.100.2",
    )
    ini = f"[sockproxy]\ntrusted_proxies = 127.0.0.1\n{INI}"
    with (
        processes.service(tmp_path, ini) as server,
        run(tmp_path, middleboxes.snippet(middleboxes.DOCS, box), server) as way,
    ):
        raw = post("/sp/_/down", *lines)
        answer = said(way.port, raw, lambda found: b"\r\n\r\n" in found, "127.0.0.9")
        assert status(answer) == 200
        assert ": new, https://app.example from 127.0.0.9" in server.said()
        assert "198.51.100" not in server.said()
