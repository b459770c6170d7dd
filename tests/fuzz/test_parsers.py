"""Does every parser of what strangers say end in a value or in its one complaint?

And where it ends in a value: is that canonical, so that what is printed of it says the same?
What the tests beside each module draw, is not drawn again here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from twisted.internet.address import IPv4Address
from twisted.web.http import Request
from twisted.web.test.requesthelper import DummyChannel

from sockproxy import head, ini
from sockproxy.core import frames, varint
from sockproxy.core.errors import PeerError
from sockproxy.front import Visitor, visitor
from sockproxy.head import BadHead
from sockproxy.links import hello
from sockproxy.links.probe import ECHO_MAX_BYTES, ECHOES, Probe
from sockproxy.policy import destination, forwarded, host, origin, target
from sockproxy.refused import Refused
from sockproxy.settings import Access, Backend, Limits, Listener, Service
from sockproxy.upgrade import check_upgrade
from sockproxy.values import convert, written
from tests.fuzz.conversations import Talk, asked, posted, probed, raw, unchanged
from tests.fuzz.mutations import mutated
from tests.helpers import chunkings

MOST = 100_000
LIMIT = frames.MAX_CLIENT_DATA_BYTES
SEEDS = st.integers(0, 2**32)
HEADER_NAMES = (
    "Host",
    "Origin",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Cookie",
)
HEADER_WORDS = (
    b"websocket",
    b"Upgrade",
    b"13",
    b"gw.example:80",
    b"[::1]",
    b"https://a.example",
    b"dGhlIHNhbXBsZSBub25jZQ==",
    b"binary, irc",
    b"a b",
    b"\x85",
    b",",
    b"",
)
EXAMPLE = """\
[sockproxy]
hosts = gw.example
trusted_proxies =
    10.0.0.0/8
    unix
[listen web]
endpoint = tcp:8080:interface=127.0.0.1
[backend irc]
target = tcp:127.0.0.1:6667
origins = https://app.example
[access hosts]
allow =
    *.irc.example:6667-6669
    192.0.2.0/24:80
deny = 192.0.2.7
origins = https://*.app.example
[limits]
linger = 30s
stream_window = 64KiB
opens_per_s = 1.5
"""


def heads(seed: int) -> bytes:
    """Return the mutated head of a request."""
    draw = Random(seed)
    kind = draw.choice((asked, posted, raw, probed))
    lines = kind(draw, unchanged)[0][0].split(b"\r\n\r\n")[0].split(b"\r\n")
    return b"".join(mutated(draw, [line + b"\r\n" for line in lines], 3)).removesuffix(b"\r\n")


def ours(seed: int) -> bytes:
    """Return mutated frames of ours."""
    draw = Random(seed)
    talk = Talk.drawn(draw)
    return b"".join(mutated(draw, [frames.encode(talk.hello), *talk.said(12)], 4))


@given(SEEDS.map(heads) | st.binary(max_size=80))
def test_a_judged_head_is_judged_the_same_again(said: bytes) -> None:
    with suppress(BadHead):
        head.hopeless(said)
        found = head.judge(said, MOST)
        assert head.judge(found.raw.removesuffix(head.END), MOST) == found
        assert 0 <= found.body_bytes <= MOST
        assert found.host == found.host.lower()


@given(st.lists(st.tuples(st.sampled_from(HEADER_NAMES), st.sampled_from(HEADER_WORDS))))
def test_a_request_has_one_visitor_or_a_complaint(lines: list[tuple[str, bytes]]) -> None:
    request = Request(DummyChannel(), False)  # type: ignore[arg-type]
    request.method, request.clientproto = b"GET", b"HTTP/1.1"
    request.client = IPv4Address("TCP", "192.0.2.1", 50_000)
    for name, value in lines:
        request.requestHeaders.addRawHeader(name.encode(), value)
    with suppress(BadHead):
        assert len(check_upgrade(request)) == 24
    with suppress(BadHead):
        found = visitor(request)
        assert isinstance(found, Visitor)
        assert all(token and token.isascii() and " " not in token for token in found.offered)
        assert [value for name, value in lines if name == "Host"] == [found.host.encode()]


@given(SEEDS.map(ours) | st.binary(max_size=200))
def test_bytes_are_the_same_frames_however_they_are_cut(said: bytes) -> None:
    seen = set()
    for chunks in chunkings(said):
        decoder, found, complaint = frames.Decoder(LIMIT), [], ""
        try:
            for chunk in chunks:
                found += decoder.feed(chunk)
        except PeerError as error:
            # How much came before it in the same chunk is lost with the link.
            complaint, found = error.text, []
        seen.add((tuple(found), complaint, 0 if complaint else decoder.pending_bytes))
    assert len(seen) == 1


@given(SEEDS.map(ours))
def test_a_frame_that_is_read_is_written_as_what_it_says(said: bytes) -> None:
    with suppress(PeerError):
        for cut in frames.Decoder(LIMIT).feed(said):
            frame = frames.parse(cut)
            if frame is not None:
                (again,) = frames.Decoder(LIMIT).feed(frames.encode(frame))
                assert frames.parse(again) == frame
                assert again.size <= cut.size


@given(st.binary(max_size=12), st.integers(0, 12))
def test_an_integer_that_is_read_is_written_no_longer(said: bytes, at: int) -> None:
    with suppress(PeerError, varint.CutError):
        value, end = varint.decode(said, at)
        assert 0 <= value <= varint.MAX_VALUE
        assert len(varint.encode(value)) <= end - at
        assert varint.decode(varint.encode(value), 0)[0] == value


@given(SEEDS.map(ours) | st.binary(max_size=200))
def test_a_hello_is_cut_off_or_refused(said: bytes) -> None:
    with suppress(Refused):
        found, rest = hello.cut(said)
        assert said.endswith(rest)
        assert hello.cut(frames.encode(found) + rest) == (found, rest)
        assert (len(found.sid), len(found.secret)) in {(a, b) for a in (0, 16) for b in (0, 32)}


@given(st.lists(SEEDS.map(ours) | st.binary(max_size=60), max_size=12))
def test_a_probe_echoes_little_or_refuses(messages: list[bytes]) -> None:
    probe, said = Probe(), 0
    for message in messages:
        with suppress(Refused):
            said += len(probe.answer(message))
    assert said <= ECHOES * (ECHO_MAX_BYTES + 20)


@given(st.binary(max_size=12))
def test_a_field_is_an_integer_or_a_complaint(content: bytes) -> None:
    with suppress(PeerError):
        assert 0 <= frames.tlv_int({7: content}, 7, 0) <= varint.MAX_VALUE


HOSTS = st.text("ab-_.:*[]1", max_size=20) | st.text(max_size=20)


@given(HOSTS)
@example("[::1]")
@example("*.a.b")
def test_a_host_rule_that_loads_names_what_it_says(rule: str) -> None:
    if host.problem(rule) is None:
        named = rule.replace("*", "a")
        assert host.allowed(named, [rule])
        assert host.allowed(named + ".", [rule])
        assert not host.allowed("x" + named.replace("a", "b"), [rule])
        assert rule == rule.lower()


@given(HOSTS, HOSTS)
def test_a_host_rule_without_a_star_names_nothing_else(name: str, rule: str) -> None:
    if host.problem(rule) is None and "*" not in rule:
        assert host.allowed(name, [rule]) == (name.removesuffix(".") == rule)


@given(st.text("https:/.*[]1a-@", max_size=30) | st.text(max_size=30))
def test_an_origin_rule_that_loads_has_nothing_to_interpret(rule: str) -> None:
    if origin.problem(rule) is None:
        assert rule == rule.lower()
        assert rule.isascii()
        assert not set("@?#% \\") & set(rule)
        assert origin.allowed(rule, [rule]) != ("*" in rule)


@given(st.text("ab.*:/[]0123456789-", max_size=24), st.booleans())
@example("[2001:db8::/32]:80", False)
def test_a_destination_that_loads_is_read_the_same_again(text: str, any_port: bool) -> None:
    with suppress(ValueError):
        rule = destination.parse(text, any_port=any_port)
        assert destination.parse(rule.text, any_port=any_port) == rule
        assert (rule.host is None) != (rule.network is None)
        destination.problem(rule, ())
        if rule.network is not None:
            assert destination.covers(rule, str(rule.network[0]), rule.first_port)


@given(st.text(max_size=30), st.integers(-1, 2**53))
def test_every_target_is_canonical_or_refused(asked_for: str, port: int) -> None:
    with suppress(target.BadTarget):
        found = target.parse(asked_for, port)
        if isinstance(found, target.HostTarget):
            assert target.parse(found.host, found.port) == found
        else:
            assert found.name == asked_for


@given(st.lists(st.text('for="=;,1.:[]abc \\\t', max_size=40), max_size=3))
def test_a_header_of_a_proxy_is_cut_in_time_and_loses_no_element(lines: list[str]) -> None:
    assert len(forwarded.forwarded(lines)) >= len(lines)
    assert len(forwarded.x_forwarded_for(lines)) >= len(lines)


@given(SEEDS)
def test_a_file_loads_or_all_that_is_wrong_has_a_line(seed: int) -> None:
    draw = Random(seed)
    lines = [f"{line}\n".encode() for line in EXAMPLE.splitlines()]
    text = b"".join(mutated(draw, lines, 4)).decode(errors="replace")
    problems = None
    try:
        assert ini.loads(text).settings.listeners
    except ini.SettingsError as error:
        problems = error.problems
    assert problems is None or all(told.line <= text.count("\n") + 1 for told in problems)
    assert problems != []


@given(st.text(max_size=60))
def test_no_text_whatever_does_more_than_not_load(text: str) -> None:
    for whole in (text, EXAMPLE + text, EXAMPLE.replace("30s", text)):
        with suppress(ini.SettingsError):
            ini.loads(whole)


@given(st.binary(max_size=60))
def test_no_bytes_whatever_do_more_than_not_load(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = Path(tmp_path_factory.getbasetemp()) / "fuzzed.ini"
    file.write_bytes(EXAMPLE.encode() + content)
    with suppress(ini.SettingsError):
        ini.read(str(file))


MODELS: list[type[BaseModel]] = [Service, Listener, Backend, Access, Limits]
OPTIONS = [(model, key) for model in MODELS for key in model.model_fields]


@given(
    st.sampled_from(OPTIONS), st.text(max_size=20) | st.from_regex(r"[0-9.]{1,9} ?[A-Za-z]{1,3}")
)
def test_an_option_that_loads_is_written_as_what_it_means(
    option: tuple[type[BaseModel], str], text: str
) -> None:
    model, key = option
    with suppress(ValueError):
        value = convert(model, key, text)
        if isinstance(value, int) and not isinstance(value, bool) and value % 1024 == 0:
            assert convert(model, key, written(model.model_fields[key], value)) == value
        if isinstance(value, bool):
            assert convert(model, key, written(model.model_fields[key], value)) is value
