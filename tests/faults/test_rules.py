"""Is every rule read as written, and every wrong one named with what is allowed?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sockproxy.faults import kinds
from sockproxy.faults.plan import Plan
from sockproxy.faults.rules import SELECTORS, VERBS, BadRule, Selector, parse


def fault(text: str, path: str = "/sp/_/up") -> kinds.Fault:
    """Return what a rule does to the first request."""
    return Plan([text]).decide("POST", path).faults[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "cut after=1000 direction=up of=body",
            kinds.Cut(
                after_bytes=1000,
                step_bytes=0,
                age_s=None,
                direction="up",
                body=True,
                reset=False,
            ),
        ),
        (
            "reset age=500ms",
            kinds.Cut(
                after_bytes=None,
                step_bytes=0,
                age_s=0.5,
                direction="down",
                body=False,
                reset=True,
            ),
        ),
        ("stall for=5s", kinds.Stall(after_bytes=0, for_s=5, direction="both", body=False)),
        ("stall after=9", kinds.Stall(after_bytes=9, for_s=None, direction="both", body=False)),
        (
            "delay for=200ms jitter=50ms",
            kinds.Delay(for_s=0.2, jitter_s=0.05, direction="both", seed="0/0/1"),
        ),
        ("throttle rate=64KiB", kinds.Throttle(rate_bytes_per_s=65536, direction="both")),
        ("buffer until=1MiB where=/up", kinds.Buffer(until=1 << 20)),
        ("buffer until=next", kinds.Buffer(until="next")),
        ("drop what=response", kinds.Drop(what="response")),
        ("duplicate", kinds.Duplicate(what="request")),
        ("reorder within=2s", kinds.Reorder(what="request", within_s=2)),
        ("replay where=/up", kinds.Replay()),
        ("strip header=Upgrade", kinds.Strip(header="Upgrade", direction="up")),
        ("answer status=503 retry=2", kinds.Answer(verb="answer", status=503, retry_after_s=2)),
        (
            "redirect to=http://x.invalid/?a=b",
            kinds.Answer(verb="redirect", status=302, location="http://x.invalid/?a=b"),
        ),
        ("login", kinds.Answer(verb="login", status=200)),
    ],
)
def test_every_fault(text: str, expected: kinds.Fault) -> None:
    assert fault(text) == expected
    assert fault(text).verb == text.split()[0]


def test_the_selectors() -> None:
    rule = parse("cut after=1  where=/up method=POST link=http chance=0.5 every=3 first=9 skip=2 ")
    assert (
        str(rule) == "cut after=1 where=/up method=POST link=http chance=0.5 every=3 first=9 skip=2"
    )
    assert rule.selector == Selector(
        where="/up", method="POST", link="http", chance=0.5, every=3, first=9, skip=2
    )
    assert parse("login times=4").selector == Selector(times=4)


@pytest.mark.parametrize(
    ("where", "path", "matches"),
    [
        ("/up", "/sp/_/up", True),
        ("/up", "/sp/_/up?x=/y", True),
        ("/up", "/upload", False),
        ("/sp/*", "/sp/_/up", True),
        ("/sp/*", "/x/sp/_", False),
        ("*_*", "/sp/_/up", True),
    ],
)
def test_where(where: str, path: str, matches: bool) -> None:
    assert Selector(where=where).matches("GET", path, "http") == matches


def test_link_and_method() -> None:
    assert Selector(link="ws").matches("GET", "/", "ws")
    assert not Selector(link="ws").matches("GET", "/", "http")
    assert Selector(link="tcp").matches("", "", "tcp")
    assert not Selector(method="POST").matches("GET", "/", "http")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "fault '': no fault ''; there are cut, reset, stall"),
        ("ct after=1", "fault 'ct after=1': no fault 'ct'; there are cut,"),
        ("cut aftr=1", "cut takes no 'aftr'; it takes after, step, age, direction, of, where,"),
        ("cut after=x", "after='x'; write bytes such as 1000, 64KiB, 1MiB or 1..64KiB"),
        ("cut after", "after has no value; write bytes such as"),
        ("cut", "cut needs after= or step= or age="),
        ("delay", "delay needs for="),
        ("strip", "strip needs header="),
        ("cut after=1 after=2", "after stands twice"),
        ("cut after=1 direction=left", "direction='left'; write up, down or both"),
        ("strip header=a direction=both", "direction='both'; write up or down"),
        ("answer status=999", "status='999'; write one of 200, 301"),
        ("redirect status=200", "status='200'; write one of 301, 302, 303, 307 or"),
        ("login chance=2", "chance='2'; write a chance from 0 to 1"),
        ("login link=wss", "link='wss'; write ws, http, tcp or any"),
        ("login where=up", "where='up'; write the end of a path such as /up"),
        ("throttle rate=0", "rate='0'; write at least 1 byte"),
    ],
)
def test_a_bad_rule_is_told(text: str, said: str) -> None:
    with pytest.raises(BadRule) as caught:
        parse(text)

    assert said.replace(" or", "") in str(caught.value).replace(" or", "")
    assert repr(text) in str(caught.value)


def test_no_option_hides_a_selector() -> None:
    for verb in VERBS.values():
        assert not verb.options.keys() & SELECTORS.keys()


def test_the_document_names_every_key_and_its_examples_are_rules() -> None:
    text = (Path(__file__).parents[2] / "docs/faultproxy.md").read_text()

    rows = {row.split("`")[1]: row for row in text.splitlines() if row.startswith("| `")}
    for name, verb in VERBS.items():
        shared = rows[name] + (rows["cut"] if name == "reset" else "")
        assert all(f"{key}=" in shared or f"`{key}`" in shared for key in verb.options)
    assert {key.partition("=")[0] for key in rows} >= SELECTORS.keys()
    for example in re.findall(r"--fault '(.*?)'", text) + re.findall(r'Plan\(\["(.*?)"', text):
        parse(example)
