"""Does the value of an option mean what it says, and is it told what else to write?"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sockproxy.settings import Access, Backend, Limits, Listener, Service
from sockproxy.values import convert, secret, written


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
    models: list[type[BaseModel]] = [Service, Limits, Backend, Access, Listener]
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


def test_a_secret_stands_in_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2\n\n")
    file.chmod(0o640)
    monkeypatch.setenv("PASSWORD", "hunter3")

    assert secret(f"file:{file}") == "hunter2\n"
    assert secret("env:PASSWORD") == "hunter3"


def test_a_secret_that_everybody_may_read_is_none(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2")
    file.chmod(0o644)

    advice = re.escape(f"everybody may read {file}; run: chmod o-rwx {file}")
    with pytest.raises(ValueError, match=advice):
        secret(f"file:{file}")


def test_a_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "binary").chmod(0o600)

    with pytest.raises(ValueError, match="absent' cannot be read: No such file or directory"):
        secret(f"file:{tmp_path}/absent")
    with pytest.raises(ValueError, match="binary' is not UTF-8 text"):
        secret(f"file:{tmp_path}/binary")
    with pytest.raises(ValueError, match="NOT_THERE is not in the environment"):
        secret("env:NOT_THERE")


@pytest.mark.parametrize("text", ["hunter2", "", "hunter2:x", "file:", "env:"])
def test_a_secret_in_plain_text_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="write file:PATH or env:NAME") as caught:
        secret(text)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("word", ["two words", ":colon", "line\r", "x" * 201, "ä", ""])
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
