"""Is the list of what is revoked read again when it changes, and only then?"""

from __future__ import annotations

from pathlib import Path

from sockproxy.auth.revocations import Revocations
from sockproxy.policy.revoked import Revoked
from tests.logged import lines

MALLORY = Revoked(principals=frozenset({"mallory"}))


def test_without_a_file_nothing_is_revoked() -> None:
    revocations = Revocations(None)

    assert not revocations.look(0.0)
    assert revocations.list == Revoked()


def test_a_list_is_read_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text("")
    revocations = Revocations(str(file))
    assert not revocations.look(0.0)

    newer = tmp_path / "newer"
    newer.write_text("sub mallory\n")
    newer.rename(file)

    assert revocations.look(0.0)
    assert revocations.list == MALLORY
    assert not revocations.look(0.0)


def test_a_list_that_says_nothing_sound_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text("sub mallory\n")
    revocations = Revocations(str(file))
    revocations.look(0.0)

    with lines() as said:
        file.write_text("sub mallory\nsub\n")
        assert not revocations.look(0.0)
        assert not revocations.look(0.0)
        file.unlink()
        assert not revocations.look(0.0)

        assert not revocations.look(59.0)
        assert not revocations.look(60.0)

    assert revocations.list == MALLORY
    assert [line.partition("; ")[0].partition("revoked: ")[2] for line in said] == [
        "line 2: write `jti ID` or `sub NAME`",
        *[f"[Errno 2] No such file or directory: '{file}'"] * 2,
    ]
