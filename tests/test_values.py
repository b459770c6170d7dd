"""Does the value of an option mean what it says, and is it told what else to write?"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sockproxy.settings import Access, Backend, ForwardAuth, Limits, Listener, Service, Tickets
from sockproxy.values import convert, written
from tests.tickets import NEW, OLD, PUBLIC, SHARED


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("30s", 30), ("5m", 300), ("1.5h", 5400), ("2 m", 120)]
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert convert(Limits, "linger", text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64KiB", 65_536), ("4MiB", 4_194_304), ("100kB", 100_000), ("1.5 kB", 1500), ("7B", 7)],
)
def test_a_size_has_a_unit(text: str, size: int) -> None:
    assert convert(Limits, "stream_window", text) == size


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "1 day", "30S", "1e3s", "0x1s", "1s 2s"])
def test_what_is_no_duration_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write a duration such as 30s, 5m or 250ms"):
        convert(Limits, "linger", text)


@pytest.mark.parametrize("text", ["", "64", "64kb", "64K", "MiB", "-1B", "9" * 400 + "B"])
def test_what_is_no_size_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write a size such as 64KiB, 4MiB or 100kB"):
        convert(Limits, "stream_window", text)


@given(st.text(max_size=30))
def test_every_text_of_an_option_has_a_meaning_or_a_complaint(text: str) -> None:
    models: list[type[BaseModel]] = [
        Service,
        Limits,
        Backend,
        Access,
        Listener,
        Tickets,
        ForwardAuth,
    ]
    for model in models:
        for key in model.model_fields:
            with suppress(ValueError):
                convert(model, key, text)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example", "UNIX", "10.0.0.0/33"])
def test_a_trusted_proxy_is_an_address_a_network_or_unix(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a network nor unix"):
        convert(Service, "trusted_proxies", text)


@pytest.mark.parametrize("text", ["0", "65536", "x", "-1", "22 x"])
def test_a_forced_port_is_a_port(text: str) -> None:
    assert convert(Access, "forced_ports", "22 25\n6379") == (22, 25, 6379)
    with pytest.raises(ValueError, match=r"outside 1..65535"):
        convert(Access, "forced_ports", text)


def test_hosts_stand_one_on_a_line() -> None:
    assert convert(Service, "hosts", "gw.example\n*.gw.example") == ("gw.example", "*.gw.example")
    with pytest.raises(ValueError, match="is no host name"):
        convert(Service, "hosts", "gw.example:80")


def test_a_target_may_go_on_in_the_next_line() -> None:
    pins = f"\n    :pin={'a' * 64}\n    :pin={'b' * 64}"

    target = convert(Backend, "target", f"tls:irc.example.org:6697{pins}")
    assert target.tls.pins == ("a" * 64, "b" * 64)


@pytest.mark.parametrize("word", ["two words", ":colon", "line\r", "x" * 201, "ä"])
def test_a_webirc_password_is_a_word_of_irc(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", word)

    with pytest.raises(ValueError, match="the password is no word of IRC") as caught:
        convert(Backend, "webirc_password", "env:PASSWORD")
    assert not word or word not in str(caught.value)


def test_a_webirc_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    value: Any = convert(Backend, "webirc_password", "env:PASSWORD")

    assert value.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{value!r} {value}"
    assert convert(Backend, "webirc_password", "") is None


def test_a_gateway_is_a_name_without_blanks() -> None:
    assert convert(Backend, "webirc_gateway", "gw.example:1") == "gw.example:1"
    with pytest.raises(ValueError, match="'a gateway' is no name of a gateway"):
        convert(Backend, "webirc_gateway", "a gateway")


@pytest.mark.parametrize(
    ("model", "key", "text"),
    [
        (Limits, "linger", "30s"),
        (Limits, "stream_window", "64KiB"),
        (Limits, "detached_memory", "4MiB"),
        (Limits, "opens_per_s", "2.5"),
        (Service, "playground", "yes"),
        (Service, "hosts", "a.example\n    b.example"),
        (Service, "trusted_proxies", "10.0.0.0/8\n    2001:db8::/32\n    unix"),
    ],
)
def test_what_is_written_means_the_same(model: type[BaseModel], key: str, text: str) -> None:
    field = model.model_fields[key]
    value = convert(model, key, text)

    assert written(field, float(value) if key == "opens_per_s" else value) == text


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOCKPROXY_TEST_KEY", SHARED.decode())
    monkeypatch.setenv("SOCKPROXY_SHORT", "short")
    monkeypatch.setenv("SOCKPROXY_PEM", PUBLIC.decode())
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "other.pem").write_bytes(pem)
    (tmp_path / "new.pem").write_bytes(PUBLIC)
    return tmp_path


def test_a_key_has_a_name_an_algorithm_and_a_source(keys: Path) -> None:
    text = f"old HS256 env:SOCKPROXY_TEST_KEY\nnew  EdDSA  file:{keys}/new.pem"

    assert convert(Tickets, "keys", text) == (OLD, NEW)
    assert "0123" not in repr(convert(Tickets, "keys", text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("old", "write KID HS256 SECRET or KID EdDSA SECRET"),
        ("old HS512 env:SOCKPROXY_TEST_KEY", "write KID HS256 SECRET"),
        ("o/d HS256 env:SOCKPROXY_TEST_KEY", "write KID HS256 SECRET"),
        ("old HS256", "write KID HS256 SECRET"),
        ("hunter2", "write KID HS256 SECRET"),
        ("hunter2 HS256 hunter2", "a secret is written file:PATH or env:NAME"),
        ("old HS256 sesame", "key old: a secret is written file:PATH or env:NAME"),
        ("old HS256 env:SOCKPROXY_SHORT", "key old: 5 bytes are below 32"),
        ("old HS256 env:SOCKPROXY_PEM", "key old: a key in PEM is none for HS256"),
        ("new EdDSA env:SOCKPROXY_TEST_KEY", "key new: it is no public Ed25519 key in PEM"),
        ("new EdDSA file:FOLDER/other.pem", "key new: it is no public Ed25519 key in PEM"),
        ("new EdDSA file:FOLDER/none.pem", "cannot be read: No such file"),
    ],
)
def test_a_key_that_could_be_misused_is_none(keys: Path, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        convert(Tickets, "keys", text.replace("FOLDER", str(keys)))


@pytest.mark.parametrize(
    ("model", "key", "good", "bad"),
    [
        (Backend, "principals", "alice\n*", "a b"),
        (ForwardAuth, "cookies", "sessionid\n__Host-s", "a=b"),
        (ForwardAuth, "url", "http://127.0.0.1:8000/who?x=1", "ftp://127.0.0.1/"),
        (ForwardAuth, "url", "https://app.example", "https://user@app.example/"),
        (ForwardAuth, "url", "http://[::1]:8000/", "http://127.0.0.1/\u00e4"),
        (ForwardAuth, "url", "http://app.example/", "http://"),
    ],
)
def test_names_and_addresses_of_users_are_sound(
    model: type[BaseModel], key: str, good: str, bad: str
) -> None:
    assert convert(model, key, good)
    with pytest.raises(ValueError, match=r"is no name of|write http"):
        convert(model, key, bad)


def test_an_option_without_a_value_may_be_written_as_one() -> None:
    assert convert(ForwardAuth, "url", "") is None
    assert convert(Tickets, "revoked", "") is None
    assert written(Tickets.model_fields["revoked"], None) == ""


def test_a_url_with_a_password_is_none_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="a URL holds no password") as caught:
        convert(ForwardAuth, "url", "http://app:hunter2@127.0.0.1/")
    assert "hunter2" not in str(caught.value)


def test_a_list_of_what_is_revoked_can_be_read_when_the_file_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        convert(Tickets, "revoked", str(file))

    file.write_text("sub\n")
    with pytest.raises(ValueError, match="line 1: write `jti ID` or `sub NAME`"):
        convert(Tickets, "revoked", str(file))

    file.write_text("sub mallory\n")
    assert convert(Tickets, "revoked", str(file)) == str(file)
    file.chmod(0o666)
    with pytest.raises(ValueError, match="others may write"):
        convert(Tickets, "revoked", str(file))
