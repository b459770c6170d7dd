"""How does a listener show who it is, and how strict is its TLS?

From PEM files to a context that is as modern as browsers are: TLS 1.3, or 1.2 with ECDHE and
AEAD. No session is resumed: tickets would be sealed with one key for as long as the process
runs, and whoever gets that key could read what was recorded before.

The files may be replaced while we run. They are read whole and tried before they are used: a
new connection gets the old certificate or the new one, and never a half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from sockproxy import pem
from sockproxy.logs import Logger
from sockproxy.stamp import Stamp, stamp

CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    b":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
    b":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
    b":@SECLEVEL=2"  # no key or signature below 112 bits: RSA from 2048 on, no SHA-1
)
_OPTIONS = (
    SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_TICKET
)

Content = TypeVar("Content")
Option = Literal["certificate", "private_key"]


class BadCertificate(ValueError):
    """A file cannot be used; `option` is the one that names it. Says what to do."""

    def __init__(self, option: Option, text: str) -> None:
        super().__init__(text)
        self.option: Option = option


class Files(NamedTuple):
    """Where a certificate and its chain stand, and its key, unless that stands there too."""

    certificate: str
    private_key: str = ""


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """What new connections are shown. Raises `BadCertificate` where there is nothing to show."""

    log = Logger()

    def __init__(self, files: Files, protocols: Sequence[bytes]) -> None:
        self._files = files
        self._protocols = protocols
        self._seen = _stamps(files)
        self._context = context(files, protocols)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context)

    def renew(self) -> None:
        """Take up files that have changed, or say once why they cannot be."""
        stamps = _stamps(self._files)
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._context = context(self._files, self._protocols)
        except BadCertificate as bad:
            self.log.warn(
                "the certificate shown stays the old one: {option} {why}",
                option=bad.option,
                why=str(bad),
            )
        else:
            self.log.info("a new certificate is shown: {file}", file=self._files.certificate)


def context(files: Files, protocols: Sequence[bytes] = ()) -> SSL.Context:
    """Return TLS with a certificate, for these protocols. Raises `BadCertificate`."""
    key, chain = _key(files), _chain(files)
    if key.public_key() != chain[0].public_key():
        text = f"{files.certificate!r} does not begin with the certificate of the private key"
        raise BadCertificate("certificate", text)
    strict = _strict(protocols)
    try:
        strict.use_certificate(chain[0])
        for certificate in chain[1:]:
            strict.add_extra_chain_cert(certificate)
        strict.use_privatekey(key)
    except SSL.Error as error:
        reasons = ", ".join(reason for *_, reason in error.args[0])
        text = f"{files.certificate!r} is refused by OpenSSL: {reasons}"
        raise BadCertificate("certificate", text) from None
    return strict


def _chain(files: Files) -> Sequence[x509.Certificate]:
    return _read("certificate", files.certificate, pem.certificates)


def _key(files: Files) -> Any:
    """Return the private key, of whatever kind."""
    option: Option = "private_key" if files.private_key else "certificate"
    path = files.private_key or files.certificate
    try:
        return _read(option, path, pem.key)
    except BadCertificate as bad:
        advice = "" if files.private_key else "; add private_key = FILE"
        raise BadCertificate(option, f"{bad}{advice}") from None


def _read(option: Option, path: str, read: Callable[[str], Content]) -> Content:
    """Return what a file holds. Raises `BadCertificate`."""
    try:
        return read(path)
    except pem.BadPem as bad:
        raise BadCertificate(option, str(bad)) from None
    except OSError as error:
        text = f"{path!r} cannot be read: {error.strerror}"
        raise BadCertificate(option, text) from None


def _strict(protocols: Sequence[bytes]) -> SSL.Context:
    strict = SSL.Context(SSL.TLS_SERVER_METHOD)
    strict.set_min_proto_version(SSL.TLS1_2_VERSION)
    strict.set_cipher_list(CIPHERS)
    strict.set_options(_OPTIONS)
    strict.set_mode(SSL.MODE_RELEASE_BUFFERS)
    strict.set_session_cache_mode(SSL.SESS_CACHE_OFF)

    def choose(connection: SSL.Connection, offered: list[bytes]) -> Any:
        ours = [protocol for protocol in protocols if protocol in offered]
        return ours[0] if ours else SSL.NO_OVERLAPPING_PROTOCOLS

    strict.set_alpn_select_callback(choose)
    return strict


def _stamps(files: Files) -> list[Stamp | None]:
    """Return what changes with the files; a chmod or chown of one that was refused, too."""
    return [stamp(path) for path in files if path]
