"""Whom does a PROXY header name?

HAProxy's PROXY protocol, versions 1 and 2 (proxy-protocol.txt, 2.1 and 2.2): what a proxy says
before the first byte of the client. A header is taken in one spelling only, or refused at the
first byte that cannot belong to one; nothing is decided before it is whole, and its bounds are
known from its first 16 bytes, so that few are ever kept.

Twisted's own parser (`twisted.protocols.haproxy`) takes any text for an address, keeps up to
64 KiB, and drops a header that comes in pieces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

V1_MAX_BYTES = 107
V2_MAX_BYTES = 2048

Address = IPv4Address | IPv6Address

_V1 = b"PROXY "
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED_BYTES = 16
_LOCAL, _PROXY = 0x20, 0x21
_PORT = rb"(0|[1-9][0-9]{0,4})"
_TCP = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) %b %b\r\n" % (_PORT, _PORT))
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*)?\r\n")
_PORT_MAX = 65_535

# The byte of family and protocol, and what the addresses of that kind take. Only TCP's are read.
_TCP4, _TCP6 = 0x11, 0x21
_ADDRESS_BYTES = {0x00: 0, _TCP4: 12, 0x12: 12, _TCP6: 36, 0x22: 36, 0x31: 216, 0x32: 216}


class BadProxyHeader(ValueError):
    """These bytes do not begin with a PROXY header."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a proxy said about a connection, and in how many bytes.

    `address` is None for a client without one, such as that of a UNIX socket. `is_local` says
    that there is no client: the proxy itself asks, to see whether we are well.
    """

    size_bytes: int
    address: Address | None = None
    port: int = 0
    is_local: bool = False


def parse(data: bytes) -> ProxyHeader | None:
    """Return the header that `data` begins with, None while more is to come.

    Raises `BadProxyHeader`.
    """
    if _begins(data, _V1):
        return _version_1(data[:V1_MAX_BYTES])
    if _begins(data, _V2):
        return _version_2(data)
    raise BadProxyHeader(f"{data[: len(_V2)]!r} begins no PROXY header")


def _begins(data: bytes, mark: bytes) -> bool:
    """Return whether `data` begins with a mark, as far as it goes."""
    return mark.startswith(data[: len(mark)])


def _version_1(data: bytes) -> ProxyHeader | None:
    line, end, _ = data.partition(b"\r\n")
    if not end:
        if len(data) < V1_MAX_BYTES:
            return None
        raise BadProxyHeader(f"a PROXY line is above {V1_MAX_BYTES} bytes")
    raw = line + end
    if _UNKNOWN.fullmatch(raw):
        return ProxyHeader(len(raw))
    found = _TCP.fullmatch(raw)
    if found is None:
        raise BadProxyHeader(f"{line!r} is no PROXY line")
    family = IPv4Address if found[1] == b"4" else IPv6Address
    try:
        source, _ = family(found[2].decode()), family(found[3].decode())
    except ValueError as error:
        raise BadProxyHeader(f"{line!r}: {error}") from None
    ports = int(found[4]), int(found[5])
    if max(ports) > _PORT_MAX:
        raise BadProxyHeader(f"{line!r}: port {max(ports)} is above {_PORT_MAX}")
    return ProxyHeader(len(raw), _plain(source), ports[0])


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_FIXED_BYTES:
        return None
    command, kind = data[12], data[13]
    size = _V2_FIXED_BYTES + int.from_bytes(data[14:_V2_FIXED_BYTES], "big")
    _check(command, kind, size)
    if len(data) < size:
        return None
    if command == _LOCAL:
        return ProxyHeader(size, is_local=True)
    # What follows the addresses are TLVs, and nothing that is needed here.
    if kind == _TCP4:
        return ProxyHeader(size, IPv4Address(data[16:20]), int.from_bytes(data[24:26], "big"))
    if kind == _TCP6:
        source = _plain(IPv6Address(data[16:32]))
        return ProxyHeader(size, source, int.from_bytes(data[48:50], "big"))
    return ProxyHeader(size)


def _check(command: int, kind: int, size: int) -> None:
    """Raises `BadProxyHeader` for what the first 16 bytes of version 2 may not announce."""
    if command not in (_LOCAL, _PROXY):
        raise BadProxyHeader(f"version and command {command:#04x} are neither 0x20 nor 0x21")
    if size > V2_MAX_BYTES:
        raise BadProxyHeader(f"a PROXY header of {size} bytes is above {V2_MAX_BYTES}")
    if command == _LOCAL:
        return
    if kind not in _ADDRESS_BYTES:
        raise BadProxyHeader(f"family and protocol {kind:#04x} are unknown")
    if size < _V2_FIXED_BYTES + _ADDRESS_BYTES[kind]:
        raise BadProxyHeader(f"a PROXY header of {size} bytes holds no addresses of {kind:#04x}")


def _plain(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 one, where that is what it is for."""
    return getattr(address, "ipv4_mapped", None) or address
