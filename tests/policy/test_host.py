"""Is a server asked for only under names that its operator listed?"""

from __future__ import annotations

import pytest

from sockproxy.policy import host

RULES = ("gw.example", "*.gw.example", "127.0.0.1", "[::1]")


@pytest.mark.parametrize(
    "name", ["gw.example", "gw.example.", "a.gw.example", "127.0.0.1", "[::1]"]
)
def test_a_listed_name_is_served(name: str) -> None:
    assert host.allowed(name, RULES)


@pytest.mark.parametrize(
    "name",
    ["evil.example", "a.b.gw.example", ".gw.example", "evilgw.example", "gw.example.evil", "[::2]"],
)
def test_any_other_is_not(name: str) -> None:
    assert not host.allowed(name, RULES)


def test_without_a_rule_any_name_is_served() -> None:
    assert host.allowed("anything.example", ())


@pytest.mark.parametrize("rule", [*RULES, "localhost", "a_b.example"])
def test_a_rule_is_a_name(rule: str) -> None:
    assert host.problem(rule) is None


@pytest.mark.parametrize("rule", ["*", "gw.example:80", "https://gw.example", "GW.example", "a b"])
def test_anything_else_is_no_rule(rule: str) -> None:
    assert "is no host name; write" in (host.problem(rule) or "")
