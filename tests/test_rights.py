"""Is it seen what others may do to a file, or to the folder it lies in?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sockproxy import rights


@pytest.mark.parametrize(
    ("mode", "public", "secret"),
    [
        (0o600, None, None),
        (0o640, None, None),
        (0o660, None, None),
        (0o644, None, "read"),
        (0o602, "write", "write"),
        (0o666, "write", "write"),
    ],
)
def test_what_others_may_do_to_a_file_is_told(
    tmp_path: Path, mode: int, public: str | None, secret: str | None
) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)
    found = file.stat().st_mode

    assert rights.others(found) == public
    assert rights.others(found, secret=True) == secret


def test_a_device_that_anybody_may_write_is_no_file() -> None:
    assert rights.others(os.stat(os.devnull).st_mode) is None


@pytest.mark.parametrize(
    ("mode", "replaced", "added"),
    [(0o755, False, False), (0o775, False, False), (0o777, True, True), (0o1777, False, True)],
)
def test_a_folder_of_others_is_seen(tmp_path: Path, mode: int, replaced: bool, added: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)

    assert rights.may_put(str(folder)) is replaced
    assert rights.may_put(str(folder), anew=True) is added


def test_no_folder_is_the_one_we_are_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not rights.may_put("", anew=True)
    tmp_path.chmod(0o777)
    assert rights.may_put("", anew=True)
