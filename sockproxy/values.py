"""How does a file write the value of an option, and what does it mean?"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from OpenSSL import SSL, crypto
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor

from sockproxy.endpoint import MAX_PORT, parse_target
from sockproxy.policy import destination, host, networks, origin
from sockproxy.settings import Bytes, Seconds

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
_WORDS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


def convert(model: type[BaseModel], key: str, text: str) -> Any:
    """Return what an option's text means. Raises `ValueError` with what to write instead."""
    field = model.model_fields[key]
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
    try:
        endpoint = serverFromString(MemoryReactor(), text)
    except OSError as error:
        raise ValueError(f"{text!r}: {error.filename}: {error.strerror}") from None
    except (SSL.Error, crypto.Error):
        raise ValueError(f"{text!r}: its key or certificate is no PEM file") from None
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{text!r} is no Twisted server endpoint: {error}") from None
    if not 0 <= getattr(endpoint, "_port", 0) <= MAX_PORT:
        raise ValueError(f"{text!r}: port outside 0..{MAX_PORT}")
    return text


def written(field: FieldInfo, value: Any) -> str:
    """Return how a file writes the value of an option."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "\n    ".join(map(str, value))
    if any(isinstance(mark, Seconds) for mark in field.metadata):
        return f"{value:g}s"
    if any(isinstance(mark, Bytes) for mark in field.metadata):
        unit, size = ("MiB", 1024**2) if value % 1024**2 == 0 else ("KiB", 1024)
        return f"{value // size}{unit}"
    return f"{value:g}" if isinstance(value, float) else str(value)


_SPECIAL: dict[str, Callable[[str], Any]] = {
    "include": lambda text: _each(text, str),
    "origins": lambda text: _each(text, _origin),
    "trusted_proxies": lambda text: _each(text, _proxy),
    "hosts": lambda text: _each(text, _host),
    "allow": lambda text: _each(text, destination.parse),
    "deny": lambda text: _each(text, lambda rule: destination.parse(rule, any_port=True)),
    "forced_ports": lambda text: _each(text.replace(" ", "\n"), _port),
    "target": parse_target,
    "endpoint": _endpoint,
}


def _quantity(text: str, units: dict[str, float] | dict[str, int], what: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r}: write {what}")
    return float(match[1]) * units[match[2]]
