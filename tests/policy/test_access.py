"""Is everything denied but what a section allows to this very page?"""

from __future__ import annotations

from typing import Any

import pytest

from sockproxy import ini
from sockproxy.codes import Code
from sockproxy.policy.access import Allow, Asker, Deny, Policy
from sockproxy.policy.target import HostTarget, NamedTarget
from sockproxy.settings import TcpTarget, UnixTarget

APP = "https://app.example"
OTHER = "https://other.example"
EVIL = "https://evil.example"
NOTHING = "[listen web]\nendpoint = tcp:8080\n"
INI = f"""{NOTHING}
[backend irc]
target = tcp:irc.example.org:6667
origins = {APP}
connect_timeout = 3s
dns_timeout = 2s
frames = text

[backend local]
target = unix:/run/app.sock
origins = {OTHER}
allow_no_origin = yes
reveal_address = yes

[access first]
allow =
    chat.example.org:6667
    10.0.0.1:80
origins = {APP}
connect_timeout = 4s
dns_timeout = 1s

[access second]
allow = chat.example.org:6667
origins = {OTHER}
detail = yes
"""
POLICY = Policy(ini.loads(INI).settings)
IRC = NamedTarget("irc")
LOCAL = NamedTarget("local")
IRC_ADDRESS = HostTarget("irc.example.org", 6667)
CHAT = HostTarget("chat.example.org", 6667)


def asked(origin: str | None, target: NamedTarget | HostTarget, policy: Policy = POLICY) -> Any:
    return policy.decide(Asker(origin=origin, principal=None, peer="192.0.2.1"), target)


@pytest.mark.parametrize("target", [IRC, IRC_ADDRESS, CHAT], ids=str)
def test_without_a_section_all_is_denied(target: NamedTarget | HostTarget) -> None:
    policy = Policy(ini.loads(NOTHING).settings)

    answer = asked(APP, target, policy)

    assert isinstance(answer, Deny)
    assert answer.code is Code.DENIED
    assert not policy.origin_known(APP)


def test_a_named_backend_is_allowed_with_its_options() -> None:
    assert asked(APP, IRC) == Allow(
        name="irc",
        target=TcpTarget(host="irc.example.org", port=6667),
        rule="[backend irc]",
        chosen_by_page=False,
        connect_timeout_s=3.0,
        dns_timeout_s=2.0,
        reveal_address=False,
        detail=True,
        frames="text",
    )


def test_a_unix_socket_is_reached_by_name() -> None:
    answer = asked(OTHER, LOCAL)

    assert answer.target == UnixTarget(path="/run/app.sock")
    assert answer.reveal_address


def test_the_exact_address_of_a_backend_is_that_backend() -> None:
    assert asked(APP, IRC_ADDRESS) == asked(APP, IRC)


@pytest.mark.parametrize(
    "target",
    [
        HostTarget("irc.example.org", 6668),
        HostTarget("example.org", 6667),
        HostTarget("a.irc.example.org", 6667),
        HostTarget("chat.example.org", 6668),
        HostTarget("10.0.0.2", 80),
        HostTarget("10.0.0.1", 6667),
    ],
    ids=str,
)
def test_an_address_near_an_allowed_one_is_denied_without_detail(target: HostTarget) -> None:
    assert asked(APP, target) == Deny(Code.DENIED, "not allowed or not reachable")


def test_an_access_rule_allows_its_exact_host_and_port() -> None:
    assert asked(APP, CHAT) == Allow(
        name="chat.example.org:6667",
        target=TcpTarget(host="chat.example.org", port=6667),
        rule="[access first]",
        chosen_by_page=True,
        connect_timeout_s=4.0,
        dns_timeout_s=1.0,
        reveal_address=True,
        detail=False,
    )


def test_the_access_rule_that_serves_the_page_counts() -> None:
    answer = asked(OTHER, CHAT)

    assert answer.rule == "[access second]"
    assert answer.detail


def test_an_address_that_a_rule_spells_out_is_the_operators_choice() -> None:
    assert not asked(APP, HostTarget("10.0.0.1", 80)).chosen_by_page


@pytest.mark.parametrize("origin", [EVIL, "null", "", None])
@pytest.mark.parametrize("target", [IRC, IRC_ADDRESS, CHAT], ids=str)
def test_a_foreign_page_is_denied(origin: str | None, target: NamedTarget | HostTarget) -> None:
    answer = asked(origin, target)

    assert isinstance(answer, Deny)
    assert answer.code is Code.DENIED


def test_a_page_has_its_own_backend_only() -> None:
    assert isinstance(asked(OTHER, IRC), Deny)
    assert isinstance(asked(APP, LOCAL), Deny)


def test_clients_without_an_origin_are_served_where_a_section_says_so() -> None:
    assert isinstance(asked(None, LOCAL), Allow)
    assert isinstance(asked(None, IRC), Deny)
    assert isinstance(asked("null", LOCAL), Deny)


def test_a_backend_that_is_not_there_is_denied_by_name() -> None:
    assert asked(APP, NamedTarget("ircd")) == Deny(Code.DENIED, "no backend ircd")


@pytest.mark.parametrize(
    ("origin", "known"),
    [(APP, True), (OTHER, True), (None, True), (EVIL, False), ("null", False), ("", False)],
)
def test_an_origin_is_known_where_any_section_serves_it(origin: str | None, known: bool) -> None:
    assert POLICY.origin_known(origin) is known


def test_no_origin_is_unknown_unless_a_section_says_so() -> None:
    policy = Policy(ini.loads(INI.replace("allow_no_origin = yes", "")).settings)

    assert not policy.origin_known(None)


def test_the_hint_is_the_line_that_is_missing() -> None:
    hint = POLICY.origin_hint(EVIL)

    assert hint == f"origin {EVIL} is not listed; add to a [backend]: origins = {EVIL}"
    assert asked(EVIL, IRC).reason == f"backend irc: {hint}"

    line = hint.rpartition(": ")[2]
    policy = Policy(ini.loads(INI.replace(f"origins = {APP}", line, 1)).settings)
    assert isinstance(asked(EVIL, IRC, policy), Allow)


def test_the_hint_to_a_client_without_origin_is_its_option() -> None:
    assert "allow_no_origin = yes" in asked(None, IRC).reason


@pytest.mark.parametrize("origin", ["null", "\u0456\n" * 500, "*", "https://app.example:443"])
def test_an_origin_that_no_rule_can_list_gets_no_advice(origin: str) -> None:
    hint = POLICY.origin_hint(origin)

    assert hint.endswith("cannot be listed")
    assert hint.isascii()
    assert "\n" not in hint
    assert len(hint) < 1000


def test_backends_at_one_address_each_serve_their_own_pages() -> None:
    both = ini.loads(
        "[listen web]\nendpoint = tcp:8080\n"
        "[backend a]\ntarget = tcp:irc.example.org:6667\norigins = https://a.example\n"
        "[backend b]\ntarget = tcp:irc.example.org:6667\norigins = https://b.example\n"
        "[access c]\nallow = irc.example.org:6667\norigins = https://c.example\n"
    ).settings
    target = HostTarget("irc.example.org", 6667)
    rules = {
        origin: Policy(both).decide(Asker(f"https://{origin}.example", None, "192.0.2.1"), target)
        for origin in "abcd"
    }

    assert [getattr(answer, "rule", None) for answer in rules.values()] == [
        "[backend a]",
        "[backend b]",
        "[access c]",
        None,
    ]
    assert rules["d"] == Deny(Code.DENIED, "not allowed or not reachable")
