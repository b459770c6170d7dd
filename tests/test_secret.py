"""Is a secret read from where nobody else can read it?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sockproxy import secret


def kept(folder: Path, content: bytes, mode: int = 0o600) -> str:
    file = folder / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    return f"file:{file}"


@pytest.mark.parametrize("content", [b"open", b"open\n", b"open\r\n"])
def test_a_file_holds_a_secret_and_maybe_an_end_of_line(tmp_path: Path, content: bytes) -> None:
    assert secret.read(kept(tmp_path, content)).get_secret_value() == b"open"


def test_the_environment_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESAME", "open")

    assert secret.read("env:SESAME").get_secret_value() == b"open"


@pytest.mark.parametrize("text", ["", "hunter2", "file:", "env:", "hunter2:/x", "file"])
def test_a_secret_does_not_stand_in_the_ini_itself_and_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="written file:PATH or env:NAME") as caught:
        secret.read(text)
    assert "hunter2" not in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no SESAME_2 in the environment"):
        secret.read("env:SESAME_2")
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        secret.read(f"file:{tmp_path}/none")


def test_a_file_that_others_may_read_keeps_no_secret(tmp_path: Path) -> None:
    source = kept(tmp_path, b"open", 0o644)

    with pytest.raises(ValueError, match=r"others may read .* chmod o-r"):
        secret.read(source)
    assert secret.read(source, public=True).get_secret_value() == b"open"


@pytest.mark.parametrize("public", [False, True])
def test_a_file_that_others_may_write_holds_no_key(tmp_path: Path, public: bool) -> None:
    with pytest.raises(ValueError, match=r"others may write .* chmod o-w"):
        secret.read(kept(tmp_path, b"open", 0o622), public=public)


def test_nothing_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is empty"):
        secret.read(kept(tmp_path, b"\n"))


def test_a_secret_is_not_printed(tmp_path: Path) -> None:
    assert "open" not in repr(secret.read(kept(tmp_path, b"open")))
