"""Who is the client, where proxies stand between?

Each proxy appends the address that it was asked from, so the last entries are the nearest and
only what a trusted one has appended can be believed: the list is walked from its end, past
trusted addresses, to the first that is not. Everything before it may be the client's own
invention and is not even parsed. One header is read, the one that the operator's proxies
write; the other may come straight from the client.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from sockproxy.policy.networks import Network

ENTRIES_MAX = 32
UNIX = "unix"

_V4_PORT = re.compile(r"(?P<host>[0-9.]+)(?::[0-9]{1,5})?", re.ASCII)
_V6_PORT = re.compile(r"\[(?P<host>[0-9a-fA-F:.]+)\](?::[0-9]{1,5})?", re.ASCII)
# RFC 7239 section 4: pairs of one proxy by semicolons, proxies by commas, values maybe quoted.
_ELEMENT = re.compile(r'(?:[^",]|"[^"\\]*")*')
_FOR = re.compile(r'(?:^|;)\s*for=(?:"(?P<quoted>[^"\\]*)"|(?P<token>[^";,\s]*))\s*(?:;|$)', re.I)


class BadForwarded(ValueError):
    """A trusted proxy said something that is no address."""


def client(peer: str, trusted: Sequence[Network | str], entries: Sequence[str]) -> str:
    """Return the address of the client behind `peer`; a UNIX peer is `unix`.

    `entries` are those of the header, in order. Raises `BadForwarded`.
    """
    found = peer
    for entry in reversed(entries[-ENTRIES_MAX:]):
        if not is_trusted(found, trusted):
            return found
        found = _address(entry)
    if len(entries) > ENTRIES_MAX and is_trusted(found, trusted):
        raise BadForwarded(f"more than {ENTRIES_MAX} trusted proxies in a row")
    return found


def is_trusted(peer: str, trusted: Sequence[Network | str]) -> bool:
    """Return whether a peer is one of the proxies that are believed."""
    if peer == UNIX:
        return UNIX in trusted
    address = _plain(ip_address(peer))
    return any(
        not isinstance(network, str) and address.version == network.version and address in network
        for network in trusted
    )


def x_forwarded_for(lines: Sequence[str]) -> list[str]:
    """Return the entries of all lines of X-Forwarded-For."""
    return [entry.strip() for line in lines for entry in line.split(",")]


def forwarded(lines: Sequence[str]) -> list[str]:
    """Return what each element of all lines of Forwarded says behind `for=`, maybe nothing."""
    elements = [element for line in lines for element in _elements(line)]
    return [_said(element) for element in elements]


def _elements(line: str) -> list[str]:
    found, at = [], 0
    while at <= len(line):
        match = _ELEMENT.match(line, at)
        assert match is not None
        found.append(match[0].strip())
        at = match.end() + 1 if line[match.end() : match.end() + 1] in ("", ",") else len(line) + 1
    return found


def _said(element: str) -> str:
    match = _FOR.search(element)
    return "" if match is None else match["quoted"] or match["token"] or ""


def _address(entry: str) -> str:
    match = _V4_PORT.fullmatch(entry) or _V6_PORT.fullmatch(entry)
    try:
        address = ip_address(match["host"] if match else entry)
    except ValueError:
        raise BadForwarded(f"{entry[:80]!a} is no address of a client") from None
    return str(_plain(address))


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and address.scope_id:
        raise BadForwarded(f"{address} has a zone")
    return getattr(address, "ipv4_mapped", None) or address
