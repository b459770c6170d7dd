"""Which certificates and which key does a file hold?

Asked when the settings are loaded, so that a wrong file is told before anybody connects, and
again at each connection, so that a renewed one counts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from sockproxy import rights


class BadPem(ValueError):
    """A file that can be read and is not what it has to be; says what is wrong."""


def certificates(file: str) -> Sequence[Certificate]:
    """Return the certificates of a file, at least one. Raises `BadPem`, `OSError`."""
    content = _bytes(file)
    try:
        return load_pem_x509_certificates(content)
    except ValueError:
        raise BadPem(f"{file!r} holds no certificate in PEM form") from None


def key(file: str) -> PrivateKeyTypes:
    """Return the private key of a file. Raises `BadPem`, `OSError`."""
    content = _bytes(file, secret=True)
    try:
        return load_pem_private_key(content, password=None)
    except TypeError:
        text = f"{file!r} holds a key with a passphrase, and nobody is there to type it"
        raise BadPem(text) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadPem(f"{file!r} holds no private key in PEM form") from None


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


def _bytes(file: str, *, secret: bool = False) -> bytes:
    """Return what a file holds, that others may not choose nor, if `secret`, know."""
    with open(file, "rb") as opened:
        may = rights.others(os.fstat(opened.fileno()).st_mode, secret=secret)
        if may:
            raise BadPem(f"others may {may} {file!r}; chmod o-{may[0]} it")
        return opened.read()
