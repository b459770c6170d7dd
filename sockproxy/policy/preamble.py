"""What does a backend hear about the client, before the client's first byte?

The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt), and WEBIRC of IRCv3. All
are built from addresses and numbers, and from two words that were checked when the file was
loaded: a peer has no text in them, so there is none to break out of a line with.

What is not known is never made up. A client without an address is UNKNOWN in the PROXY
protocol, and has no WEBIRC at all; a port that is not known is 0, and a server's address that
is not known the unspecified one of the client's family. An IPv4 address inside an IPv6 one is
taken out; where the two ends differ in family, the IPv4 one goes into IPv6 again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack
from typing import Literal

Address = IPv4Address | IPv6Address

MAX_PORT = 65_535
V1_MAX_BYTES = 107
V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_MAPPED = 0xFFFF << 32

# One parameter of a line of IRC, short enough to leave room for the others.
_WORD = re.compile(r"[!-9;-~][!-~]{0,199}", re.ASCII)
_GATEWAY = re.compile(r"[A-Za-z0-9.-][A-Za-z0-9.:-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Preamble:
    """What goes out first: `clear` before TLS, `inside` as the first bytes in it."""

    clear: bytes = b""
    # Holds a password.
    inside: bytes = field(default=b"", repr=False)


def is_word(text: str) -> bool:
    """Return whether a password can stand in a line of IRC."""
    return _WORD.fullmatch(text) is not None


def is_gateway(text: str) -> bool:
    """Return whether a gateway's name can stand in a line of IRC."""
    return _GATEWAY.fullmatch(text) is not None


def address(text: str) -> Address | None:
    """Return the address that a transport names, None where it names none."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def proxy(
    version: Literal["v1", "v2"],
    client: Address | None,
    client_port: int,
    server: Address | None,
    server_port: int,
) -> bytes:
    """Return a PROXY header: who the client is, and where it came in."""
    ends = _ends(client, server)
    ports = _port(client_port), _port(server_port)
    return _v1(ends, ports) if version == "v1" else _v2(ends, ports)


def webirc(password: str, gateway: str, client: Address, *, secure: bool) -> bytes:
    """Return the line that tells an IRC server for whom a gateway connects.

    `secure`: the client is known to have come by TLS. The address stands in for the host name,
    which nobody has checked; one that begins with a colon would be the line's rest.
    """
    shown = str(_plain(client))
    host = f"0{shown}" if shown.startswith(":") else shown
    words = ["WEBIRC", password, gateway, host, host, *([":secure"] if secure else [])]
    return f"{' '.join(words)}\r\n".encode("ascii")


def _v1(ends: tuple[Address, Address] | None, ports: tuple[int, int]) -> bytes:
    if ends is None:
        return b"PROXY UNKNOWN\r\n"
    words = ("PROXY", f"TCP{ends[0].version}", *map(str, ends), *map(str, ports))
    return f"{' '.join(words)}\r\n".encode("ascii")


def _v2(ends: tuple[Address, Address] | None, ports: tuple[int, int]) -> bytes:
    if ends is None:
        return V2_SIGNATURE + pack("!BBH", _LOCAL, _UNSPECIFIED, 0)
    body = ends[0].packed + ends[1].packed + pack("!HH", *ports)
    family = _TCP4 if ends[0].version == 4 else _TCP6
    return V2_SIGNATURE + pack("!BBH", _PROXY, family, len(body)) + body


def _ends(client: Address | None, server: Address | None) -> tuple[Address, Address] | None:
    """Return both ends in one family, None where the client is not known."""
    if client is None:
        return None
    near = _plain(client)
    far = type(near)(0) if server is None else _plain(server)
    return (near, far) if near.version == far.version else (_v6(near), _v6(far))


def _plain(found: Address) -> Address:
    """Take out an IPv4 address, or the zone, which says something on this machine only."""
    if isinstance(found, IPv4Address):
        return found
    return found.ipv4_mapped or IPv6Address(int(found))


def _v6(found: Address) -> IPv6Address:
    return IPv6Address(_MAPPED | int(found)) if isinstance(found, IPv4Address) else found


def _port(port: int) -> int:
    return port if 0 <= port <= MAX_PORT else 0
