"""Is a name resolved once, and a TLS target verified unless told otherwise?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import ssl
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from sockproxy.backends import connector
from sockproxy.settings import TcpTarget, Tls
from tests.backends.test_opening import Names, talk, tls_backend
from tests.certificates import Authority, keep


def test_all_addresses_of_a_name_are_found() -> None:
    found: list[list[str]] = []

    connector.resolve(Names(["192.0.2.7", "2001:db8::7"]), "irc.example.org").addCallback(
        found.append
    )

    assert found == [["192.0.2.7", "2001:db8::7"]]


@implementer(IHostResolution)
class Thread:
    """A look-up in a thread, which cannot be stopped."""

    def __init__(self) -> None:
        self.name = "irc.example.org"

    def cancel(self) -> None:
        raise NotImplementedError


@implementer(IHostnameResolver)
class Threads:
    """A resolver that answers when the test says."""

    def resolveHostName(self, receiver: IResolutionReceiver, *args: Any) -> IHostResolution:
        self.receiver = receiver
        receiver.resolutionBegan(Thread())
        return Thread()


def test_an_answer_to_a_cancelled_look_up_is_ignored() -> None:
    threads: Any = Threads()
    failed: list[Any] = []
    looking = connector.resolve(threads, "irc.example.org")
    looking.addErrback(lambda failure: failed.append(failure.type))

    looking.cancel()
    threads.receiver.resolutionComplete()

    assert failed == [CancelledError]


@pytest.mark.parametrize(
    ("address", "kind"), [("192.0.2.7", TCP4ClientEndpoint), ("2001:db8::7", TCP6ClientEndpoint)]
)
def test_an_address_is_connected_to_by_its_family(address: str, kind: type) -> None:
    target = TcpTarget(host=address, port=6667)

    assert isinstance(connector.tcp_endpoint(MemoryReactorClock(), address, target, 10), kind)


@pytest_twisted.ensureDeferred
async def test_each_authority_of_a_file_is_trusted(tmp_path: Path) -> None:
    authorities = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        authorities.append(Authority(tmp_path / name))
    both = tmp_path / "both.pem"
    both.write_text("".join(Path(authority.file).read_text() for authority in authorities))

    for authority in authorities:
        async with tls_backend(authority.server("irc.example.org")) as port:
            tls = Tls(server_name="irc.example.org", ca_file=str(both))
            page = await talk(TcpTarget(host="127.0.0.1", port=port, tls=tls))
        assert b"hello" in page.told


@pytest_twisted.ensureDeferred
async def test_a_client_certificate_is_shown_to_a_backend_that_asks(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    shown = tmp_path / "client.pem"
    keep(shown, authority.signed("page.example"))
    trusted = ssl.trustRootFromCertificates(
        [ssl.Certificate.loadPEM(Path(authority.file).read_bytes())]
    )
    own = ssl.PrivateCertificate.loadPEM(authority.signed("irc.example.org"))
    asking = ssl.CertificateOptions(
        privateKey=own.privateKey.original, certificate=own.original, trustRoot=trusted
    )
    tls = Tls(server_name="irc.example.org", ca_file=authority.file, certificate_file=str(shown))

    async with tls_backend(asking) as port:
        page = await talk(TcpTarget(host="127.0.0.1", port=port, tls=tls))

    assert b"hello" in page.told
