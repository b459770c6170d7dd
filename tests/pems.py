"""How does a test get a certificate and its key?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

HOST = "gw.example"
_FROM, _UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Pem(NamedTuple):
    """A certificate, and the key that signs for it."""

    certificate: x509.Certificate
    key: Any

    @property
    def public(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def private(self) -> bytes:
        return bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def sealed(self, passphrase: bytes) -> bytes:
        """Return the key under a passphrase."""
        how = BestAvailableEncryption(passphrase)
        return bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))


def made(host: str = HOST, by: Pem | None = None, key: Any = None, *, is_ca: bool = False) -> Pem:
    """Make a certificate, signed by another or by itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.certificate.subject if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(by.key if by else key, hashes.SHA256())
    )
    return Pem(signed, key)


def written(path: Path, content: bytes, mode: int = 0o600) -> str:
    """Put a file in place at once, as certbot and editors do, and return its path."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(mode)
    new.rename(path)
    return str(path)
