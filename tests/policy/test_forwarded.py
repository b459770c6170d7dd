"""Is a client's address believed from trusted proxies only, and read from the right?"""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.forwarded import ENTRIES_MAX, BadForwarded, client, forwarded, x_forwarded_for

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"), "unix")


@pytest.mark.parametrize(
    ("peer", "header", "found"),
    [
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("192.0.2.1", "anything at all", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "<script>, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "2001:DB8:0::7", "2001:db8::7"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8:1::1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("unix", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_first_untrusted_address_from_the_right_is_the_client(
    peer: str, header: str, found: str
) -> None:
    assert client(peer, TRUSTED, x_forwarded_for([header])) == found


def test_without_trust_the_peer_is_the_client() -> None:
    assert client("10.0.0.1", (), ["198.51.100.1"]) == "10.0.0.1"
    assert client("unix", (), ["198.51.100.1"]) == "unix"
    assert client("10.0.0.1", TRUSTED, []) == "10.0.0.1"


def test_lines_stand_one_behind_the_other() -> None:
    assert x_forwarded_for(["1.2.3.4", "5.6.7.8,9.9.9.9"]) == ["1.2.3.4", "5.6.7.8", "9.9.9.9"]


@pytest.mark.parametrize(
    "entry", ["", "unknown", "_hidden", "localhost", "010.0.0.1", "1.2.3.4.5", "[::1", "fe80::1%lo"]
)
def test_what_a_trusted_proxy_says_is_an_address(entry: str) -> None:
    with pytest.raises(BadForwarded, match=r"is no address of a client|has a zone"):
        client("10.0.0.1", TRUSTED, [entry])


def test_a_bad_entry_is_shown_short_and_in_ascii() -> None:
    with pytest.raises(BadForwarded) as bad:
        client("10.0.0.1", TRUSTED, ["\u2028" * 1000])
    assert str(bad.value).isascii()
    assert len(str(bad.value)) < 600


def test_the_walk_has_an_end() -> None:
    entries = ["198.51.100.1"] + ["10.0.0.1"] * ENTRIES_MAX

    with pytest.raises(BadForwarded, match="more than 32 trusted proxies"):
        client("10.0.0.1", TRUSTED, entries)
    assert client("10.0.0.1", TRUSTED, entries[:-1]) == "198.51.100.1"


@pytest.mark.parametrize(
    ("lines", "entries"),
    [
        (["for=198.51.100.1"], ["198.51.100.1"]),
        (["For=198.51.100.1;proto=https;by=10.0.0.1"], ["198.51.100.1"]),
        (['proto=https; for="[2001:db8::7]:80"'], ["[2001:db8::7]:80"]),
        (["for=1.2.3.4, for=5.6.7.8"], ["1.2.3.4", "5.6.7.8"]),
        (["for=1.2.3.4", "for=5.6.7.8"], ["1.2.3.4", "5.6.7.8"]),
        (['for="1.2.3.4, for=5.6.7.8"'], ["1.2.3.4, for=5.6.7.8"]),
        (["proto=https, for=1.2.3.4"], ["", "1.2.3.4"]),
        (["xfor=1.2.3.4"], [""]),
        ([], []),
    ],
)
def test_forwarded_is_read_as_the_rfc_has_it(lines: list[str], entries: list[str]) -> None:
    assert forwarded(lines) == entries


def test_a_quote_that_does_not_end_hides_no_element_in_front() -> None:
    assert forwarded(['for=1.2.3.4, for="5.6.7.8'])[0] == "1.2.3.4"


@given(st.lists(st.text(max_size=20), max_size=4), st.ip_addresses().map(str))
def test_what_the_client_wrote_himself_changes_nothing(lines: list[str], address: str) -> None:
    """Whatever stands before the entry of the nearest proxy."""
    nearest = client("10.0.0.1", (ip_network("10.0.0.1/32"),), x_forwarded_for([address]))
    own = x_forwarded_for([*lines, address])
    if nearest != "10.0.0.1":
        assert client("10.0.0.1", (ip_network("10.0.0.1/32"),), own) == nearest


@given(st.lists(st.text('for="=;,1.:[]ab', max_size=30), max_size=3))
def test_every_header_is_an_address_or_a_complaint(lines: list[str]) -> None:
    for read in (forwarded, x_forwarded_for):
        try:
            client("10.0.0.1", TRUSTED, read(lines))
        except BadForwarded:
            continue
