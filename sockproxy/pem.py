"""Which certificates and which key does a file hold?

Asked when the settings are loaded, so that a wrong file is told before anybody connects, and
again when it is used or has changed, so that a renewed one counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates


class BadPem(ValueError):
    """A file that can be read and is not what it has to be; says what is wrong."""


def certificates(file: str) -> Sequence[Certificate]:
    """Return the certificates of a file, at least one. Raises `BadPem`, `OSError`."""
    try:
        found = load_pem_x509_certificates(_bytes(file))
        found[0].public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise BadPem(f"{file!r} holds no certificate in PEM") from None
    return found


def key(file: str) -> PrivateKeyTypes:
    """Return the private key of a file. Raises `BadPem`, `OSError`."""
    try:
        return load_pem_private_key(_bytes(file), password=None)
    except TypeError:
        text = f"the private key in {file!r} has a passphrase; `openssl pkey` takes it off"
        raise BadPem(text) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadPem(f"{file!r} holds no private key in PEM") from None


def pair(
    certificate_file: str, key_file: str | None
) -> tuple[Sequence[Certificate], PrivateKeyTypes]:
    """Return a certificate with those that signed it, and its key, maybe of the same file.

    Raises `BadPem`, `OSError`.
    """
    chain, own = certificates(certificate_file), key(key_file or certificate_file)
    if own.public_key() != chain[0].public_key():
        raise BadPem(f"{key_file or certificate_file!r} holds the key of another certificate")
    return chain, own


def _bytes(file: str) -> bytes:
    with open(file, "rb") as opened:
        return opened.read()
