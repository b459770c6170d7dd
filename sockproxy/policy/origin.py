"""Which pages may?

A page is known by the Origin that its browser serialises (RFC 6454 section 6.2), and a
rule is that very text: no case folding, no default port, no path, so nothing is left to
interpret. Two forms stand for more than one: `https://*.example` for exactly one label,
and `:*` for any port of the three loopback names, for development.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"(?:{_LABEL}\.)*{_LABEL}|\[[0-9a-f:.]+\]"
_PORT = r"[1-9][0-9]{0,4}"
_EXACT = re.compile(rf"https?://(?:{_HOST})(?::(?P<port>{_PORT}))?", re.ASCII)
_WILDCARD = re.compile(
    rf"(?P<scheme>https?)://\*\.(?P<host>{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>{_PORT}))?", re.ASCII
)
_ANY_PORT = re.compile(r"(?P<page>https?://(?:localhost|127\.0\.0\.1|\[::1\])):\*", re.ASCII)
_ONE_LABEL = re.compile(_LABEL, re.ASCII)
_DEFAULT_PORTS = {"http://": ":80", "https://": ":443"}
MAX_PORT = 65_535


def problem(rule: str) -> str | None:
    """Return what is wrong with a rule and what to write instead, None where it is right."""
    if rule == "*":
        return "would let every page in; list the origins, such as https://app.example"
    if _ANY_PORT.fullmatch(rule):
        return None
    match = _EXACT.fullmatch(rule) or _WILDCARD.fullmatch(rule)
    if match is None:
        return f"{rule!r} is no origin; write https://host or https://host:port, no path"
    if match["port"] and int(match["port"]) > MAX_PORT:
        return f"port {match['port']} above {MAX_PORT}"
    for scheme, port in _DEFAULT_PORTS.items():
        if rule.startswith(scheme) and rule.endswith(port):
            return f"browsers leave the default port out; write {rule.removesuffix(port)}"
    return None


def allowed(origin: str | None, rules: Sequence[str]) -> bool:
    """Return whether a page of this origin is named by one of the rules."""
    if origin is None:
        return False
    return any(_matches(origin, rule) for rule in rules)


def _matches(origin: str, rule: str) -> bool:
    if "*" not in rule:
        return origin == rule
    match = _ANY_PORT.fullmatch(rule)
    if match:
        page, _, port = origin.rpartition(":")
        return origin == match["page"] or (page == match["page"] and _is_port(port))
    match = _WILDCARD.fullmatch(rule)
    if match is None:
        return False
    port = f":{match['port']}" if match["port"] else ""
    head, tail = f"{match['scheme']}://", f".{match['host']}{port}"
    if not (origin.startswith(head) and origin.endswith(tail)):
        return False
    return _ONE_LABEL.fullmatch(origin[len(head) : len(origin) - len(tail)]) is not None


def _is_port(text: str) -> bool:
    return re.fullmatch(_PORT, text, re.ASCII) is not None and int(text) <= MAX_PORT
