"""Does a pipe place a numbered frame before, at, across or beyond what was heard?"""

from __future__ import annotations

import pytest

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
