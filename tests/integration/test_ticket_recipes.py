"""Does every line of docs/tickets.md that can be run do what the page says?

The applications are those of the page, as real servers; what a page does in its browser, Node
does with the client's own code. Only paths, ports and hosts are the test's.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

import pytest

from sockproxy import ini
from sockproxy.auth.standing import EXPIRED, REVOKED
from sockproxy.policy.access import Asker, Deny, Policy
from sockproxy.policy.target import NamedTarget
from sockproxy.policy.ticket import BadTicket, verify
from sockproxy.settings import ForwardAuth, Tickets
from tests.integration import applications, processes
from tests.integration.applications import DOCS, Application, Docs
from tests.loopback import head
from tests.tickets import NOW, OPTIONS, PRIVATE, mint

ORIGIN = "https://app.example"
IRC = "tcp:127.0.0.1:6667"
LISTEN = "[listen web]\nendpoint = tcp:8080\n"
PATIENCE_S = 10.0
TEXT = DOCS.read_text(encoding="utf-8")
POLICY_CLOSE = (1008).to_bytes(2, "big")

Example = Callable[..., AbstractContextManager[tuple[Application, Application]]]
EXAMPLES: dict[str, Example] = {
    "flask": applications.flask_with_tickets,
    "django": applications.django_with_tickets,
    "node": applications.node_with_tickets,
}


class Echo(BaseRequestHandler):
    def handle(self) -> None:
        connection: socket.socket = self.request
        with suppress(ConnectionResetError):  # as a page does that leaves
            while data := connection.recv(65_536):
                connection.sendall(data)


class Server(ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def echo() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Echo) as server:
        serving = Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


@pytest.fixture
def docs(tmp_path: Path) -> Docs:
    """The page, after its first lines: there is a key, and an empty list."""
    made = Docs(tmp_path)
    made.shell("openssl rand")
    return made


def settings(docs: Docs, *, pair: bool) -> str:
    """Return the page's settings with its first key, or with both."""
    first = docs.block("ini", "[backend admin]")
    if not pair:
        return first
    docs.shell("openssl genpkey")
    ways = first[first.index("[backend irc]") :]
    return f"{docs.block('ini', '2026-12')}\n{ways}"


@contextmanager
def gateway(docs: Docs, text: str, origin: str, echo: int) -> Iterator[processes.Server]:
    assert IRC in text
    assert ORIGIN in text
    text = text.replace(IRC, f"tcp:127.0.0.1:{echo}").replace(ORIGIN, origin)
    with processes.service(docs.folder, text) as server:
        yield server


def lines_of_page(docs: Docs, name: str) -> str:
    """Return what the page of an application says to open a socket, ticket and all."""
    opening = 'const socket = sockproxy.open("irc");\n'
    having = "csrfmiddlewaretoken" if name == "django" else "sockproxy-ticket"
    return docs.block("js", having).replace(opening, "") + opening + "return socket;"


@pytest.mark.parametrize("pair", [False, True], ids=["shared", "pair"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_application_gives_its_user_a_ticket_that_opens_a_socket_and_nobody_else_one(
    docs: Docs, echo: int, name: str, pair: bool
) -> None:
    text = settings(docs, pair=pair)
    with (
        EXAMPLES[name](docs, pair=pair) as (as_nobody, as_user),
        gateway(docs, text, as_user.origin, echo) as server,
    ):
        lines = lines_of_page(docs, name)
        assert applications.page(lines, server, as_user) == {"echo": "hello"}
        found = applications.page(lines, server, as_nobody)
        assert found["error"].startswith("NotAllowedError: ")
        assert "a ticket is needed" in found["error"]
        known = ini.load(str(docs.folder / "proxy.ini")).tickets
        check_endpoint(as_nobody, as_user, known)


def check_endpoint(as_nobody: Application, as_user: Application, known: Tickets) -> None:
    """A ticket is fresh, short, kept by nobody, and not for the pages of others."""
    shown = []
    for _ in range(2):
        status, headers, body = as_user.ticket()
        assert status == 200
        assert "no-store" in headers["Cache-Control"]
        assert headers["Content-Type"].startswith("text/plain")
        shown.append(verify(body, known, time.time()))
    assert {ticket.principal for ticket in shown} == {str(applications.USER_ID)}
    assert all(290 < ticket.good_for_s <= 300 + known.leeway for ticket in shown)
    assert len({ticket.ticket_id for ticket in shown}) == 2

    assert as_nobody.ticket()[0] == 401
    status, _, _ = as_user.ask(applications.TICKETS, Cookie=as_user.cookie)
    assert status in (404, 405)
    status, headers, _ = as_user.ticket(Origin="https://evil.example")
    assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_a_django_page_without_its_token_gets_no_ticket(docs: Docs) -> None:
    with applications.django_with_tickets(docs, pair=False) as (_, as_user):
        assert Application(as_user.origin, as_user.cookie).ticket()[0] == 403
        assert as_user.ticket(Origin="https://evil.example")[0] == 403


def test_a_node_application_outlives_a_login_that_fails(docs: Docs) -> None:
    with applications.node_with_tickets(docs, pair=False) as (_, as_user):
        assert Application(as_user.origin, "sid=broken").ticket()[0] == 500
        assert as_user.ticket()[0] == 200


def test_the_keys_are_for_those_to_read_whom_the_page_names(docs: Docs) -> None:
    docs.shell("openssl genpkey")
    modes = {
        file.relative_to(docs.folder).as_posix(): file.stat().st_mode & 0o777
        for name in applications.PLACES.values()
        for file in (docs.folder / name).iterdir()
    }
    assert modes["gateway/2026-11.key"] == 0o640
    assert modes["keys/2026-12.pem"] == 0o600
    assert modes["gateway/2026-12.pem"] & 0o444 == 0o444


def test_a_ticket_is_minted_and_read_by_hand(docs: Docs) -> None:
    (docs.folder / "proxy.ini").write_text(LISTEN + settings(docs, pair=True))
    shape, _, verdict = docs.shell("ticket inspect").partition("\n}\n")
    narrow = docs.shell("--private-key").strip()

    assert json.loads(shape + "}")["claims"]["sub"] == "42"
    assert re.fullmatch(r"good for 30[345] s, leeway included\n", verdict)
    known = ini.load(str(docs.folder / "proxy.ini")).tickets
    ticket = verify(narrow, known, time.time())
    assert (ticket.origins, ticket.backends) == ((ORIGIN,), ("irc",))
    assert (ticket.streams, ticket.byte_quota) == (4, 10 * 1024 * 1024)


def test_explain_says_which_line_decides(docs: Docs) -> None:
    (docs.folder / "proxy.ini").write_text(LISTEN + settings(docs, pair=False))
    assert docs.shell("sockproxy explain").startswith("allowed")


@contextmanager
def raw(docs: Docs, server: processes.Server, shown: str, **more: str) -> Iterator[socket.socket]:
    """Open the raw WebSocket that the lines of the page ask for."""
    seen = Application(ORIGIN)
    asked = applications.page(docs.block("js", "/raw/irc"), server, seen, ticket=shown)
    protocols = ", ".join(asked["protocols"])
    lines = [f"Origin: {ORIGIN}", f"Sec-WebSocket-Protocol: {protocols}"]
    path = asked["url"].removeprefix("wss://gw.example")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as connection:
        connection.sendall(head(path, *lines))
        yield connection


def read(connection: socket.socket, until: bytes) -> bytes:
    """Return what comes, up to some bytes of it."""
    found = b""
    while until not in found:
        part = connection.recv(65_536)
        assert part, found
        found += part
    return found


def test_a_raw_websocket_shows_its_ticket_and_ends_when_its_user_is_revoked(
    docs: Docs, echo: int
) -> None:
    with gateway(docs, settings(docs, pair=False), ORIGIN, echo) as server:
        docs.shell("ticket inspect")
        shown = (docs.folder / "ticket").read_text().strip()
        with raw(docs, server, shown) as connection:
            answer = read(connection, b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 101 ")
            assert b"\r\nSec-WebSocket-Protocol: binary\r\n" in answer
            docs.shell("echo")
            read(connection, POLICY_CLOSE + b"the ticket was revoked")


def test_the_application_is_asked_for_a_cookie(docs: Docs, echo: int) -> None:
    docs.write({"shop/routes.py": docs.block("python", "/sockproxy-user")})
    text = docs.block("ini", "[forward_auth]")
    assert "http://127.0.0.1:5000" in text
    lines = docs.block("js", "credentials:")
    tail = 'proxy.useLinks(["stream"]);\nreturn proxy.open("irc");'
    with applications.flask(docs) as (as_nobody, as_user):
        text = text.replace("http://127.0.0.1:5000", as_user.origin)
        with gateway(docs, text, as_user.origin, echo) as server:
            there = f"http://127.0.0.1:{server.port}/"
            lines = lines.replace("https://gw.example/", there) + tail
            assert applications.page(lines, server, as_user) == {"echo": "hello"}
            silent = lines.replace('"include"', '"omit"')
            for seen, said in ((as_nobody, lines), (as_user, silent)):
                found = applications.page(said, server, seen)
                assert found == {"error": "NotAllowedError: a ticket is needed"}


BAD = [
    mint(exp=NOW - 65),
    mint(nbf=NOW + 30),
    mint(exp=NOW + 7200),
    mint(key=b"y" * 32),
    mint(kid=None),
    mint(kid="old", key=PRIVATE, alg="EdDSA"),
    mint(aud="shop"),
    mint(sub=None),
    mint(jti=None),
    "<!doctype html>",
]


@pytest.mark.parametrize("shown", BAD, ids=range(len(BAD)))
def test_the_page_knows_why_a_ticket_is_refused(shown: str) -> None:
    with pytest.raises(BadTicket) as caught:
        verify(shown, OPTIONS, NOW)
    assert f"| 0x{caught.value.code:02X} | `{caught.value.text}` |" in TEXT


@pytest.mark.parametrize(
    "shown",
    [
        "",
        mint(sub="18"),
        mint(sub="17", backends=["irc"]),
        mint(sub="17", origin="https://other.example"),
    ],
    ids=["none", "not open", "other backends", "other origin"],
)
def test_the_page_knows_why_an_asker_is_refused(docs: Docs, shown: str) -> None:
    policy = Policy(ini.loads(LISTEN + settings(docs, pair=False)).settings)
    asker = Asker(ORIGIN, None, "192.0.2.1")
    if shown:
        asker = asker.known_by(verify(shown, OPTIONS, NOW))
    answers = (policy.admit(asker), policy.decide(asker, NamedTarget("admin")))
    denials = [answer for answer in answers if isinstance(answer, Deny)]

    assert denials
    for denied in denials:
        assert f"| 0x{denied.code:02X} | `{denied.reason}` |" in TEXT


def test_the_page_knows_how_a_session_ends() -> None:
    assert f"| 0x22 | `{EXPIRED}` | ends a session" in TEXT
    assert f"| 0x0B | `{REVOKED}` | ends a session" in TEXT


@pytest.mark.parametrize(
    ("title", "options"),
    [("At the server", Tickets.model_fields), ("Forward-auth", ForwardAuth.model_fields)],
)
def test_the_page_names_every_option(title: str, options: dict[str, Any]) -> None:
    part = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert part
    for name in options:
        assert f"`{name}`" in part or f"\n{name} = " in part
