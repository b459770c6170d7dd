"""Is everything denied but what a section allows to this very page?"""

from __future__ import annotations

from typing import Any

import pytest

from sockproxy import ini
from sockproxy.codes import Code
from sockproxy.policy.access import UNTOLD, Allow, Asker, Deny, Policy, Rule, out_of_bounds
from sockproxy.policy.destination import parse
from sockproxy.policy.preamble import Preamble
from sockproxy.policy.quota import Bounds, Caps
from sockproxy.policy.target import HostTarget, NamedTarget
from sockproxy.policy.ticket import Ticket
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
max_streams = 5
idle_timeout = 1m
max_bytes = 1MiB

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
max_streams = 7

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
        rule=Rule("backend irc", "origins", APP),
        chosen_by_page=False,
        connect_timeout_s=3.0,
        dns_timeout_s=2.0,
        reveal_address=False,
        detail=True,
        frames="text",
        bounds=Bounds("backend irc", 5, 60.0, 1024 * 1024),
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
    answer = asked(APP, target)

    assert (answer.code, answer.reason, answer.hidden) == (Code.DENIED, UNTOLD, True)
    assert answer.why == f"no [access] allows {target.host}:{target.port}"
    assert answer.rule is None


def test_an_access_rule_allows_its_exact_host_and_port() -> None:
    assert asked(APP, CHAT) == Allow(
        name="chat.example.org:6667",
        target=TcpTarget(host="chat.example.org", port=6667),
        rule=Rule("access first", "allow", "chat.example.org:6667"),
        chosen_by_page=True,
        connect_timeout_s=4.0,
        dns_timeout_s=1.0,
        reveal_address=True,
        detail=False,
        spelled=(parse("10.0.0.1:80"),),
        bounds=Bounds("access first", 7),
    )


def test_the_access_rule_that_serves_the_page_counts() -> None:
    answer = asked(OTHER, CHAT)

    assert str(answer.rule) == "[access second] allow = chat.example.org:6667"
    assert answer.detail


def test_an_address_that_a_rule_spells_out_is_the_operators_choice() -> None:
    answer = asked(APP, HostTarget("10.0.0.1", 80))

    assert out_of_bounds(answer, "10.0.0.1") is None
    assert out_of_bounds(answer, "10.0.0.2") == "10.0.0.2 is in 10.0.0.0/8"


WIDE = f"""{NOTHING}
[access wide]
origins = {APP}
allow =
    *.example.org:1-65535
    10.0.0.0/8:5432
    100.64.0.0/10:80
    8.8.0.0/16:80
deny =
    secret.example.org
    10.1.0.0/16
    [2606:4700::/32]:443
forced_ports = 22
detail = yes
"""


@pytest.mark.parametrize(
    ("host", "port", "rule"),
    [
        ("a.example.org", 80, "allow = *.example.org:1-65535"),
        ("a.example.org", 22, "allow = *.example.org:1-65535"),
        ("10.2.3.4", 5432, "allow = 10.0.0.0/8:5432"),
        ("8.8.8.8", 80, "allow = 8.8.0.0/16:80"),
        ("a.b.example.org", 80, None),
        ("example.org", 80, None),
        ("10.2.3.4", 5433, None),
        ("secret.example.org", 443, "deny = secret.example.org"),
        ("10.1.2.3", 5432, "deny = 10.1.0.0/16"),
        ("a.example.org", 25, "forced_ports"),
        ("100.100.100.200", 80, "allow = 100.64.0.0/10:80"),
    ],
)
def test_hosts_are_listed_by_pattern_network_and_port(
    host: str, port: int, rule: str | None
) -> None:
    answer = asked(APP, HostTarget(host, port), Policy(ini.loads(WIDE).settings))

    known = rule is not None and rule.startswith("allow") and host != "100.100.100.200"
    assert isinstance(answer, Allow if known else Deny)
    assert (answer.rule and str(answer.rule)) == (rule and f"[access wide] {rule}")


def test_what_a_name_resolves_to_is_looked_at_by_the_same_rules() -> None:
    policy = Policy(ini.loads(WIDE).settings)
    answer = asked(APP, HostTarget("db.example.org", 5432), policy)

    assert out_of_bounds(answer, "10.2.3.4") is None
    assert out_of_bounds(answer, "10.1.2.3") == "10.1.2.3 is in deny = 10.1.0.0/16"
    assert out_of_bounds(answer, "::ffff:10.1.2.3") == "::ffff:10.1.2.3 is in deny = 10.1.0.0/16"
    assert out_of_bounds(answer, "192.168.1.1") == "192.168.1.1 is in 192.168.0.0/16"
    assert out_of_bounds(answer, "2606:4700::1") is None
    other = asked(APP, HostTarget("db.example.org", 443), policy)
    assert out_of_bounds(other, "2606:4700::1") is not None
    assert out_of_bounds(other, "10.2.3.4") == "10.2.3.4 is in 10.0.0.0/8"


def test_the_reason_is_told_where_the_section_says_so() -> None:
    told = asked(APP, HostTarget("secret.example.org", 443), Policy(ini.loads(WIDE).settings))
    untold = asked(
        APP,
        HostTarget("secret.example.org", 443),
        Policy(ini.loads(WIDE.replace("detail = yes", "")).settings),
    )

    assert (told.reason, told.hidden) == ("secret.example.org:443 is named by deny", False)
    assert (untold.reason, untold.hidden) == (UNTOLD, True)
    assert untold.why == told.why


def test_a_foreign_page_never_learns_what_is_listed() -> None:
    answer = asked(EVIL, HostTarget("a.example.org", 80), Policy(ini.loads(WIDE).settings))

    assert (answer.reason, answer.hidden) == (UNTOLD, True)
    assert str(answer.rule) == "[access wide] origins"


def test_a_unix_socket_has_no_address_to_look_at() -> None:
    assert out_of_bounds(asked(OTHER, LOCAL), "192.0.2.1") is None


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
    answer = asked(APP, NamedTarget("ircd"))

    assert (answer.code, answer.reason, answer.hidden) == (Code.DENIED, "no backend ircd", False)


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

    sections = [answer.rule.section for answer in rules.values() if isinstance(answer, Allow)]
    assert sections == ["backend a", "backend b", "access c"]
    assert isinstance(rules["d"], Deny)


TICKETED = f"""{NOTHING}
[forward_auth]
url = http://127.0.0.1:8000/who

[backend mine]
target = tcp:127.0.0.1:1
origins = {APP}
principals =
    alice
    bob

[backend members]
target = tcp:127.0.0.1:2
origins = {APP}
principals = *

[access web]
allow = chat.example.org:6667
origins = {APP}
principals = *
"""
MEMBERS_ONLY = Policy(ini.loads(TICKETED).settings)
MINE, MEMBERS = NamedTarget("mine"), NamedTarget("members")


def by(principal: str, origin: str | None = APP, **narrows: Any) -> Asker:
    return Asker(origin, None, "192.0.2.1").known_by(Ticket(principal, 60.0, **narrows))


@pytest.mark.parametrize(
    ("asker", "target", "reason"),
    [
        (by("alice"), MINE, None),
        (by("bob"), MINE, None),
        (by("carol"), MINE, "backend mine: not open to carol"),
        (by("carol"), MEMBERS, None),
        (by("carol"), CHAT, None),
        (Asker(APP, None, "192.0.2.1"), MINE, "backend mine: a ticket is needed"),
        (Asker(APP, None, "192.0.2.1"), CHAT, UNTOLD),
        (by("alice", backends=("members",)), MEMBERS, None),
        (
            by("alice", backends=("members",)),
            MINE,
            "backend mine: the ticket of alice is for other backends",
        ),
        (by("alice", backends=("members",)), CHAT, UNTOLD),
        (by("alice", backends=("web",)), CHAT, None),
        (by("alice", backends=()), MEMBERS, "backend members: the ticket of alice is for other"),
        (by("alice", None), MINE, None),
        (by("alice", None, bearer=False), MINE, "backend mine: no Origin"),
        (by("alice", EVIL), MINE, "backend mine: origin https://evil.example is not listed"),
        (by("alice", "null"), MINE, "backend mine: origin 'null' cannot be listed"),
        (by("alice", backends=("irc",)), IRC, "no backend irc"),
    ],
)
def test_a_section_is_open_to_its_principals(
    asker: Asker, target: NamedTarget | HostTarget, reason: str | None
) -> None:
    answer = MEMBERS_ONLY.decide(asker, target)

    assert isinstance(answer, Allow) == (reason is None)
    if isinstance(answer, Deny):
        assert answer.code is Code.DENIED
        assert answer.reason.startswith(reason or "")


def test_the_option_that_decides_is_named() -> None:
    answer = MEMBERS_ONLY.decide(by("carol"), MINE)

    assert isinstance(answer, Deny)
    assert answer.rule == Rule("backend mine", "principals")


@pytest.mark.parametrize(
    ("asker", "code"),
    [
        (by("alice"), None),
        (by("carol", EVIL), Code.ORIGIN),
        (by("alice", origins=(APP,)), None),
        (by("alice", origins=(OTHER,)), Code.TICKET_REFUSED),
        (by("alice", None, origins=(OTHER,)), Code.TICKET_REFUSED),
        (Asker(APP, None, "192.0.2.1"), Code.TICKET_REQUIRED),
        (Asker(None, None, "192.0.2.1"), Code.TICKET_REQUIRED),
        (Asker(EVIL, None, "192.0.2.1"), Code.ORIGIN),
    ],
)
def test_who_cannot_get_anything_is_told_at_once(asker: Asker, code: Code | None) -> None:
    answer = MEMBERS_ONLY.admit(asker)

    assert (answer and answer.code) == code


def test_where_something_is_open_to_all_nobody_needs_a_ticket() -> None:
    assert POLICY.admit(Asker(APP, None, "192.0.2.1")) is None
    assert POLICY.admit(Asker(None, None, "192.0.2.1")) is None


def test_who_sends_no_origin_may_still_show_a_ticket() -> None:
    assert MEMBERS_ONLY.origin_known(None)
    assert MEMBERS_ONLY.origin_known(APP)
    assert not MEMBERS_ONLY.origin_known("null")
    assert not Policy(ini.loads(INI.replace("allow_no_origin", "#")).settings).origin_known(None)


def told(*lines: str, **asker: Any) -> Any:
    """Return what is decided where a backend is told who asks."""
    section = f"{NOTHING}[backend irc]\ntarget = tcp:irc.example.org:6667\norigins = {APP}\n"
    policy = Policy(ini.loads("\n".join([section, *lines])).settings)
    return policy.decide(Asker(**{"origin": APP, "principal": None, **asker}), IRC)


CAME = {"peer": "192.0.2.1", "peer_port": 50_000, "server": "198.51.100.1", "server_port": 443}


def test_a_backend_hears_first_what_its_section_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBIRC", "hunter2")
    webirc = ("webirc_password = env:WEBIRC", "webirc_gateway = gw")
    line = b"PROXY TCP4 192.0.2.1 198.51.100.1 50000 443\r\n"
    known = b"WEBIRC hunter2 gw 192.0.2.1 192.0.2.1\r\n"

    assert told(**CAME).preamble == Preamble()
    assert told("proxy_protocol = v1", **CAME).preamble == Preamble(clear=line)
    assert told("proxy_protocol = v2", **CAME).preamble.clear.startswith(b"\r\n\r\n\0\r\nQUIT")
    assert told(*webirc, **CAME).preamble == Preamble(inside=known)
    both = told("proxy_protocol = v1", *webirc, secure=True, **CAME).preamble
    assert both == Preamble(line, known.replace(b"\r", b" :secure\r"))


def test_a_client_without_an_address_is_never_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBIRC", "hunter2")

    assert told("proxy_protocol = v1", peer="unix").preamble == Preamble(b"PROXY UNKNOWN\r\n")
    denied = told("webirc_password = env:WEBIRC", "webirc_gateway = gw", peer="unix")
    assert isinstance(denied, Deny)
    assert denied.code is Code.DENIED
    assert denied.reason == (
        "backend irc: WEBIRC says who the client is, and this one has no address"
    )
    assert denied.rule == Rule("backend irc", "webirc_password")


def test_no_answer_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBIRC", "hunter2")
    webirc = ("webirc_password = env:WEBIRC", "webirc_gateway = gw")

    assert "hunter2" not in repr(told(*webirc, **CAME))


def test_a_ticket_caps_what_its_bearer_may_take() -> None:
    assert by("alice", streams=2, byte_quota=1000).caps == Caps(streams=2, total_bytes=1000)
    assert by("alice").caps == Asker(APP, None, "192.0.2.1").caps == Caps()
