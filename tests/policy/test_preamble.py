"""Is one client told of in exactly one line, or header, that its readers read alike?"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address as Tcp4
from twisted.internet.address import IPv6Address as Tcp6
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser

from sockproxy.policy.preamble import (
    V1_MAX_BYTES,
    Address,
    Preamble,
    address,
    is_gateway,
    is_word,
    proxy,
    webirc,
)

V4 = ip_address("192.0.2.7")
V6 = ip_address("2001:db8::7")
NEAR = ip_address("198.51.100.1")

ADDRESSES = st.one_of(
    st.ip_addresses(),
    st.integers(0, 2**32 - 1).map(lambda number: IPv6Address(0xFFFF << 32 | number)),
    st.just(ip_address("fe80::1%eth0")),
    st.just(ip_address("::1")),
)
PORTS = st.integers(-1, 70_000)
WORDS = st.from_regex(r"[!-9;-~][!-~]{0,199}", fullmatch=True)
GATEWAYS = st.from_regex(r"[A-Za-z0-9.-][A-Za-z0-9.:-]{0,62}", fullmatch=True)


def plain(found: Address) -> Address:
    if isinstance(found, IPv6Address):
        return found.ipv4_mapped or IPv6Address(int(found))
    return found


def same(shown: str, meant: Address) -> bool:
    """Return whether an address that was read is one that was meant."""
    return plain(ip_address(shown)) == plain(meant)


@pytest.mark.parametrize(
    ("client", "server", "line"),
    [
        (V4, NEAR, b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n"),
        (V6, ip_address("::1"), b"PROXY TCP6 2001:db8::7 ::1 50000 443\r\n"),
        (ip_address("::ffff:192.0.2.7"), NEAR, b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n"),
        (ip_address("fe80::1%eth0"), V6, b"PROXY TCP6 fe80::1 2001:db8::7 50000 443\r\n"),
        (V4, None, b"PROXY TCP4 192.0.2.7 0.0.0.0 50000 443\r\n"),
        (V6, None, b"PROXY TCP6 2001:db8::7 :: 50000 443\r\n"),
        (None, NEAR, b"PROXY UNKNOWN\r\n"),
        (None, None, b"PROXY UNKNOWN\r\n"),
    ],
)
def test_a_line_says_both_ends_or_that_nobody_knows(
    client: Address | None, server: Address | None, line: bytes
) -> None:
    assert proxy("v1", client, 50_000, server, 443) == line


@pytest.mark.parametrize(("client", "server"), [(V4, V6), (V6, V4)])
def test_ends_of_two_families_are_told_in_the_wider_one(client: Address, server: Address) -> None:
    kind, source, destination = proxy("v1", client, 1, server, 2).decode().split(" ")[1:4]

    assert kind == "TCP6"
    assert ":" in source
    assert ":" in destination
    assert same(source, client)
    assert same(destination, server)


def test_a_header_of_version_2_says_the_same() -> None:
    assert proxy("v2", V4, 50_000, NEAR, 443) == (
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\xc3\x50\x01\xbb"
    )
    assert proxy("v2", None, 50_000, NEAR, 443) == b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
    assert proxy("v2", V6, 1, NEAR, 2)[12:16] == b"\x21\x21\x00\x24"


@pytest.mark.parametrize("port", [-1, 65_536])
def test_what_is_no_port_is_not_known(port: int) -> None:
    assert proxy("v1", V4, port, NEAR, port) == b"PROXY TCP4 192.0.2.7 198.51.100.1 0 0\r\n"


@given(st.none() | ADDRESSES, PORTS, st.none() | ADDRESSES, PORTS)
def test_every_client_is_one_line_that_is_short_enough(
    client: Address | None, client_port: int, server: Address | None, server_port: int
) -> None:
    line = proxy("v1", client, client_port, server, server_port)

    assert len(line) <= V1_MAX_BYTES
    assert re.fullmatch(rb"PROXY (UNKNOWN|TCP[46]( [0-9a-f.:]+){2}( [0-9]{1,5}){2})\r\n", line)


@given(st.sampled_from(["v1", "v2"]), ADDRESSES, PORTS, st.none() | ADDRESSES, PORTS)
def test_twisted_reads_what_is_said(
    version: Literal["v1", "v2"],
    client: Address,
    client_port: int,
    server: Address | None,
    server_port: int,
) -> None:
    parser = {"v1": V1Parser, "v2": V2Parser}[version]()
    said = proxy(version, client, client_port, server, server_port)

    found, rest = parser.feed(said + b"NICK")
    assert found is not None

    assert rest == b"NICK", "the client's own bytes follow"
    assert isinstance(found.source, (Tcp4, Tcp6))
    assert same(text(found.source.host), client)
    assert same(text(found.destination.host), server or type(plain(client))(0))
    for shown, meant in ((found.source, client_port), (found.destination, server_port)):
        assert shown.port == (meant if 0 <= meant <= 65_535 else 0)


def text(host: str | bytes) -> str:
    return host.decode() if isinstance(host, bytes) else host


def test_twisted_reads_that_nobody_is_known() -> None:
    """Its parser of version 1 wants a blank behind UNKNOWN, which nobody has to write."""
    found, rest = V2Parser().feed(proxy("v2", None, 0, V4, 1) + b"x")

    assert found is not None
    assert (found.source, found.destination, rest) == (None, None, b"x")


@pytest.mark.parametrize(
    ("client", "secure", "line"),
    [
        (V4, False, b"WEBIRC hunter2 gw 192.0.2.7 192.0.2.7\r\n"),
        (V4, True, b"WEBIRC hunter2 gw 192.0.2.7 192.0.2.7 :secure\r\n"),
        (ip_address("::1"), False, b"WEBIRC hunter2 gw 0::1 0::1\r\n"),
        (
            ip_address("::ffff:192.0.2.7"),
            True,
            b"WEBIRC hunter2 gw 192.0.2.7 192.0.2.7 :secure\r\n",
        ),
    ],
)
def test_a_gateway_says_for_whom_it_connects(client: Address, secure: bool, line: bytes) -> None:
    assert webirc("hunter2", "gw", client, secure=secure) == line


@given(WORDS, GATEWAYS, ADDRESSES, st.booleans())
def test_every_client_of_a_gateway_is_one_line_of_irc(
    password: str, gateway: str, client: Address, secure: bool
) -> None:
    line = webirc(password, gateway, client, secure=secure)

    assert is_word(password)
    assert is_gateway(gateway)
    assert len(line) <= 512
    assert line.endswith(b"\r\n")
    words = line[:-2].decode("ascii").split(" ")
    assert words[:3] == ["WEBIRC", password, gateway]
    assert words[5:] == ([":secure"] if secure else [])
    assert words[3] == words[4]
    assert not words[3].startswith(":")
    assert same(words[3], client)
    assert not re.search(rb"[\0\r\n]", line[:-2])


@pytest.mark.parametrize("text", ["", ":x", "a b", "a\r", "a\n", "a\0", "ä", "x" * 201, "\x7f"])
def test_what_cannot_stand_in_a_line_is_no_password(text: str) -> None:
    assert not is_word(text)


@pytest.mark.parametrize("text", ["", ":x", "a b", "a\n", "gw/1", "ä", "x" * 64])
def test_what_cannot_stand_in_a_line_is_no_gateway(text: str) -> None:
    assert not is_gateway(text)


def test_only_an_address_is_one() -> None:
    assert address("192.0.2.7") == IPv4Address("192.0.2.7")
    assert address("unix") is None
    assert address("") is None


def test_a_preamble_does_not_show_its_password() -> None:
    assert repr(Preamble(b"PROXY", b"WEBIRC hunter2")) == "Preamble(clear=b'PROXY')"
