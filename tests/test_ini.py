"""Does a file load as written, or say at once all that is wrong and what to write?"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy import ini
from sockproxy.policy.destination import parse
from sockproxy.settings import (
    Access,
    Backend,
    Listener,
    Settings,
    TcpTarget,
)
from tests.pems import made, written

SMALLEST = """\
[listen web]
endpoint = tcp:8080

[backend irc]
target = tcp:irc.example.org:6667
origins = https://app.example
"""

MISTAKEN = """\
[sockproxy]
playgrond = yes
playground = maybe
[listen web]
endpoint = tpc:8080
[backend irc]
target = irc.example.org:6667
orgins = https://app.example
[backend more]
origins = https://app.example/
frames = json
[limits]
linger = 99h
ping = 25
streams = 1000
[limts]
"""
MISTAKES = [
    '2: [sockproxy] playgrond: unknown option, did you mean "playground"?',
    "3: [sockproxy] playground: 'maybe' is neither yes nor no",
    "5: [listen web] endpoint: 'tpc:8080' is no Twisted server endpoint: "
    "Unknown endpoint type: 'tpc'",
    "7: [backend irc] target: 'irc.example.org:6667': write tcp:HOST:PORT, tls:HOST:PORT "
    "or unix:/PATH",
    '8: [backend irc] orgins: unknown option, did you mean "origins"?',
    "9: [backend more] target: is missing",
    "10: [backend more] origins: 'https://app.example/' is no origin; write https://host or "
    "https://host:port, no path",
    "11: [backend more] frames: 'json': input should be 'binary' or 'text'",
    "13: [limits] linger: '99h' is above 600s",
    "14: [limits] ping: '25': write a duration such as 30s, 5m or 250ms",
    "15: [limits] streams: '1000' is above 120",
    '16: [limts]: unknown section, did you mean "limits"?',
]


def problems(text: str) -> list[str]:
    """Return what is wrong with a text, without the name of the file."""
    with pytest.raises(ini.SettingsError) as caught:
        ini.loads(text)
    return [str(problem).removeprefix("proxy.ini:") for problem in caught.value.problems]


def test_the_smallest_file_loads() -> None:
    backend = Backend(
        target=TcpTarget(host="irc.example.org", port=6667), origins=("https://app.example",)
    )

    assert ini.loads(SMALLEST).settings == Settings(
        listeners={"web": Listener(endpoint="tcp:8080")}, backends={"irc": backend}
    )


def test_lists_stand_one_on_a_line() -> None:
    text = (
        "[listen web]\nendpoint = tcp:8080\n[access chat]\n"
        "allow =\n  a.example:1\n  # not b\n  [2001:db8::1]:2\n"
        "origins = https://app.example\n  http://localhost:*\n"
    )

    assert ini.loads(text).settings.access["chat"] == Access(
        allow=(parse("a.example:1"), parse("[2001:db8::1]:2")),
        origins=("https://app.example", "http://localhost:*"),
    )


@pytest.mark.parametrize(
    ("text", "value"), [("yes", True), ("ON", True), ("true", True), ("no", False), ("Off", False)]
)
def test_yes_and_no_are_words(text: str, value: bool) -> None:
    loaded = ini.loads(f"[sockproxy]\nplayground = {text}\n{SMALLEST}")

    assert loaded.settings.sockproxy.playground is value


def test_all_problems_are_told_at_once() -> None:
    assert problems(MISTAKEN) == MISTAKES


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("session_window = 1KiB", "'1KiB' is below 256KiB"),
        ("stream_window = 1GiB", "'1GiB' is above 16MiB"),
        ("linger = 0s", "'0s' is below 1s"),
        ("opens_per_s = 0", "'0' is not above 0"),
        ("opens_per_s = nan", "'nan': input should be a finite number"),
        ("opens_burst = 0", "'0' is below 1"),
    ],
)
def test_a_value_beyond_its_limit_names_both_in_units(option: str, told: str) -> None:
    key = option.split()[0]

    assert problems(f"{SMALLEST}[limits]\n{option}\n") == [f"8: [limits] {key}: {told}"]


def test_a_duration_of_nothing_names_its_limit() -> None:
    assert problems(f"{SMALLEST}dns_timeout = 0ms\n") == [
        "7: [backend irc] dns_timeout: '0ms' is not above 0s"
    ]


def test_windows_that_contradict_each_other_are_told() -> None:
    text = f"{SMALLEST}[limits]\nstream_window = 2MiB\nsession_stream_windows = 1MiB\n"

    assert problems(text) == ["8: [limits] stream_window: 2MiB is above stream_window_max = 1MiB"]
    assert problems(f"{SMALLEST}[limits]\nstream_window_max = 16MiB\n") == [
        "8: [limits] stream_window_max: 16MiB is above session_stream_windows = 8MiB"
    ]


def test_what_is_wrong_with_a_backend_is_told_at_its_line(tmp_path: Path) -> None:
    files = f"certificate={tmp_path}/c.pem:privateKey={tmp_path}/k.pem"
    target = f"tls:irc.example.org:6697:{files}"

    assert problems(SMALLEST.replace("tcp:irc.example.org:6667", target)) == [
        f"5: [backend irc] target: '{tmp_path}/{name}.pem' cannot be read: "
        "No such file or directory"
        for name in "ck"
    ]
    assert problems(f"{SMALLEST}webirc_gateway = gw\n") == [
        "7: [backend irc] webirc_gateway: WEBIRC needs a password; add webirc_password = file:PATH"
    ]


def test_a_way_round_a_proxy_header_is_told_at_its_line() -> None:
    plain = "[backend plain]\ntarget = tcp:irc.example.org:6667\nallow_no_origin = yes\n"

    assert problems(f"{SMALLEST}proxy_protocol = v1\n{plain}") == [
        "9: [backend plain] target: [backend irc] has the same target and a proxy_protocol; "
        "add it here too"
    ]


def test_a_password_of_a_wrong_file_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    webirc = "webirc_password = env:PASSWORD\nwebirc_gateway = gw\n"

    told = problems(f"{SMALLEST}{webirc}proxy_protocol = v3\nframes = json\n")
    settings = ini.loads(f"{SMALLEST}{webirc}").settings

    assert told[0].endswith("proxy_protocol: 'v3': input should be 'none', 'v1' or 'v2'")
    assert "hunter2" not in f"{told} {settings!r} {settings}"
    assert problems(f"{SMALLEST}webirc_password = hunter2\n") == [
        "7: [backend irc] webirc_password: a secret is written file:PATH or env:NAME"
    ]


def test_every_wrong_line_of_a_list_is_told() -> None:
    text = f"{SMALLEST}  *\n  null\n[access a]\nallow = *:1\n  h:0\norigins = http://h\n"

    assert problems(text) == [
        "6: [backend irc] origins: would let every page in; list the origins, such as "
        "https://app.example; 'null' is no origin; write https://host or https://host:port, "
        "no path",
        "10: [access a] allow: '*': name each host, or *.example.org for exactly one label; "
        "'h:0': write HOST:PORT or HOST:FIRST-LAST, ports of 1..65535",
    ]


def test_a_word_near_none_is_told_the_known_ones() -> None:
    assert problems(f"{SMALLEST}[zzz]\n[sockproxy]\nqqq = 1\n") == [
        "7: [zzz]: unknown section; known are sockproxy, limits, tickets, forward_auth, listen, "
        "backend, access",
        "9: [sockproxy] qqq: unknown option; known are include, playground, hosts, "
        "trusted_proxies, client_header",
    ]


@pytest.mark.parametrize("section", ["backend", "backend IRC", "backend a b", "listen", "access "])
def test_a_section_without_a_sound_name_says_what_to_write(section: str) -> None:
    kind = section.split()[0]
    advice = f"write [{kind} NAME], a name of 1 to 32 of a-z 0-9 _ -"

    assert problems(f"{SMALLEST}[{section}]\n") == [f"7: [{section}]: {advice}"]


def test_a_key_that_stands_twice_is_told() -> None:
    assert problems(f"{SMALLEST}origins = https://b.example\n") == [
        "7: [backend irc] origins: the key stands twice"
    ]


def test_a_section_that_stands_twice_is_told() -> None:
    assert problems(f"{SMALLEST}\n[listen web]\nendpoint = tcp:1\n") == [
        "8: [listen web]: the section stands twice, first at proxy.ini:1"
    ]


def test_a_section_that_goes_on_further_down_repeats_no_key() -> None:
    text = f"{SMALLEST}[limits]\n[backend irc]\nframes = text\nframes = json\n"

    assert problems(text) == [
        "8: [backend irc]: the section stands twice, first at proxy.ini:4",
        "10: [backend irc] frames: the key stands twice",
        "10: [backend irc] frames: 'json': input should be 'binary' or 'text'",
    ]


def test_a_key_before_the_first_section_is_told() -> None:
    assert problems(f"linger = 1s\nping = 1s\n{SMALLEST}") == [
        "1: stands before the first [section]"
    ]


def test_a_file_without_sections_is_told_to_have_some() -> None:
    assert problems("web: tcp:8080\nirc: tcp:irc.example.org:6667\n") == [
        "1: stands before the first [section]",
        "1: nobody could connect; add [listen web] with endpoint = tcp:8080",
    ]


def test_no_fault_of_a_line_hides_what_stands_elsewhere() -> None:
    text = f"x = 1\n{SMALLEST}origins = *\n[limits]\nping\n = 5\nlinger = 99h\n[limts]\n"

    assert [line.partition(":")[0] for line in problems(text)] == [
        "1",
        "8",
        "8",
        "10",
        "11",
        "12",
        "13",
    ]


def test_an_indented_file_is_told_by_its_lines() -> None:
    indented = "  " + SMALLEST.replace("\n", "\n  ")

    assert ini.loads(indented).settings == ini.loads(SMALLEST).settings
    assert problems(indented.replace("origins", "orgins")) == [
        "4: [backend irc]: no page may use it; add origins = https://app.example",
        '6: [backend irc] orgins: unknown option, did you mean "origins"?',
    ]


def test_lines_that_are_no_keys_are_told() -> None:
    assert problems("[listen web]\nendpoint\n# fine\ntcp 8080\n") == [
        "2: [listen web]: 'endpoint' is no `key = value`",
        "4: [listen web]: 'tcp 8080' is no `key = value`",
    ]


@pytest.mark.parametrize("character", ["\u2028", "\x0b", "\x85", "\x0c"], ids=ascii)
def test_only_a_newline_is_a_new_line(character: str) -> None:
    assert problems(f"# a{character}b\n{SMALLEST}qqq = 1\n")[0].startswith("8: [backend irc] qqq:")


def test_keys_keep_their_case() -> None:
    assert problems(SMALLEST.replace("endpoint", "Endpoint")) == [
        "1: [listen web] endpoint: is missing",
        '2: [listen web] Endpoint: unknown option, did you mean "endpoint"?',
    ]


def test_a_percent_sign_means_nothing() -> None:
    text = SMALLEST.replace("tcp:irc.example.org:6667", "unix:/run/%(x)s")

    assert "unix" not in problems(text.replace("origins", "rigins"))[0]
    assert ini.loads(text).settings.backends["irc"].target.model_dump() == {"path": "/run/%(x)s"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: nobody could connect; add [listen web] with endpoint = tcp:8080"),
        (
            SMALLEST.replace("origins = https://app.example", ""),
            "4: [backend irc]: no page may use it; add origins = https://app.example",
        ),
        (
            SMALLEST.replace("https://app.example", ""),
            "4: [backend irc]: no page may use it; add origins = https://app.example",
        ),
        (
            SMALLEST.replace("https://app.example", "*"),
            "6: [backend irc] origins: would let every page in; list the origins, "
            "such as https://app.example",
        ),
        (
            SMALLEST.replace("https://app.example", "https://app.example:443"),
            "6: [backend irc] origins: browsers leave the default port out; "
            "write https://app.example",
        ),
        (
            SMALLEST.replace("irc.example.org", "169.254.169.254"),
            "5: [backend irc] target: 169.254.169.254 is in 169.254.0.0/16, "
            "which no backend may be in",
        ),
        (
            f"{SMALLEST}[access a]\norigins = https://app.example\nallow = *:6667\n",
            "9: [access a] allow: '*': name each host, or *.example.org for exactly one label",
        ),
        (
            f"{SMALLEST}[access a]\norigins = https://app.example\nallow =\n",
            "7: [access a]: it opens nothing; add allow = HOST:PORT, one per line",
        ),
        (
            f"{SMALLEST}[access a]\nallow = irc.example.org:6667\n",
            "7: [access a]: no page may use it; add origins = https://app.example",
        ),
    ],
)
def test_an_unsafe_file_does_not_start_and_says_what_to_write(text: str, told: str) -> None:
    assert problems(text) == [told]


def test_a_backend_for_clients_without_origin_needs_none() -> None:
    text = SMALLEST.replace("origins = https://app.example", "allow_no_origin = yes")

    assert ini.loads(text).settings.backends["irc"].allow_no_origin


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("", "is no Twisted server endpoint"),
        ("tcp", "is no Twisted server endpoint"),
        ("tcp:http", "is no Twisted server endpoint"),
        ("tcp:8080:what=1", "is no Twisted server endpoint"),
        ("systemd:domain=INET:index=0", "is no Twisted server endpoint"),
        ("unix:a\\", "write \\\\ for a backslash"),
        ("tcp:65536", "port outside 0..65535"),
        ("tcp6:-1", "port outside 0..65535"),
        ("ssl:443:privateKey=key.pem", "write tcp:PORT, and certificate = FILE"),
        ("haproxy:tcp:8080", "write what stands behind haproxy:, and proxy_protocol = yes"),
    ],
)
def test_a_bad_server_endpoint_is_told(endpoint: str, told: str) -> None:
    said = problems(SMALLEST.replace("tcp:8080", endpoint))

    assert [line.startswith("2: [listen web] endpoint: ") for line in said] == [True]
    assert told in said[0]


def listening(*lines: str) -> str:
    """Return a file whose listener has more lines."""
    return SMALLEST.replace("tcp:8080\n", "\n".join(["tcp:8080", *lines, ""]))


def test_a_listener_with_a_certificate_is_read(tmp_path: Path) -> None:
    pem = made()
    certificate = written(tmp_path / "cert.pem", pem.public, 0o644)
    key = written(tmp_path / "key.pem", pem.private, 0o640)

    loaded = ini.loads(listening(f"certificate = {certificate}", f"private_key = {key}"))
    assert loaded.settings.listeners["web"] == Listener(
        endpoint="tcp:8080", certificate=certificate, private_key=key
    )


def test_a_certificate_that_cannot_be_used_is_told_by_its_line(tmp_path: Path) -> None:
    pem = made()
    certificate = written(tmp_path / "cert.pem", pem.public, 0o644)
    key = written(tmp_path / "key.pem", pem.private, 0o644)

    assert problems(listening(f"certificate = {certificate}")) == [
        f"3: [listen web] certificate: {certificate!r} holds no private key in PEM;"
        " add private_key = FILE"
    ]
    assert problems(listening(f"certificate = {certificate}", f"private_key = {key}")) == [
        f"4: [listen web] private_key: others may read {key!r}: chmod o-r {key}"
    ]
    assert problems(listening(f"private_key = {key}")) == [
        "3: [listen web] private_key: opens nothing; add certificate = FILE"
    ]


def test_a_proxy_that_nobody_trusts_is_told_by_its_line() -> None:
    text = listening("proxy_protocol = yes")

    assert ini.loads(f"[sockproxy]\ntrusted_proxies = 10.0.0.1\n{text}").settings
    assert problems(text) == [
        "3: [listen web] proxy_protocol: nobody is believed; add trusted_proxies = ADDRESS"
        " to [sockproxy]"
    ]
    assert problems(f"{text}[sockproxy]\ntrusted_proxies = nobody\n") == [
        "9: [sockproxy] trusted_proxies: 'nobody' is neither a network nor unix: 'nobody' does"
        " not appear to be an IPv4 or IPv6 network"
    ]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "proxy.ini"
    path.write_text(SMALLEST)

    assert ini.load(str(path)) == ini.loads(SMALLEST).settings


def test_a_byte_order_mark_and_crlf_are_read(tmp_path: Path) -> None:
    path = tmp_path / "proxy.ini"
    path.write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())

    assert ini.load(str(path)) == ini.loads(SMALLEST).settings


@pytest.mark.parametrize("content", [b"\xff", SMALLEST.encode("utf-16")])
def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "proxy.ini"
    path.write_bytes(content)

    with pytest.raises(ini.SettingsError) as caught:
        ini.load(str(path))
    assert str(caught.value) == f"{path}: cannot be read: not UTF-8 text"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "absent.ini"

    with pytest.raises(ini.SettingsError) as caught:
        ini.load(str(path))
    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"


def test_a_loaded_file_knows_where_its_keys_stand() -> None:
    loaded = ini.loads(SMALLEST, "a.ini")

    said = [
        str(loaded.problem(section, key, "no"))
        for section, key in [
            ("listen web", "endpoint"),
            ("backend irc", ""),
            ("backend irc", "frames"),
            ("absent", "key"),
        ]
    ]
    assert said == [
        "a.ini:2: [listen web] endpoint: no",
        "a.ini:4: [backend irc]: no",
        "a.ini:4: [backend irc] frames: no",
        "a.ini:1: [absent] key: no",
    ]


@given(st.text("[]=:#; \n\tabtcplimskend1.", max_size=120))
def test_every_text_loads_or_is_told(text: str) -> None:
    with suppress(ini.SettingsError):
        assert ini.loads(SMALLEST + text).settings.listeners


PRINCIPALS = "principals = alice\n"


def test_a_user_that_nobody_could_show_to_be_is_told() -> None:
    assert problems(SMALLEST + PRINCIPALS) == [
        "7: [backend irc] principals: nobody can say who he is; add [tickets] keys or"
        " [forward_auth] url"
    ]
    assert problems(SMALLEST + PRINCIPALS + "[tickets]\nleeway = 1s\n")[0].startswith("7: ")
    ini.loads(f"{SMALLEST}{PRINCIPALS}[forward_auth]\nurl = http://127.0.0.1/\n")


def test_a_key_that_is_wrong_hides_no_other_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKPROXY_TEST_KEY", "0123456789abcdef0123456789abcdef")
    text = f"{SMALLEST}{PRINCIPALS}[tickets]\nkeys = k HS256 env:SOCKPROXY_NONE\n"
    assert problems(text) == [
        "9: [tickets] keys: key k: there is no SOCKPROXY_NONE in the environment"
    ]
    twice = "keys =\n k HS256 env:SOCKPROXY_TEST_KEY\n k HS256 env:SOCKPROXY_TEST_KEY\n"
    assert problems(f"{SMALLEST}[tickets]\n{twice}") == [
        "8: [tickets] keys: two keys have the same KID"
    ]
