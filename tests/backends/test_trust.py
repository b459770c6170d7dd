"""Is a TLS backend believed only where chain, name and pin are right, and the reason told?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from sockproxy.backends import trust
from sockproxy.backends.opening import Opening
from sockproxy.codes import Code
from sockproxy.relay import Relay
from sockproxy.settings import TcpTarget, Tls
from tests import loopback
from tests.backends.test_opening import Names, allow, tls_backend
from tests.certificates import GARBAGE, Authority, Old, asking, context, keep
from tests.memory import seat
from tests.test_relay import PlainPage

NAME = "irc.example.org"
WRONG = "0" * 64
UNKNOWN = "certificate is not signed by a known authority"


class Greeting(Protocol):
    """Speaks first, and without TLS if it is not given any."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b":irc.example.org NOTICE * :hello\r\n")


class Closing(Protocol):
    """Has nothing to say."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class TextPage(PlainPage):
    """A page that remembers what it was told at the end."""

    text = ""

    def closed(self, code: Code, text: str) -> None:
        self.text = text
        super().closed(code, text)


@asynccontextmanager
async def warnings() -> AsyncIterator[list[str]]:
    """Collect what the operator is warned of."""
    told: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"].name == "warn":
            told.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    try:
        yield told
    finally:
        globalLogPublisher.removeObserver(observe)


async def visit(port: int, tls: Tls, **changes: Any) -> TextPage:
    """Open a backend, hear its greeting and leave, or learn why there is none."""
    page = TextPage()
    permission = allow(TcpTarget(host="127.0.0.1", port=port, tls=tls), **changes)
    opening = Opening(loopback.reactor, Names([]), refusal_s=0)
    relay = Relay(page, opening, seat(permission), loopback.reactor)
    relay.start()
    await loopback.settle(lambda: bool(page.text) or b"hello" in b"".join(heard(page)))
    relay.write_eof()
    await loopback.settle(lambda: isinstance(page.told[-1], Code))
    return page


def heard(page: PlainPage) -> list[bytes]:
    return [told for told in page.told if isinstance(told, bytes)]


async def refused(server: Any, tls: Tls, protocol: type[Protocol] = Greeting) -> str:
    """Return why a backend is refused; the operator is told the same, once."""
    async with warnings() as told:
        place = tls_backend(server, protocol) if server else loopback.backend(protocol)
        async with place as port:
            page = await visit(port, tls)
    prefix = "there: TLS to the backend failed: "
    assert told == [page.text]
    assert page.told[-1] is Code.BACKEND_TLS
    assert not heard(page)
    assert page.text.startswith(prefix)
    return page.text.removeprefix(prefix)


async def believed(server: Any, tls: Tls) -> bool:
    async with tls_backend(server, Greeting) as port:
        page = await visit(port, tls)
    return page.told[0] == "opened" and page.told[-1] is Code.CLEAN


def pin_of(pem: bytes) -> str:
    return trust.pin(load_pem_x509_certificate(pem))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest_twisted.ensureDeferred
async def test_the_right_backend_is_believed(authority: Authority) -> None:
    assert await believed(authority.server(NAME), Tls(server_name=NAME, ca_file=authority.file))
    local = Tls(server_name="127.0.0.1", ca_file=authority.file)
    assert await believed(authority.server("127.0.0.1"), local)


@pytest.mark.parametrize(
    ("host", "days", "why"),
    [
        (NAME, -1, "certificate has expired"),
        ("other.example", 1, f"certificate is for other.example, not {NAME}"),
        ("127.0.0.1", 1, f"certificate is for 127.0.0.1, not {NAME}"),
        ("", 1, f"certificate is for no name, not {NAME}"),
        (GARBAGE, 1, "certificate cannot be read"),
        ("x" * 63 + "." + "y" * 63, 1, f"certificate is for no name, not {NAME}"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_wrong_backend_is_told_from_the_right_one(
    authority: Authority, host: str, days: int, why: str
) -> None:
    server = context(authority.signed(host, days))

    assert await refused(server, Tls(server_name=NAME, ca_file=authority.file)) == why


@pytest_twisted.ensureDeferred
async def test_nobody_is_believed_for_his_own_word(authority: Authority) -> None:
    alone = context(authority.signed(NAME, itself=True))

    assert await refused(authority.server(NAME), Tls(server_name=NAME)) == UNKNOWN
    assert await refused(alone, Tls(server_name=NAME)) == UNKNOWN
    assert await refused(alone, Tls(server_name=NAME, ca_file=authority.file)) == UNKNOWN


@pytest_twisted.ensureDeferred
async def test_an_authority_has_its_time_too(tmp_path: Path) -> None:
    old = Authority(tmp_path, days=-1)

    why = await refused(old.server(NAME), Tls(server_name=NAME, ca_file=old.file))
    assert why == "an authority's certificate has expired"


@pytest_twisted.ensureDeferred
async def test_a_pin_counts_besides_chain_and_name(authority: Authority) -> None:
    pem = authority.signed(NAME)
    tls = Tls(server_name=NAME, ca_file=authority.file, pins=(WRONG, pin_of(pem)))
    pinned = Tls(server_name=NAME, pins=(pin_of(pem),))
    elsewhere = tls.model_copy(update={"server_name": "other.example"})

    assert await believed(context(pem), tls)
    assert await refused(authority.server(NAME), tls) == "pin does not match"
    assert await refused(context(pem), pinned) == UNKNOWN
    assert await refused(context(pem), elsewhere) == f"certificate is for {NAME}, not other.example"


@pytest_twisted.ensureDeferred
async def test_a_pinned_key_may_sign_for_itself_but_not_for_any_name_or_time(
    authority: Authority,
) -> None:
    pem = authority.signed(NAME, itself=True)
    old = authority.signed(NAME, -1, itself=True)
    tls = Tls(server_name=NAME, pins=(pin_of(pem), pin_of(old)))
    elsewhere = tls.model_copy(update={"server_name": "other.example"})
    named = tls.model_copy(update={"ca_file": authority.file})

    assert await believed(context(pem), tls)
    assert await refused(context(old), tls) == "certificate has expired"
    assert await refused(context(pem), elsewhere) == f"certificate is for {NAME}, not other.example"
    assert await refused(context(pem), named) == UNKNOWN
    wrong = Tls(server_name=NAME, pins=(WRONG,))
    assert await refused(context(pem), wrong) == "pin does not match"


@pytest_twisted.ensureDeferred
async def test_a_backend_that_demands_a_certificate_gets_it_or_says_so(
    authority: Authority, tmp_path: Path
) -> None:
    server = asking(authority.signed(NAME), authority.file)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    keep(tmp_path / "own.pem", authority.signed("page.example"))
    keep(tmp_path / "foreign.pem", Authority(stranger).signed("page.example"))
    tls = Tls(server_name=NAME, ca_file=authority.file)

    def showing(name: str) -> Tls:
        return tls.model_copy(update={"certificate_file": str(tmp_path / name)})

    assert await believed(server, showing("own.pem"))
    assert await refused(server, tls) == "the backend demands a client certificate"
    foreign = await refused(server, showing("foreign.pem"))
    assert foreign == "the backend does not trust our client certificate"


@pytest.mark.parametrize(
    ("protocol", "why"),
    [
        (Greeting, "the backend does not speak TLS"),
        (Closing, "the backend closed the connection in the handshake"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_tls_is_told_so(protocol: type[Protocol], why: str) -> None:
    assert await refused(None, Tls(server_name=NAME), protocol) == why


@pytest_twisted.ensureDeferred
async def test_tls_before_1_2_is_not_spoken(authority: Authority) -> None:
    tls = Tls(server_name=NAME, ca_file=authority.file)

    why = await refused(Old(authority.signed(NAME)), tls)
    assert why == "the backend speaks no TLS of version 1.2 or newer"


@pytest.mark.parametrize("name", [NAME, "127.0.0.1"])
@pytest_twisted.ensureDeferred
async def test_the_backend_is_asked_by_its_name_but_never_by_an_address(
    authority: Authority, name: str
) -> None:
    asked: list[bytes | None] = []
    server = authority.server(name)

    def hear(connection: SSL.Connection) -> None:
        asked.append(connection.get_servername())

    server.getContext().set_tlsext_servername_callback(hear)

    assert await believed(server, Tls(server_name=name, ca_file=authority.file))
    assert asked == [name.encode() if name == NAME else None]


@pytest_twisted.ensureDeferred
async def test_a_page_that_chose_the_host_is_told_nothing(authority: Authority) -> None:
    async with warnings() as told, tls_backend(authority.server(NAME), Greeting) as port:
        page = await visit(port, Tls(server_name=NAME), detail=False)

    assert page.told == [Code.DENIED]
    assert page.text == "not allowed or not reachable"
    assert told == [f"there: TLS to the backend failed: {UNKNOWN}"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["sslv3 alert handshake failure"], "demands a client certificate, or no cipher is shared"),
        (["tlsv1 alert unknown ca"], "does not trust our client certificate"),
        (["sslv3 alert certificate expired"], "refuses our client certificate"),
        (["unsupported protocol"], "speaks no TLS of version 1.2 or newer"),
        (["wrong version number", "record layer failure"], "does not speak TLS"),
        (["decryption failed or bad record mac"], "decryption failed or bad record mac"),
        ([], "the handshake was given up"),
    ],
)
def test_openssl_is_translated_as_far_as_a_sentence_says_more(words: list[str], why: str) -> None:
    told = trust.reason(SSL.Error([("SSL routines", "", word) for word in words]))

    assert told is not None
    assert why in told


def test_what_is_no_fault_of_tls_is_none() -> None:
    assert trust.reason(ConnectionLost()) is None
    assert trust.reason(SSL.SysCallError(-1, "Unexpected EOF")) == "the handshake was given up"
