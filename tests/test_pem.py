"""Does a file of certificates and keys hold what it has to, or is it told what is wrong?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sockproxy import pem
from tests.certificates import Authority, keep, new_key, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One pair, apart and in one file, and what is no pair."""
    authority = Authority(tmp_path)
    both = authority.signed("page.example")
    end = both.index(b"-----BEGIN PRIVATE KEY")
    files = {
        "both.pem": both,
        "own.pem": both[:end] + Path(authority.file).read_bytes(),
        "key.pem": both[end:],
        "other.pem": written(new_key()),
        "locked.pem": written(new_key(), b"hunter2"),
        "garbage.pem": b"\x00\xff" * 100,
        "cut.pem": both[:200],
        "empty.pem": b"",
    }
    for name, content in files.items():
        keep(tmp_path / name, content)
    return tmp_path


def test_a_pair_is_read_from_one_file_or_two(folder: Path) -> None:
    whole, apart = str(folder / "both.pem"), str(folder / "own.pem")

    assert len(pem.pair(whole, None)[0]) == 1
    chain, key = pem.pair(apart, str(folder / "key.pem"))
    assert len(chain) == 2
    assert key.public_key() == chain[0].public_key()


@pytest.mark.parametrize("name", ["garbage", "cut", "empty", "key"])
def test_what_is_no_certificate_is_told(folder: Path, name: str) -> None:
    with pytest.raises(pem.BadPem, match=rf"{name}.pem' holds no certificate in PEM"):
        pem.certificates(str(folder / f"{name}.pem"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("garbage", "holds no private key in PEM"),
        ("empty", "holds no private key in PEM"),
        ("locked", "has a passphrase; `openssl pkey` takes it off"),
    ],
)
def test_what_is_no_key_is_told(folder: Path, name: str, why: str) -> None:
    with pytest.raises(pem.BadPem, match=f"{name}.pem' {why}"):
        pem.key(str(folder / f"{name}.pem"))


def test_a_key_is_for_nobody_else_to_read_and_no_file_for_them_to_write(folder: Path) -> None:
    (folder / "key.pem").chmod(0o644)
    with pytest.raises(pem.BadPem, match=r"others may read '.*key\.pem': chmod o-r "):
        pem.key(str(folder / "key.pem"))

    (folder / "own.pem").chmod(0o644)
    assert pem.certificates(str(folder / "own.pem"))
    (folder / "own.pem").chmod(0o646)
    with pytest.raises(pem.BadPem, match=r"others may write '.*own\.pem': chmod o-w "):
        pem.certificates(str(folder / "own.pem"))


def test_a_key_belongs_to_its_certificate(folder: Path) -> None:
    with pytest.raises(pem.BadPem, match=r"other\.pem' holds the key of another certificate"):
        pem.pair(str(folder / "own.pem"), str(folder / "other.pem"))


def test_a_file_that_cannot_be_read_is_the_systems_to_tell(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pem.certificates(str(folder / "absent.pem"))
