"""What does a page ask for?

A target is the name of a backend, or a host and a port in their one canonical spelling.
Everything else is refused before a resolver sees it: 39 of 108 odd spellings reach
loopback through getaddrinfo.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

MAX_HOST_CHARACTERS = 253
MAX_PORT = 65_535

_NAME = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class BadTarget(ValueError):
    """What the page asked for is no target at all."""


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """A backend by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class HostTarget:
    """A host, lower-cased and without a trailing dot, or a canonical literal; a port."""

    host: str
    port: int


def parse(host: str, port: int) -> NamedTarget | HostTarget:
    """Return what `host` and `port` mean; port 0 makes the host a backend's name.

    Raises `BadTarget`.
    """
    if port == 0:
        if not _NAME.fullmatch(host):
            raise BadTarget(f"{_shown(host)} is no backend name: 1 to 32 of a-z 0-9 _ -")
        return NamedTarget(host)
    if not 0 < port <= MAX_PORT:
        raise BadTarget(f"port {port} outside 1..{MAX_PORT}")
    return HostTarget(canonical_host(host), port)


def canonical_host(host: str) -> str:
    """Return the one spelling of a host. Raises `BadTarget` for what has none."""
    if is_literal(host):
        return _literal(host)
    lowered = host.lower().removesuffix(".") if host.isascii() else ""
    labels = lowered.split(".")
    if len(lowered) > MAX_HOST_CHARACTERS:
        raise BadTarget(f"host of {len(lowered)} characters above {MAX_HOST_CHARACTERS}")
    if not all(_LABEL.fullmatch(label) for label in labels) or _NUMERIC.fullmatch(labels[-1]):
        raise BadTarget(f"{_shown(host)} is neither a host name nor an address")
    return lowered


def is_literal(host: str) -> bool:
    """Return whether a canonical host is an address, not a name."""
    return ":" in host or host.replace(".", "").isdigit()


def _literal(host: str) -> str:
    try:
        spelling = str(ip_address(host))
    except ValueError:
        spelling = ""
    if spelling != host or "%" in host:
        raise BadTarget(f"{_shown(host)} is no address in its canonical spelling")
    return spelling


def _shown(host: str) -> str:
    return ascii(host[:80])
