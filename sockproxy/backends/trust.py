"""Is a TLS backend the one it has to be, and if not, why?

Three things are looked at, in the one callback in which OpenSSL asks: the chain, the name,
the pin. All have to be right, with one exception. A backend that signed its certificate
itself is believed where its key is pinned and no `ca` is named: there is no chain to look at,
and only the holder of the pinned key can finish the handshake. Its name and its dates count
all the same. A refusal is raised as an error of OpenSSL's own kind, and so comes out of the
transport as the reason why the connection was lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate, DNSName, IPAddress, SubjectAlternativeName
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet import ssl
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from sockproxy import pem
from sockproxy.policy.target import is_literal
from sockproxy.settings import Tls

NAMES_SHOWN = 3

_SELF_SIGNED = 18
_UNKNOWN = "not signed by a known authority"
# X509_V_ERR_* of OpenSSL, as far as a sentence says more than the number.
_VERIFY_ERRORS = {
    9: "not valid yet",
    10: "expired",
    2: _UNKNOWN,
    18: _UNKNOWN,
    19: _UNKNOWN,
    20: _UNKNOWN,
    21: _UNKNOWN,
    27: _UNKNOWN,
    26: "not one for servers",
    66: "of a key that is too short",
    67: "signed with a key that is too short",
    68: "signed with a hash that is too weak",
}
# OpenSSL's words, in the order in which they are looked for.
_WORDS = {
    "certificate required": "the backend demands a client certificate",
    "unknown ca": "the backend does not trust our client certificate",
    "bad certificate": "the backend refuses our client certificate, or demands one",
    "alert certificate": "the backend refuses our client certificate",
    "protocol version": "the backend speaks no TLS of version 1.2 or newer",
    "unsupported protocol": "the backend speaks no TLS of version 1.2 or newer",
    "handshake failure": "the backend demands a client certificate, or no cipher is shared",
    "wrong version number": "the backend does not speak TLS",
    "http request": "the backend does not speak TLS",
    "packet length too long": "the backend does not speak TLS",
    "record layer failure": "the backend does not speak TLS",
}
_NAME = re.compile(r"[A-Za-z0-9.*_:-]{1,80}", re.ASCII)


class Distrusted(SSL.Error):
    """The backend is not the one it has to be; `text` says why."""

    def __init__(self, text: str) -> None:
        super().__init__([("SSL routines", "", text)])
        self.text = text


@implementer(IOpenSSLClientConnectionCreator)
class Verifier:
    """Makes the client's ends of TLS 1.2 or newer, and looks at who the other end is."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        options = ssl.CertificateOptions(
            trustRoot=_trust(tls.ca_file),
            raiseMinimumTo=ssl.TLSVersion.TLSv1_2,
            **_client_certificate(tls),
        )
        self._context = options.getContext()
        self._context.set_verify(SSL.VERIFY_PEER, self._judge)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        name = self._tls.server_name
        if not is_literal(name):  # RFC 6066: no address is a server's name
            connection.set_tlsext_host_name(name.encode("ascii"))
        return connection

    def _judge(
        self, _: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:
        """Say yes to one certificate of the chain. Raises `Distrusted`."""
        if depth:
            if not ok:
                raise Distrusted(f"an authority's certificate {_refused(error)}")
            return True
        try:
            self._judge_own(certificate.to_cryptography(), 0 if ok else error)
        except (ValueError, UnsupportedAlgorithm):
            raise Distrusted("certificate cannot be read") from None
        return True

    def _judge_own(self, certificate: Certificate, error: int) -> None:
        tls = self._tls
        alone = error == _SELF_SIGNED and tls.pins and tls.ca_file is None
        if error and not alone:
            raise Distrusted(f"certificate {_refused(error)}")
        if not _is_for(certificate, tls.server_name):
            raise Distrusted(f"certificate is for {_names(certificate)}, not {tls.server_name}")
        if tls.pins and pin(certificate) not in tls.pins:
            raise Distrusted("pin does not match")


def pin(certificate: Certificate) -> str:
    """Return the SHA-256 of a certificate's public key, as a pin is written."""
    public = certificate.public_key()
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def reason(fault: BaseException | None) -> str | None:
    """Return why TLS failed, None where the fault is not one of TLS."""
    if isinstance(fault, Distrusted):
        return fault.text
    if not isinstance(fault, SSL.Error):
        return None
    said = "; ".join(_said(fault))
    meanings = (meaning for words, meaning in _WORDS.items() if words in said)
    return next(meanings, said or "the handshake was given up")


def _said(fault: SSL.Error) -> Iterator[str]:
    """Yield OpenSSL's own words, the last ones last."""
    for queue in fault.args:
        if isinstance(queue, list):
            yield from (entry[-1] for entry in queue)


def _refused(error: int) -> str:
    known = _VERIFY_ERRORS.get(error)
    if known == "expired":
        return "has expired"
    return f"is {known}" if known else f"is refused, error {error} of openssl-verify"


def _is_for(certificate: Certificate, name: str) -> bool:
    verify = verify_certificate_ip_address if is_literal(name) else verify_certificate_hostname
    try:
        verify(certificate, name)
    except (VerificationError, CertificateError):
        return False
    return True


def _names(certificate: Certificate) -> str:
    """Return whom a certificate is for; a name that is none is not repeated."""
    names = [
        str(value)
        for extension in certificate.extensions
        if isinstance(extension.value, SubjectAlternativeName)
        for kind in (DNSName, IPAddress)
        for value in extension.value.get_values_for_type(kind)
    ]
    shown = [name for name in names if _NAME.fullmatch(name)]
    more = " and others" if len(names) > min(len(shown), NAMES_SHOWN) else ""
    return ", ".join(shown[:NAMES_SHOWN]) + more if shown else "no name"


def _trust(ca_file: str | None) -> Any:
    if ca_file is None:
        return ssl.platformTrust()
    found = pem.certificates(ca_file)
    return ssl.trustRootFromCertificates(
        [ssl.Certificate(crypto.X509.from_cryptography(each)) for each in found]
    )


def _client_certificate(tls: Tls) -> dict[str, Any]:
    """Return what the backend is shown of us, if anything."""
    if tls.certificate_file is None:
        return {}
    (own, *others), key = pem.pair(tls.certificate_file, tls.private_key_file)
    return {
        "privateKey": crypto.PKey.from_cryptography_key(key),  # type: ignore[arg-type]
        "certificate": crypto.X509.from_cryptography(own),
        "extraCertChain": [crypto.X509.from_cryptography(other) for other in others],
    }
