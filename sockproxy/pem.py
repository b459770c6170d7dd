"""Which certificates and which key does a file hold?

Asked when the settings are loaded, so that a wrong file is told before anybody connects, and
again when it is used or has changed, so that a renewed one counts.
"""

from __future__ import annotations

import os
import shlex
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
    content, may = _read(file)
    try:
        found = load_pem_x509_certificates(content)
        found[0].public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise BadPem(f"{file!r} holds no certificate in PEM") from None
    _refuse(file, may)
    return found


def key(file: str) -> PrivateKeyTypes:
    """Return the private key of a file. Raises `BadPem`, `OSError`."""
    content, may = _read(file, secret=True)
    try:
        found = load_pem_private_key(content, password=None)
    except TypeError:
        text = f"the private key in {file!r} has a passphrase; `openssl pkey` takes it off"
        raise BadPem(text) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadPem(f"{file!r} holds no private key in PEM") from None
    _refuse(file, may)
    return found


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


def _read(file: str, *, secret: bool = False) -> tuple[bytes, rights.May | None]:
    """Return what a file holds, and what others may do to it that they must not."""
    with open(file, "rb") as opened:
        may = rights.others(os.fstat(opened.fileno()).st_mode, secret=secret)
        return opened.read(), may


def _refuse(file: str, may: rights.May | None) -> None:
    if may:
        raise BadPem(f"others may {may} {file!r}: chmod o-{may[0]} {shlex.quote(file)}")
