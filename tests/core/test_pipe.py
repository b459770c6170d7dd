"""Does a pipe place a numbered frame before, at, across or beyond what was heard?"""

from __future__ import annotations

import pytest

from sockproxy.core import frames
from sockproxy.core.errors import LinkError, PeerError
from sockproxy.core.pipe import Inbound


def test_a_pipe_starts_where_the_log_was_heard_to() -> None:
    pipe = Inbound(100)
    assert pipe.place(10, 50)
    assert pipe.position == 60
    assert pipe.place(5, 60)


def test_what_came_before_is_skipped() -> None:
    pipe = Inbound(100)
    pipe.at(0)
    assert not pipe.place(20, 50)
    assert not pipe.place(30, 50)
    assert pipe.place(7, 50)


def test_a_frame_across_is_a_lie() -> None:
    pipe = Inbound(100)
    pipe.at(40)
    with pytest.raises(PeerError, match=r"frame 40\.\.60 across 50"):
        pipe.place(20, 50)


def test_a_frame_beyond_is_a_hole() -> None:
    pipe = Inbound(100)
    pipe.at(60)
    with pytest.raises(LinkError, match="frame at 60 after 50"):
        pipe.place(20, 50)


def test_at_goes_only_forward() -> None:
    pipe = Inbound(100)
    pipe.at(60)
    pipe.at(60)
    with pytest.raises(PeerError, match="AT 59 behind 60"):
        pipe.at(59)


@pytest.mark.parametrize(
    ("first", "good", "bad"),
    [
        (frames.OPENS_LINK, b"\x00\x06\x07\x08", b"\x01\x04\x05\x0b\x10\x80<"),
        (frames.OPENS_DOWN, b"\x04\x07\x08", b"\x00\x01\x05\x06\x0b\x10\x80<"),
        (frames.OPENS_REPLY, b"\x01\x07", b"\x00\x04\x05\x06\x08\x10\x80<"),
    ],
    ids=["link", "down", "reply"],
)
def test_each_answer_begins_in_its_own_way(first: frozenset[int], good: bytes, bad: bytes) -> None:
    for byte in good:
        Inbound(100, first=first).begin(bytes((byte,)))
    for byte in bad:
        with pytest.raises(LinkError, match=f"byte {byte:#04x} is not the server's"):
            Inbound(100, first=first).begin(bytes((byte,)))


def test_only_the_first_byte_is_looked_at_and_an_empty_read_has_none() -> None:
    pipe = Inbound(100, first=frames.OPENS_REPLY)
    pipe.begin(b"")
    with pytest.raises(LinkError):
        pipe.begin(b"<")
    pipe.begin(b"\x01")
    pipe.begin(b"<")
    Inbound(100).begin(b"<")
