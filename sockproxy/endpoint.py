"""How is a backend written in the ini? As a Twisted client endpoint string.

`tcp:HOST:PORT`, `tls:HOST:PORT` with the options `ca=FILE`, `certificate=FILE`,
`privateKey=FILE`, `name=HOST` and, maybe more than once, `pin=SHA256`, and `unix:PATH`; a
backslash takes the meaning off the next character, as Twisted has it (`tcp:\\:\\:1:6667`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from sockproxy.policy.networks import denied
from sockproxy.policy.target import BadTarget, canonical_host, is_literal
from sockproxy.settings import HostPort, Target, TcpTarget, Tls, UnixTarget

MAX_PORT = 65_535
_DIGITS = re.compile(r"[0-9]{1,5}", re.ASCII)
_PIN = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_PIN_BY = "openssl x509 -in FILE -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum"
_TLS_OPTIONS = {
    "name": "server_name",
    "ca": "ca_file",
    "certificate": "certificate_file",
    "privateKey": "private_key_file",
    "pin": "pins",
}


class BadEndpoint(ValueError):
    """The text is no backend; says what to write instead."""


def parse_target(text: str) -> Target:
    """Return the backend that an endpoint string names. Raises `BadEndpoint`."""
    kind, *parts = _split(text)
    if kind == "unix" and len(parts) == 1 and parts[0].startswith("/"):
        return UnixTarget(path=parts[0])
    if kind not in ("tcp", "tls") or len(parts) < 2:
        raise BadEndpoint(f"{text!r}: write tcp:HOST:PORT, tls:HOST:PORT or unix:/PATH")
    host, port = _host(parts[0]), _port(parts[1])
    if kind == "tcp":
        if parts[2:]:
            raise BadEndpoint(f"{text!r}: tcp: takes a host and a port, nothing else")
        return TcpTarget(host=host, port=port)
    return TcpTarget(host=host, port=port, tls=_tls(host, parts[2:]))


def parse_host_port(text: str) -> HostPort:
    """Return one exact `HOST:PORT`, IPv6 in brackets. Raises `BadEndpoint`."""
    host, _, port = text.rpartition(":")
    if "*" in text:
        raise BadEndpoint(f"{text!r}: name each host and port, such as irc.example.org:6667")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadEndpoint(f"{text!r}: write an IPv6 address in brackets, such as [2001:db8::1]:80")
    return HostPort(host=_host(host), port=_port(port))


def _split(text: str) -> list[str]:
    parts, part, escaped = [], "", False
    for character in text:
        if escaped or character not in "\\:":
            part, escaped = part + character, False
        elif character == "\\":
            escaped = True
        else:
            parts.append(part)
            part = ""
    return [*parts, part]


def _host(text: str) -> str:
    try:
        host = canonical_host(text)
    except BadTarget as error:
        raise BadEndpoint(str(error)) from None
    reason = denied(str(ip_address(host)), chosen_by_page=False) if is_literal(host) else None
    if reason:
        raise BadEndpoint(f"{reason}, which no backend may be in")
    return host


def _port(text: str) -> int:
    if not _DIGITS.fullmatch(text) or not 0 < int(text) <= MAX_PORT:
        raise BadEndpoint(f"port {text[:20]!r} outside 1..{MAX_PORT}")
    return int(text)


def _tls(host: str, parts: Sequence[str]) -> Tls:
    options: dict[str, Any] = {"server_name": host}
    for key, value in map(_option, parts):
        if key == "pins":
            options[key] = (*options.get(key, ()), _pin(value))
        else:
            options[key] = _host(value) if key == "server_name" else value
    return Tls(**options)


def _pin(text: str) -> str:
    if not _PIN.fullmatch(text):
        raise BadEndpoint(f"pin {text[:80]!r} is not 64 hex digits, such as: {_PIN_BY}")
    return text.lower()


def _option(part: str) -> tuple[str, str]:
    key, sign, value = part.partition("=")
    if not sign or key not in _TLS_OPTIONS or not value:
        raise BadEndpoint(f"{part!r}: options of tls: are {', '.join(_TLS_OPTIONS)}")
    return _TLS_OPTIONS[key], value
