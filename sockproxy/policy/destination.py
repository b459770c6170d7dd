"""Which hosts and ports does a rule of an [access] section name?

`HOST:PORT`, where a host is a name, `*.name` for exactly one label, an address, or a
network such as `192.0.2.0/24` or `[2001:db8::/32]`, and a port is one, or a range such as
`8000-8099`. A name never stands for an address, nor an address for a name: what a name
resolves to is looked at when it is connected to.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from sockproxy.policy import networks
from sockproxy.policy.target import MAX_PORT, BadTarget, canonical_host, is_literal
from sockproxy.settings import Destination

# What a page could do harm with that speaks no protocol of its own choice: shells, mail,
# container engines, stores without a password.
CLOSED_PORTS = frozenset((22, 25, 465, 587, 2375, 2376, 6379, 9200, 10250, 11211))
WIDEST = {4: 8, 6: 16}

_PORTS = re.compile(r"(?P<first>[1-9][0-9]{0,4})(?:-(?P<last>[1-9][0-9]{0,4}))?", re.ASCII)


def parse(text: str, *, any_port: bool = False) -> Destination:
    """Return what a rule names; `any_port`: it may leave the port out.

    Raises `ValueError` with what to write instead.
    """
    host, colon, ports = text.rpartition(":")
    bare = not colon or ":" in ports or ports.endswith("]") or "]" in ports
    if bare and any_port:
        host, ports = text, f"1-{MAX_PORT}"
    match = _PORTS.fullmatch(ports)
    first, last = (int(match["first"]), int(match["last"] or match["first"])) if match else (1, 0)
    if not first <= last <= MAX_PORT:
        raise ValueError(f"{text!r}: write HOST:PORT or HOST:FIRST-LAST, ports of 1..{MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets, such as [2001:db8::1]:80")
    place = _place(host)
    name, network = (place, None) if isinstance(place, str) else (None, place)
    return Destination(text=text, host=name, network=network, first_port=first, last_port=last)


def _place(host: str) -> str | networks.Network:
    if "/" in host:
        try:
            return ip_network(host)
        except ValueError as error:
            raise ValueError(f"{host!r} is no network: {error}") from None
    if "*" in host.removeprefix("*."):
        raise ValueError(f"{host!r}: name each host, or *.example.org for exactly one label")
    try:
        name = canonical_host(host.removeprefix("*."))
    except BadTarget as error:
        raise ValueError(str(error)) from None
    if not is_literal(name):
        return f"*.{name}" if host.startswith("*.") else name
    if host.startswith("*."):
        raise ValueError(f"{host!r}: `*.` stands before a name; write a network such as 10.0.0.0/8")
    return ip_network(name)


def problem(rule: Destination, forced_ports: tuple[int, ...]) -> str | None:
    """Return why no page may be allowed this, and what to write; None where it may."""
    if rule.host is not None and "." not in rule.host.removeprefix("*.") and "*" in rule.host:
        return f"{rule.text!r} opens a whole top-level domain; name the hosts"
    network = rule.network
    if network is not None:
        if network.prefixlen < WIDEST[network.version]:
            return f"{rule.text!r} is wider than /{WIDEST[network.version]}; name smaller networks"
        reason = networks.denied(str(network.network_address), chosen_by_page=False)
        if network.num_addresses == 1 and reason:
            return f"{reason}, which no page may reach"
    port = rule.first_port
    if port == rule.last_port and port in CLOSED_PORTS and port not in forced_ports:
        return f"port {port} is closed to pages; if it is meant, add forced_ports = {port}"
    return None


def names(rule: Destination, host: str, port: int) -> bool:
    """Return whether a rule names a canonical host, a name or an address, and a port."""
    if is_literal(host):
        return covers(rule, host, port)
    if rule.host is None or not rule.first_port <= port <= rule.last_port:
        return False
    if not rule.host.startswith("*."):
        return host == rule.host
    label, _, rest = host.partition(".")
    return bool(label) and rest == rule.host[2:]


def covers(rule: Destination, address: str, port: int) -> bool:
    """Return whether a rule spells out the network of an address."""
    parsed = ip_address(address)
    network = rule.network
    if network is None or not rule.first_port <= port <= rule.last_port:
        return False
    return parsed.version == network.version and parsed in network
