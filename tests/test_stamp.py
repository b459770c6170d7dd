"""Is a file seen to change, whatever changes of it?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sockproxy.stamp import stamp


@pytest.mark.parametrize("change", ["write", "replace", "chmod", "remove"])
def test_a_change_shows(tmp_path: Path, change: str) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("same")
    other.write_text("same")
    before = stamp(str(file))
    assert stamp(str(file)) == before

    if change == "write":
        file.write_text("another")
    elif change == "replace":
        other.replace(file)
    elif change == "chmod":
        file.chmod(0o600)
    else:
        file.unlink()

    assert stamp(str(file)) != before


def test_what_is_not_there_has_none(tmp_path: Path) -> None:
    assert stamp(str(tmp_path / "none")) is None
