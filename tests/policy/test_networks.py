"""Is every special network out of a page's reach, and the worst out of the operator's?"""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.networks import NEVER, SPECIAL, denied

METADATA = [
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
]
WORST = [*METADATA, "fe80::1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"]
PRIVATE = ["10.0.0.1", "127.0.0.1", "192.168.1.1", "172.16.0.1", "::1", "fd00::1", "100.64.0.1"]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1", "2400::1"]
CARRIERS = [
    ("::ffff:0:0", 0),  # IPv4-mapped
    ("2002::", 80),  # 6to4
    ("64:ff9b::", 0),  # NAT64
]


def carried(address: str, prefix: str, shift: int) -> str:
    """Return the IPv6 address that carries an IPv4 one."""
    return str(ip_address(int(ip_address(prefix)) | int(IPv4Address(address)) << shift))


@pytest.mark.parametrize("text", SPECIAL.split())
def test_no_page_reaches_a_special_network(text: str) -> None:
    network = ip_network(text)

    for address in (network[0], network[-1], network[network.num_addresses // 2]):
        assert denied(str(address), chosen_by_page=True)


@pytest.mark.parametrize("text", NEVER.split())
def test_nobody_reaches_the_worst_networks(text: str) -> None:
    network = ip_network(text)

    for address in (network[0], network[-1]):
        for chosen_by_page in (True, False):
            assert denied(str(address), chosen_by_page=chosen_by_page)


@pytest.mark.parametrize("address", WORST)
def test_not_even_the_operator_reaches_metadata_link_local_and_multicast(address: str) -> None:
    assert denied(address, chosen_by_page=False)
    assert denied(address, chosen_by_page=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_the_operator_reaches_private_addresses_and_a_page_does_not(address: str) -> None:
    assert denied(address, chosen_by_page=False) is None
    assert denied(address, chosen_by_page=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert denied(address, chosen_by_page=False) is None
    assert denied(address, chosen_by_page=True) is None


@pytest.mark.parametrize(("prefix", "shift"), CARRIERS)
@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "224.0.0.1"])
def test_ipv6_does_not_carry_anyone_to_the_worst(address: str, prefix: str, shift: int) -> None:
    hidden = carried(address, prefix, shift)

    assert denied(hidden, chosen_by_page=False)
    assert denied(hidden, chosen_by_page=True)


@pytest.mark.parametrize(("prefix", "shift"), CARRIERS)
def test_ipv6_carries_no_page_anywhere(prefix: str, shift: int) -> None:
    for address in ("1.1.1.1", "127.0.0.1", "10.0.0.1"):
        assert denied(carried(address, prefix, shift), chosen_by_page=True)


@pytest.mark.parametrize(("prefix", "shift"), CARRIERS)
def test_ipv6_carries_the_operator_where_ipv4_does(prefix: str, shift: int) -> None:
    for address in ("1.1.1.1", "127.0.0.1", "10.0.0.1"):
        assert denied(carried(address, prefix, shift), chosen_by_page=False) is None


def test_the_reason_names_address_and_network() -> None:
    assert denied("10.1.2.3", chosen_by_page=True) == "10.1.2.3 is in 10.0.0.0/8"


@given(st.ip_addresses().map(str))
def test_a_page_reaches_nothing_that_its_operator_does_not(address: str) -> None:
    if denied(address, chosen_by_page=False):
        assert denied(address, chosen_by_page=True)


@given(st.ip_addresses(v=4))
def test_what_the_standard_library_holds_for_private_is_special(address: IPv4Address) -> None:
    if not address.is_global and not address.is_multicast:
        assert denied(str(address), chosen_by_page=True)
