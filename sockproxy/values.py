"""How does a file write the value of an option, and what does it mean?"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Literal
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor

from sockproxy import rights, secret
from sockproxy.endpoint import MAX_PORT, parse_target
from sockproxy.policy import destination, host, networks, origin, preamble, revoked
from sockproxy.settings import Bytes, Seconds, TicketKey

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNITS_BYTES = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]+)?)\s*([A-Za-z]+)", re.ASCII)
_ALGORITHMS: dict[str, Literal["HS256", "EdDSA"]] = {"HS256": "HS256", "EdDSA": "EdDSA"}
# RFC 7518 section 3.2: as long as the hash.
HS256_MIN_BYTES = 32

_KID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_NAME = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_URL = re.compile(r"https?://[\x21\x22\x24-\x7e]+", re.ASCII)
# What Twisted's own wrappers take from anybody, or agree to, is theirs to choose.
_INSTEAD = {
    "ssl": "tcp:PORT, and certificate = FILE, private_key = FILE",
    "haproxy": "what stands behind haproxy:, and proxy_protocol = yes",
}
_WORDS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


def convert(model: type[BaseModel], key: str, text: str) -> Any:
    """Return what an option's text means. Raises `ValueError` with what to write instead."""
    field = model.model_fields[key]
    if not text and field.default is None:
        return None
    if any(isinstance(mark, Seconds) for mark in field.metadata):
        return _quantity(text, _UNITS_S, "a duration such as 30s, 5m or 250ms")
    if any(isinstance(mark, Bytes) for mark in field.metadata):
        return round(_quantity(text, _UNITS_BYTES, "a size such as 64KiB, 4MiB or 100kB"))
    special = _SPECIAL.get(key)
    if special is not None:
        return special(text)
    if field.annotation is bool:
        if text.lower() not in _WORDS:
            raise ValueError(f"{text!r} is neither yes nor no")
        return _WORDS[text.lower()]
    return text


def _each(text: str, parse: Callable[[str], Any]) -> Any:
    """Parse a list, one item a line, and complain of all that are wrong at once."""
    values, complaints = [], []
    for item in filter(None, map(str.strip, text.split("\n"))):
        try:
            values.append(parse(item))
        except ValueError as error:
            complaints.append(str(error))
    if complaints:
        raise ValueError("; ".join(complaints))
    return tuple(values)


def _origin(rule: str) -> str:
    complaint = origin.problem(rule)
    if complaint:
        raise ValueError(complaint)
    return rule


def _host(rule: str) -> str:
    complaint = host.problem(rule)
    if complaint:
        raise ValueError(complaint)
    return rule


def _proxy(text: str) -> networks.Network | str:
    if text == "unix":
        return text
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither a network nor unix: {error}") from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:6]) <= MAX_PORT:
        raise ValueError(f"port {text[:20]!r} outside 1..{MAX_PORT}")
    return int(text)


def _endpoint(text: str) -> str:
    kind = text.partition(":")[0]
    if kind in _INSTEAD:
        raise ValueError(f"{text!r}: write {_INSTEAD[kind]}")
    try:
        endpoint = serverFromString(MemoryReactor(), text)
    except RuntimeError:  # Twisted's way to say that a backslash stands last
        raise ValueError(f"{text!r}: write \\\\ for a backslash") from None
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{text!r} is no Twisted server endpoint: {error}") from None
    if not 0 <= getattr(endpoint, "_port", 0) <= MAX_PORT:
        raise ValueError(f"{text!r}: port outside 0..{MAX_PORT}")
    return text


def _ticket_key(text: str) -> TicketKey:
    kid, name, source = [*text.split(None, 2), "", "", ""][:3]
    algorithm = _ALGORITHMS.get(name)
    if not _KID.fullmatch(kid) or algorithm is None or not source:
        # What stands there may be a secret that stands in the wrong place.
        raise ValueError("write KID HS256 SECRET or KID EdDSA SECRET")
    try:
        material = secret.read(source, public=algorithm == "EdDSA")
        _check_key(algorithm, material.get_secret_value())
    except ValueError as error:
        raise ValueError(f"key {kid}: {error}") from None
    return TicketKey(kid=kid, algorithm=algorithm, material=material)


def _check_key(algorithm: str, content: bytes) -> None:
    if algorithm == "HS256":
        if content.lstrip().startswith(b"-----BEGIN"):
            raise ValueError("a key in PEM is none for HS256, whoever reads it could sign")
        if len(content) < HS256_MIN_BYTES:
            raise ValueError(f"{len(content)} bytes are below {HS256_MIN_BYTES}")
        return
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is no public Ed25519 key in PEM")


def _printable(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no name of printable characters without spaces")
    return text


def _cookie(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no name of a cookie")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.username is not None:
        raise ValueError("a URL holds no password; write http://HOST[:PORT]/PATH")
    if not _URL.fullmatch(text) or not parts.hostname:
        raise ValueError(f"{text!r}: write http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH")
    return text


def _revoked(text: str) -> str:
    """Return the name of a list that can be read: one that cannot would revoke nothing."""
    try:
        with open(text, encoding="utf-8") as file:
            may = rights.others(os.fstat(file.fileno()).st_mode)
            revoked.parse(file.read())
    except OSError as error:
        raise ValueError(f"{text!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if may:
        raise ValueError(f"others may {may} {text!r}; chmod o-{may[0]} it")
    return text


def _webirc_password(text: str) -> SecretStr | None:
    if not text:
        return None
    word = secret.read(text).get_secret_value().decode("latin-1")
    if not preamble.is_word(word):
        raise ValueError(
            "the password is no word of IRC: 1 to 200 visible ASCII characters, not `:` first"
        )
    return SecretStr(word)


def _webirc_gateway(text: str) -> str:
    if text and not preamble.is_gateway(text):
        raise ValueError(f"{text[:80]!r} is no name of a gateway: 1 to 63 of A-Z a-z 0-9 . : -")
    return text


def written(field: FieldInfo, value: Any) -> str:
    """Return how a file writes the value of an option."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "\n    ".join(map(str, value))
    if any(isinstance(mark, Seconds) for mark in field.metadata):
        return f"{value:g}s"
    if any(isinstance(mark, Bytes) for mark in field.metadata):
        if not value:
            return "0B"
        unit, size = ("MiB", 1024**2) if value % 1024**2 == 0 else ("KiB", 1024)
        return f"{value // size}{unit}"
    return f"{value:g}" if isinstance(value, float) else str(value)


_SPECIAL: dict[str, Callable[[str], Any]] = {
    "include": lambda text: _each(text, str),
    "origins": lambda text: _each(text, _origin),
    "principals": lambda text: _each(text, _printable),
    "keys": lambda text: _each(text, _ticket_key),
    "revoked": _revoked,
    "cookies": lambda text: _each(text, _cookie),
    "url": _url,
    "trusted_proxies": lambda text: _each(text, _proxy),
    "hosts": lambda text: _each(text, _host),
    "allow": lambda text: _each(text, destination.parse),
    "deny": lambda text: _each(text, lambda rule: destination.parse(rule, any_port=True)),
    "forced_ports": lambda text: _each(text.replace(" ", "\n"), _port),
    # A pin is long: a target may go on in the next line.
    "target": lambda text: parse_target("".join(map(str.strip, text.split("\n")))),
    "webirc_password": _webirc_password,
    "webirc_gateway": _webirc_gateway,
    "endpoint": _endpoint,
}


def _quantity(text: str, units: dict[str, float] | dict[str, int], what: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r}: write {what}")
    return float(match[1]) * units[match[2]]
