"""Does a rule of an [access] section name what it says, and nothing that nobody meant?"""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.destination import CLOSED_PORTS, covers, names, parse, problem
from sockproxy.policy.target import HostTarget
from sockproxy.policy.target import parse as target


@pytest.mark.parametrize(
    ("text", "host", "network", "ports"),
    [
        ("irc.example.org:6667", "irc.example.org", None, (6667, 6667)),
        ("IRC.Example.ORG.:1", "irc.example.org", None, (1, 1)),
        ("*.example.org:8000-8099", "*.example.org", None, (8000, 8099)),
        ("192.0.2.7:80", None, "192.0.2.7/32", (80, 80)),
        ("192.0.2.0/24:80", None, "192.0.2.0/24", (80, 80)),
        ("[2001:db8::1]:80", None, "2001:db8::1/128", (80, 80)),
        ("[2001:db8::/32]:1-65535", None, "2001:db8::/32", (1, 65_535)),
    ],
)
def test_a_rule_is_hosts_and_ports(
    text: str, host: str | None, network: str | None, ports: tuple[int, int]
) -> None:
    rule = parse(text)

    assert rule.text == text
    assert rule.host == host
    assert rule.network == (ip_network(network) if network else None)
    assert (rule.first_port, rule.last_port) == ports


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("irc.example.org", "write HOST:PORT or HOST:FIRST-LAST"),
        ("irc.example.org:0", "write HOST:PORT"),
        ("irc.example.org:65536", "write HOST:PORT"),
        ("irc.example.org:06667", "write HOST:PORT"),
        ("irc.example.org:*", "write HOST:PORT"),
        ("irc.example.org:90-80", "write HOST:PORT"),
        ("2001:db8::1:80", "write an IPv6 address in brackets"),
        ("192.0.2.1/24:80", "is no network: 192.0.2.1/24 has host bits set"),
        ("192.0.2.0/33:80", "is no network"),
        ("*.192.0.2.1:80", "stands before a name; write a network"),
        ("*:80", "name each host"),
        ("a.*.example:80", "name each host"),
        ("0x7f.1:80", "no address in its canonical spelling|neither a host name nor"),
        ("[::1:80", "write an IPv6 address in brackets"),
    ],
)
def test_what_is_no_rule_says_what_to_write(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(text)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "secret.example.org", "[2001:db8::/32]", "[::1]"])
def test_a_rule_that_denies_may_leave_the_port_out(text: str) -> None:
    rule = parse(text, any_port=True)

    assert (rule.first_port, rule.last_port) == (1, 65_535)
    with pytest.raises(ValueError, match="write HOST:PORT"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("*.com:443", "opens a whole top-level domain"),
        ("0.0.0.0/0:443", "is wider than /8"),
        ("0.0.0.0/7:443", "is wider than /8"),
        ("[2000::/3]:443", "is wider than /16"),
        ("169.254.169.254:80", "169.254.169.254 is in 169.254.0.0/16, which no page may reach"),
        ("[fe80::1]:80", "which no page may reach"),
        ("irc.example.org:22", "port 22 is closed to pages; if it is meant, add forced_ports = 22"),
    ],
)
def test_what_nobody_can_mean_is_not_allowed(text: str, told: str) -> None:
    assert told in (problem(parse(text), ()) or "")


@pytest.mark.parametrize("port", sorted(CLOSED_PORTS))
def test_a_closed_port_may_be_forced(port: int) -> None:
    rule = parse(f"irc.example.org:{port}")

    assert problem(rule, ()) is not None
    assert problem(rule, (port,)) is None


@pytest.mark.parametrize(
    "text",
    [
        "irc.example.org:6667",
        "localhost:80",
        "*.example.org:1-65535",
        "10.0.0.0/8:5432",
        "10.0.0.1:1",
    ],
)
def test_what_an_operator_names_is_allowed(text: str) -> None:
    assert problem(parse(text), ()) is None


@pytest.mark.parametrize(
    ("text", "host", "port", "named"),
    [
        ("a.example:80", "a.example", 80, True),
        ("a.example:80", "a.example", 81, False),
        ("a.example:80", "b.a.example", 80, False),
        ("*.example:80-90", "a.example", 90, True),
        ("*.example:80-90", "a.example", 91, False),
        ("*.example:80", "a.b.example", 80, False),
        ("*.example:80", "example", 80, False),
        ("*.example:80", "10.0.0.1", 80, False),
        ("10.0.0.0/8:80", "10.255.0.1", 80, True),
        ("10.0.0.0/8:80", "11.0.0.1", 80, False),
        ("10.0.0.0/8:80", "10.0.0.1", 81, False),
        ("10.0.0.0/8:80", "::ffff:10.0.0.1", 80, False),
        ("10.0.0.0/8:80", "ten.example", 80, False),
        ("[2001:db8::/32]:80", "2001:db8::1", 80, True),
    ],
)
def test_a_rule_names_names_by_name_and_addresses_by_network(
    text: str, host: str, port: int, named: bool
) -> None:
    assert names(parse(text), host, port) is named


def test_a_name_covers_no_address() -> None:
    assert not covers(parse("a.example:80"), "192.0.2.1", 80)


@given(st.text(max_size=40), st.integers(0, 65_536))
def test_a_rule_that_loads_names_its_own_canonical_target(host: str, port: int) -> None:
    text = f"{host}:{port}"
    try:
        rule = parse(text)
    except ValueError:
        return
    if rule.host is not None and "*" not in rule.host:
        assert names(rule, rule.host, port)
        assert target(host, port) == HostTarget(rule.host, port)


@given(st.text("ab.*:/[]0123456789-", max_size=20), st.booleans())
def test_every_text_is_a_rule_or_told(text: str, any_port: bool) -> None:
    try:
        rule = parse(text, any_port=any_port)
    except ValueError:
        return
    assert 1 <= rule.first_port <= rule.last_port <= 65_535
