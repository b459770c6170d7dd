"""How does a test get a certificate that is right, or wrong in one way?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID
from OpenSSL import SSL, crypto
from twisted.internet import ssl

GARBAGE = "garbage"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Authority:
    """A certificate authority for a test, and what it signed."""

    folder: Path
    days: int = 1

    def __post_init__(self) -> None:
        self._key = new_key()
        self._name = named(f"authority {self.folder.name}"[:64])
        certificate = self._certificate(self._name, self._key, None, self.days)
        self.file = str(self.folder / "ca.pem")
        Path(self.file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _certificate(
        self, name: x509.Name, key: Any, host: str | None, days: int, *, itself: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if itself else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=3))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), True)
        )
        if host:
            builder = builder.add_extension(names_of(host), False)
        return builder.sign(key if itself else self._key, hashes.SHA256())

    def signed(self, host: str, days: int = 1, *, itself: bool = False) -> bytes:
        """Return a certificate for `host` and its key, as PEM; `itself`: it has no other signer."""
        key = new_key()
        certificate = self._certificate(named(host), key, host, days, itself=itself)
        return certificate.public_bytes(serialization.Encoding.PEM) + written(key)

    def server(self, host: str) -> Any:
        """Return a server context with a certificate for `host`."""
        return context(self.signed(host))


def named(host: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64] or "nobody")])


def names_of(host: str) -> x509.ExtensionType:
    """Return the extension with a host's name; for GARBAGE, one that OpenSSL alone can read."""
    if host == GARBAGE:
        oid, not_ascii = ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("30 03 82 01 ff")
        return x509.UnrecognizedExtension(oid, not_ascii)
    try:
        return x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
    except ValueError:
        return x509.SubjectAlternativeName([x509.DNSName(host)])


def written(key: Any, passphrase: bytes | None = None) -> bytes:
    """Return a private key as PEM."""
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        lock = serialization.BestAvailableEncryption(passphrase)
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem: bytes = key.private_bytes(encoding, kind, lock)
    return pem


def context(pem: bytes) -> Any:
    """Return a server context of a certificate and its key."""
    return ssl.PrivateCertificate.loadPEM(pem).options()


def asking(pem: bytes, authority: str) -> Any:
    """Return a server context that demands a certificate which this authority has signed."""
    trusted = ssl.Certificate.loadPEM(Path(authority).read_bytes())
    own = ssl.PrivateCertificate.loadPEM(pem)
    return ssl.CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        trustRoot=ssl.trustRootFromCertificates([trusted]),
    )


class Old:
    """A server context of TLS 1.1 at most."""

    def __init__(self, pem: bytes) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_max_proto_version(SSL.TLS1_1_VERSION)
        self._context.set_cipher_list(b"ALL:@SECLEVEL=0")
        self._context.use_certificate(crypto.load_certificate(crypto.FILETYPE_PEM, pem))
        self._context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, pem))

    def getContext(self) -> SSL.Context:
        return self._context


def keep(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that others may read only if `mode` says so."""
    path.write_bytes(content)
    path.chmod(mode)
