"""Is every integer up to 2^53-1 written in its shortest form and read back?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.core import varint
from sockproxy.core.errors import LocalError, PeerError


@pytest.mark.parametrize(
    ("value", "hexed"),
    [
        (0, "00"),
        (37, "25"),
        (63, "3f"),
        (64, "4040"),
        (15_293, "7bbd"),
        (16_384, "80004000"),
        (494_878_333, "9d7f3e7d"),
        (2**30, "c000000040000000"),
        (varint.MAX_VALUE, "c01fffffffffffff"),
    ],
)
def test_the_examples_of_the_rfc_and_the_edges(value: int, hexed: str) -> None:
    assert varint.encode(value).hex() == hexed
    assert varint.decode(bytes.fromhex(hexed), 0) == (value, len(hexed) // 2)


@given(st.integers(0, varint.MAX_VALUE), st.binary(max_size=3))
def test_what_is_written_is_read(value: int, before: bytes) -> None:
    data = before + varint.encode(value) + b"behind"
    read, end = varint.decode(data, len(before))
    assert (read, data[end:]) == (value, b"behind")


@pytest.mark.parametrize("value", [-1, varint.MAX_VALUE + 1])
def test_what_does_not_fit_is_our_own_fault(value: int) -> None:
    with pytest.raises(LocalError):
        varint.encode(value)


@pytest.mark.parametrize("hexed", ["", "40", "800040", "c0000000400000"])
def test_a_cut_integer_is_told_from_a_wrong_one(hexed: str) -> None:
    with pytest.raises(varint.CutError):
        varint.decode(bytes.fromhex(hexed), 0)


def test_more_than_javascript_can_count_is_refused() -> None:
    with pytest.raises(PeerError):
        varint.decode(bytes.fromhex("c020000000000000"), 0)
