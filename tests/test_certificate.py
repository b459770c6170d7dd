"""Is a certificate shown by modern TLS only, exchanged whole, or refused with what to do?"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from sockproxy.certificate import BadCertificate, Certificate, Files, context
from tests.pems import HOST, Pem, made, written

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")  # which is the point

HTTP = (b"http/1.1",)


class Talk:
    """A handshake in memory, of a client as Python has it, with a server of ours."""

    def __init__(
        self,
        server: SSL.Context | Certificate,
        client: ssl.SSLContext,
        session: ssl.SSLSession | None = None,
    ) -> None:
        if isinstance(server, Certificate):
            self.server = server.serverConnectionForTLS(None)
        else:
            self.server = SSL.Connection(server)
        self.server.set_accept_state()
        self._down, self._up = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self._down, self._up, server_hostname=HOST, session=session)

    def shakes(self) -> Talk:
        """Raises `ssl.SSLError` or `SSL.Error` where they do not agree."""
        while True:
            is_client_done = _tried(self.client.do_handshake, ssl.SSLWantReadError)
            self._carry_up()
            is_server_done = _tried(self.server.do_handshake, SSL.WantReadError)
            self._carry_down()
            if is_client_done and is_server_done:
                return self

    def certificate(self) -> bytes:
        found = self.client.getpeercert(binary_form=True)
        assert found is not None
        return found

    def _carry_up(self) -> None:
        if self._up.pending:
            self.server.bio_write(self._up.read())

    def _carry_down(self) -> None:
        with suppress(SSL.WantReadError):
            self._down.write(self.server.bio_read(65_536))


def _tried(act: Callable[[], Any], waits: type[Exception]) -> bool:
    try:
        act()
    except waits:
        return False
    return True


def client(authority: Pem | None = None, **attributes: Any) -> ssl.SSLContext:
    """Return a client that would do anything, but for what a test asks of it."""
    chosen = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    chosen.minimum_version = ssl.TLSVersion.TLSv1
    chosen.set_ciphers("ALL:@SECLEVEL=0")
    if authority is None:
        chosen.check_hostname = False
        chosen.verify_mode = ssl.CERT_NONE
    else:
        chosen.load_verify_locations(cadata=authority.public.decode())
    for name, value in attributes.items():
        setattr(chosen, name, value)
    return chosen


def files(folder: Path, pem: Pem, *chain: Pem) -> Files:
    """Put a certificate, its chain and its key into two files."""
    content = b"".join(each.public for each in (pem, *chain))
    return Files(
        written(folder / "cert.pem", content, 0o644), written(folder / "key.pem", pem.private)
    )


@pytest.fixture(scope="module")
def rsa_pem() -> Pem:
    return made(key=rsa.generate_private_key(65_537, 2048))


def test_the_chain_is_shown_to_a_client_that_trusts_its_end(tmp_path: Path) -> None:
    root = made("root.example", is_ca=True)
    middle = made("middle.example", root, is_ca=True)
    server = context(files(tmp_path, made(by=middle), middle), HTTP)

    Talk(server, client(root)).shakes()
    with pytest.raises(ssl.SSLCertVerificationError):
        Talk(server, client(made("other.example", is_ca=True))).shakes()


def test_key_and_certificate_may_share_a_file(tmp_path: Path) -> None:
    pem = made()
    for content in (pem.private + pem.public, pem.public + pem.private):
        server = context(Files(written(tmp_path / "both.pem", content)))
        shown = Talk(server, client()).shakes().certificate()
        assert shown == pem.certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "make", [lambda: ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate]
)
def test_keys_of_other_kinds_are_taken(tmp_path: Path, make: Callable[[], Any]) -> None:
    key = make()
    authority = made("root.example", is_ca=True)

    Talk(context(files(tmp_path, made(by=authority, key=key))), client(authority)).shakes()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    server = context(files(tmp_path, made()))

    with pytest.raises(SSL.Error, match="unsupported protocol"):
        Talk(server, client(maximum_version=version)).shakes()


@pytest.mark.parametrize(
    "suites",
    [
        "ECDHE-RSA-AES128-SHA256",
        "ECDHE-RSA-AES256-SHA384",
        "ECDHE-RSA-AES128-SHA",
        "AES128-GCM-SHA256",
        "AES256-SHA",
        "DHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-NULL-SHA",
        "AECDH-AES256-SHA",
    ],
)
def test_suites_without_aead_or_forward_secrecy_are_refused(
    tmp_path: Path, rsa_pem: Pem, suites: str
) -> None:
    server = context(files(tmp_path, rsa_pem))
    old = client(maximum_version=ssl.TLSVersion.TLSv1_2)
    old.set_ciphers(f"{suites}:@SECLEVEL=0")

    with pytest.raises(SSL.Error, match="no shared cipher"):
        Talk(server, old).shakes()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
    ],
)
def test_the_server_chooses_the_suite(
    tmp_path: Path, rsa_pem: Pem, offered: str, chosen: str
) -> None:
    old = client(maximum_version=ssl.TLSVersion.TLSv1_2)
    old.set_ciphers(offered)

    assert Talk(context(files(tmp_path, rsa_pem)), old).shakes().client.cipher()[0] == chosen  # type: ignore[index]


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["h2"], None), ([], None)],
)
def test_no_http_2_is_agreed_on(tmp_path: Path, offered: list[str], agreed: str | None) -> None:
    modern = client()
    modern.set_alpn_protocols(offered)

    talk = Talk(context(files(tmp_path, made()), HTTP), modern).shakes()
    assert talk.client.selected_alpn_protocol() == agreed


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(tmp_path: Path, version: ssl.TLSVersion) -> None:
    server = context(files(tmp_path, made()))
    again = client(minimum_version=version, maximum_version=version)

    first = Talk(server, again).shakes()
    _tried(first.client.read, ssl.SSLWantReadError)  # what TLS 1.3 sends last
    second = Talk(server, again, first.client.session).shakes()
    assert not second.client.session_reused


BROKEN: dict[str, tuple[str, str]] = {
    "absent": ("certificate", "cert.pem' cannot be read: No such file or directory"),
    "absent key": ("private_key", "key.pem' cannot be read: No such file or directory"),
    "no certificate": ("certificate", "cert.pem' holds no certificate in PEM"),
    "no key": ("private_key", "key.pem' holds no private key in PEM"),
    "torn": ("certificate", "cert.pem' holds no certificate in PEM"),
    "torn key": ("private_key", "key.pem' holds no private key in PEM"),
    "sealed": ("private_key", "key.pem' has a passphrase; `openssl pkey` takes it off"),
    "another": ("certificate", "cert.pem' does not begin with the certificate of the private key"),
    "chain first": ("certificate", "does not begin with the certificate of the private key"),
    "public": ("private_key", "others may read "),
    "anybody's": ("private_key", "others may write "),
    "weak": ("certificate", "is refused by OpenSSL: ee key too small"),
}


@pytest.fixture
def broken(tmp_path: Path) -> Callable[[str], Files]:
    """Return a function that breaks two good files in a named way."""
    pem, other = made(), made()
    good = files(tmp_path, pem)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    ways: dict[str, Callable[[], Any]] = {
        "absent": cert.unlink,
        "absent key": key.unlink,
        "no certificate": lambda: cert.write_bytes(pem.private),
        "no key": lambda: key.write_bytes(pem.public),
        "torn": lambda: cert.write_bytes(pem.public[:300]),
        "torn key": lambda: key.write_bytes(pem.private[:100]),
        "sealed": lambda: key.write_bytes(pem.sealed(b"secret")),
        "another": lambda: key.write_bytes(other.private),
        "chain first": lambda: cert.write_bytes(other.public + pem.public),
        "public": lambda: key.chmod(0o644),
        "anybody's": lambda: key.chmod(0o622),
        "weak": lambda: files(tmp_path, made(key=rsa.generate_private_key(65_537, 1024))),
    }

    def break_it(how: str) -> Files:
        ways[how]()
        return good

    return break_it


@pytest.mark.parametrize("how", BROKEN)
def test_files_that_cannot_be_used_say_why_and_where(
    broken: Callable[[str], Files], how: str
) -> None:
    option, text = BROKEN[how]

    with pytest.raises(BadCertificate) as raised:
        context(broken(how))
    assert raised.value.option == option
    assert text in str(raised.value)


def test_a_file_without_its_key_names_the_option_for_it(tmp_path: Path) -> None:
    alone = Files(written(tmp_path / "cert.pem", made().public, 0o644))

    with pytest.raises(BadCertificate, match=r"no private key in PEM; add private_key = FILE"):
        context(alone)


def shown(certificate: Certificate) -> x509.Certificate:
    """Return what a new connection gets to see."""
    return x509.load_der_x509_certificate(Talk(certificate, client()).shakes().certificate())


def test_files_that_are_replaced_are_shown_to_new_connections_only(
    tmp_path: Path, lines: list[str]
) -> None:
    old, new = made(), made()
    there = files(tmp_path, old)
    certificate = Certificate(there, HTTP)
    before = Talk(certificate, client())
    files(tmp_path, new)

    assert shown(certificate) == old.certificate
    certificate.renew()
    certificate.renew()
    assert shown(certificate) == new.certificate
    assert before.shakes().certificate() == old.certificate.public_bytes(Encoding.DER)
    assert lines == [f"a new certificate is shown: {there.certificate}"]


@pytest.mark.parametrize("how", BROKEN)
def test_bad_files_change_nothing_and_are_told_once(
    tmp_path: Path, broken: Callable[[str], Files], lines: list[str], how: str
) -> None:
    old = made()
    certificate = Certificate(files(tmp_path, old), HTTP)
    broken(how)

    certificate.renew()
    certificate.renew()
    assert shown(certificate) == old.certificate
    (line,) = lines
    assert line.startswith(f"the certificate shown stays the old one: {BROKEN[how][0]} ")
    assert BROKEN[how][1] in line


def test_a_key_that_comes_after_its_certificate_is_waited_for(
    tmp_path: Path, lines: list[str]
) -> None:
    old, new = made(), made()
    there = files(tmp_path, old)
    certificate = Certificate(there, HTTP)

    written(tmp_path / "cert.pem", new.public, 0o644)
    certificate.renew()
    assert shown(certificate) == old.certificate
    written(tmp_path / "key.pem", new.private)
    certificate.renew()
    assert shown(certificate) == new.certificate
    assert [line.partition(":")[0] for line in lines] == [
        "the certificate shown stays the old one",
        "a new certificate is shown",
    ]


def test_a_file_is_looked_at_again_when_its_rights_are_mended(tmp_path: Path) -> None:
    """Its time, size and number stay the same."""
    old, new = made(), made()
    certificate = Certificate(files(tmp_path, old), HTTP)
    there = files(tmp_path, new)
    os.chmod(there.private_key, 0o644)
    certificate.renew()
    assert shown(certificate) == old.certificate

    os.chmod(there.private_key, 0o600)
    certificate.renew()
    assert shown(certificate) == new.certificate


def test_a_link_that_points_elsewhere_now_is_followed(tmp_path: Path) -> None:
    """As certbot has it."""
    old, new = made(), made()
    for number, pem in enumerate((old, new)):
        written(tmp_path / f"both{number}.pem", pem.public + pem.private)
    link = tmp_path / "live.pem"
    link.symlink_to("both0.pem")
    certificate = Certificate(Files(str(link)), HTTP)

    link.unlink()
    link.symlink_to("both1.pem")
    certificate.renew()
    assert shown(certificate) == new.certificate
