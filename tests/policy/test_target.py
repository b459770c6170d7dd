"""Is every odd spelling of a host refused, before a resolver or a connection sees it?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sockproxy import ini
from sockproxy.policy.access import Allow, Asker, Deny, Policy
from sockproxy.policy.networks import denied
from sockproxy.policy.target import (
    MAX_HOST_CHARACTERS,
    BadTarget,
    HostTarget,
    NamedTarget,
    canonical_host,
    is_literal,
    parse,
)
from tests.backends.test_opening import Names, opened

DATA: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "targets.json").read_text(encoding="utf-8")
)
REFUSED = [host for group in DATA["refuse"].values() for host in group]
PORT = 6667
ASKER = Asker(origin="https://app.example", principal=None, peer="192.0.2.1")
POLICY = Policy(
    ini.loads(
        """
[listen web]
endpoint = tcp:8080
[access irc]
allow = irc.example.org:6667
origins = https://app.example
"""
    ).settings
)

LABELS = st.text("ab9-.", max_size=12)
ADDRESSES = st.ip_addresses().map(str)


def accepted(host: str) -> HostTarget | None:
    try:
        target = parse(host, PORT)
    except BadTarget:
        return None
    assert isinstance(target, HostTarget)
    return target


@pytest.mark.parametrize("host", ["irc.example.org", *DATA["pass"]])
def test_the_allowed_name_is_allowed_in_its_harmless_spellings(host: str) -> None:
    target = parse(host, PORT)

    assert target == HostTarget("irc.example.org", PORT)
    assert isinstance(POLICY.decide(ASKER, target), Allow)


@pytest.mark.parametrize("host", REFUSED, ids=ascii)
def test_a_trick_is_no_target_or_not_allowed(host: str) -> None:
    target = accepted(host)

    assert target is None or isinstance(POLICY.decide(ASKER, target), Deny)


@pytest.mark.parametrize("host", REFUSED, ids=ascii)
def test_a_trick_is_a_name_or_a_special_address_or_nothing(host: str) -> None:
    target = accepted(host)

    if target is not None and is_literal(target.host):
        assert denied(target.host, chosen_by_page=True)
    elif target is not None:
        assert target.host == host.lower()
        assert target.host.isascii()


@pytest.mark.parametrize("host", ["localhost", "ip6-localhost", "metadata", "127.0.0.1.nip.io"])
@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_even_an_allowed_name_leads_to_no_special_address(host: str, address: str) -> None:
    text = f"[listen w]\nendpoint = tcp:1\n[access a]\norigins = http://h\nallow = {host}:1\n"
    policy = Policy(ini.loads(text).settings)
    answer = policy.decide(Asker("http://h", None, ""), parse(host, 1))

    assert isinstance(answer, Allow)
    names = Names([address])
    reactor, _, _ = opened(names, answer)
    assert names.asked == [host]
    assert reactor.tcpClients == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.1",
        "127.000.000.001",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f.1",
        "017700000001",
        "0",
        "0.",
        "0x0",
        "4294967296",
        "0:0:0:0:0:0:0:1",
        "[::]",
        "fe80::1%lo",
        "irc.example.org..",
        "irc_example.org",
        "-a.example",
        "a-.example",
        "a.0x",
        "",
        ".",
    ],
)
def test_what_has_no_canonical_spelling_is_no_target(host: str) -> None:
    with pytest.raises(BadTarget, match=r"no address in its canonical|neither a host name nor"):
        parse(host, PORT)


def test_a_host_of_more_than_253_characters_is_no_target() -> None:
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(longest) == MAX_HOST_CHARACTERS

    assert canonical_host(longest) == longest
    with pytest.raises(BadTarget, match="host of 254 characters above 253"):
        parse("a" + longest, PORT)


def test_a_label_of_more_than_63_characters_is_no_target() -> None:
    with pytest.raises(BadTarget, match="neither a host name nor an address"):
        parse("a" * 64 + ".example", PORT)


def test_what_is_refused_is_shown_short_and_in_ascii() -> None:
    with pytest.raises(BadTarget) as caught:
        parse("\u0456" * 10_000, PORT)

    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("port", [-1, 65_536, 2**64])
def test_a_port_that_is_none_is_no_target(port: int) -> None:
    with pytest.raises(BadTarget, match=rf"port {port} outside 1..65535"):
        parse("irc.example.org", port)


@pytest.mark.parametrize("port", [1, 65_535])
def test_the_first_and_the_last_port_are_ports(port: int) -> None:
    assert parse("irc.example.org", port) == HostTarget("irc.example.org", port)


@pytest.mark.parametrize("name", ["irc", "0", "a_b-c", "x" * 32])
def test_port_zero_makes_the_host_a_name(name: str) -> None:
    assert parse(name, 0) == NamedTarget(name)


@pytest.mark.parametrize("name", ["", "IRC", "irc.example.org", "x" * 33, "irc\n", "\u0456rc"])
def test_what_is_no_backend_name_is_no_target(name: str) -> None:
    with pytest.raises(BadTarget, match="is no backend name: 1 to 32 of a-z 0-9 _ -"):
        parse(name, 0)


@given(st.text(max_size=30) | LABELS | ADDRESSES | ADDRESSES.map(str.upper))
@example("ABC.example.")
@example("::ffff:127.0.0.1")
def test_what_is_accepted_is_canonical_and_stays_what_it_is(host: str) -> None:
    target = accepted(host)

    if target is not None:
        assert parse(target.host, target.port) == target
        assert target.host == canonical_host(target.host)
        assert target.host in (host, host.lower().removesuffix("."))


@given(ADDRESSES)
def test_every_address_in_its_canonical_spelling_is_a_literal(address: str) -> None:
    assert accepted(address) == HostTarget(address, PORT)
    assert is_literal(address)
