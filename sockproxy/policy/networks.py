"""Which addresses are never to be reached?

The list is pinned (IANA special-purpose registries, RFC 6890 and successors), since the
standard library's `is_private` changed its mind between patch releases. An IPv4 address
inside an IPv6 one is taken out first.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Network = IPv4Network | IPv6Network

SPECIAL = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12
    192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15
    198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
    ::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64
    2001::/23 2001:db8::/32 2002::/16 fc00::/7 fe80::/10 ff00::/8
    168.63.129.16/32
"""
NEVER = """
    169.254.0.0/16 fe80::/10 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32
    fd00:ec2::254/128
    224.0.0.0/4 255.255.255.255/32 ff00::/8
"""

_SPECIAL = tuple(ip_network(text) for text in SPECIAL.split())
_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER = tuple(ip_network(text) for text in NEVER.split())


def denied(address: str, *, chosen_by_page: bool) -> str | None:
    """Return why an address literal is out of bounds, None where it is not.

    What the operator wrote reaches all but link-local, multicast and metadata addresses;
    what a page chose reaches no special network at all.
    """
    for network in _SPECIAL if chosen_by_page else _NEVER:
        if within(address, network):
            return f"{address} is in {network}"
    return None


def within(address: str, network: Network | None) -> bool:
    """Return whether an address literal, or the IPv4 address inside it, is in a network."""
    parsed = ip_address(address)
    return network is not None and any(
        candidate.version == network.version and candidate in network
        for candidate in (parsed, _unwrap(parsed))
    )


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & int(_NAT64.hostmask))
    return address
