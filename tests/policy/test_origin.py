"""Is an Origin let in by its exact rule and by no other?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.origin import allowed, problem

DATA: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "origins.json").read_text(encoding="utf-8")
)
RULES: list[str] = DATA["allowed"]
WILDCARD: str = DATA["wildcard"]["config"]

LABELS = st.text("abz09-", min_size=1, max_size=4)
ORIGINS = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https", "HTTPS", "wss", ""]),
    st.lists(LABELS, min_size=1, max_size=3).map(".".join),
    st.sampled_from(["", ":80", ":443", ":8443", ":0", ":65535", ":65536", "/", ":*"]),
)


@pytest.mark.parametrize("origin", RULES)
def test_a_listed_origin_is_allowed(origin: str) -> None:
    assert allowed(origin, RULES)
    assert problem(origin) is None


@pytest.mark.parametrize("origin", [*DATA["refused"], *DATA["function_only"]], ids=ascii)
def test_a_trick_is_refused(origin: str) -> None:
    assert not allowed(origin, RULES)


def test_no_origin_is_refused() -> None:
    assert not allowed(None, [*RULES, WILDCARD, "http://localhost:*"])
    assert not allowed("https://app.example", [])


@pytest.mark.parametrize("origin", DATA["wildcard"]["pass"])
def test_a_wildcard_stands_for_one_label(origin: str) -> None:
    assert problem(WILDCARD) is None
    assert allowed(origin, [WILDCARD])


@pytest.mark.parametrize(
    "origin",
    [
        *DATA["wildcard"]["refuse"],
        *DATA["refused"],
        WILDCARD,
        "http://x.good.example",
        "https://x.good.example:8443",
        "https://.good.example",
        "https://-x.good.example",
        "https://X.good.example",
        f"https://{'x' * 64}.good.example",
    ],
    ids=ascii,
)
def test_a_wildcard_stands_for_nothing_else(origin: str) -> None:
    assert not allowed(origin, [WILDCARD])


def test_a_wildcard_keeps_its_port() -> None:
    rule = "https://*.good.example:8443"

    assert problem(rule) is None
    assert allowed("https://x.good.example:8443", [rule])
    assert not allowed("https://x.good.example", [rule])
    assert not allowed("https://x.good.example:8444", [rule])


@pytest.mark.parametrize("page", ["http://localhost", "https://127.0.0.1", "http://[::1]"])
def test_any_port_of_a_loopback_name_may_be_listed(page: str) -> None:
    rule = f"{page}:*"

    assert problem(rule) is None
    assert allowed(page, [rule])
    assert allowed(f"{page}:1", [rule])
    assert allowed(f"{page}:65535", [rule])


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:",
        "http://localhost:0",
        "http://localhost:080",
        "http://localhost:65536",
        "http://localhost:*",
        "http://localhost:+1",
        "http://localhost:1 ",
        "http://localhost:\u0661",
        "http://localhost:80:80",
        "http://localhost.evil.example:80",
        "http://evil.example#localhost:80",
        "http://sub.localhost:80",
        "http://127.0.0.1:80",
        "https://localhost:80",
        "null",
    ],
    ids=ascii,
)
def test_any_port_stands_for_nothing_but_a_port(origin: str) -> None:
    assert not allowed(origin, ["http://localhost:*"])


def test_any_port_is_for_loopback_alone() -> None:
    rule = "https://app.example:*"

    assert problem(rule) is not None
    assert not allowed("https://app.example:8443", [rule])
    assert not allowed("https://app.example", [rule])


@pytest.mark.parametrize(
    ("rule", "advice"),
    [
        ("*", "would let every page in; list the origins"),
        ("https://app.example/", "write https://host or https://host:port, no path"),
        ("app.example", "is no origin"),
        ("HTTPS://app.example", "is no origin"),
        ("null", "is no origin"),
        ("https://*", "is no origin"),
        ("https://a.*.example", "is no origin"),
        ("https://*.*.example", "is no origin"),
        ("https://app.example:65536", "port 65536 above 65535"),
        ("https://app.example:443", "leave the default port out; write https://app.example"),
        ("http://app.example:80", "leave the default port out; write http://app.example"),
        ("https://*.app.example:99999", "port 99999 above 65535"),
        ("https://*.app.example:443", "write https://*.app.example"),
    ],
)
def test_a_rule_that_can_match_nothing_is_a_problem(rule: str, advice: str) -> None:
    complaint = problem(rule)

    assert complaint is not None
    assert advice in complaint


@pytest.mark.parametrize("rule", ["http://app.example:443", "https://[2001:db8::1]:1", "http://h"])
def test_a_sound_rule_has_no_problem(rule: str) -> None:
    assert problem(rule) is None
    assert allowed(rule, [rule])


@given(ORIGINS, ORIGINS)
def test_an_exact_rule_accepts_itself_alone(origin: str, rule: str) -> None:
    if problem(rule) is None:
        assert allowed(rule, [rule])
        assert allowed(origin, [rule]) == (origin == rule)


@given(st.text(max_size=40))
def test_an_accepted_origin_equals_its_rule(origin: str) -> None:
    for rule in RULES:
        assert allowed(origin, [rule]) == (origin == rule)
