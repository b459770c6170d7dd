"""Are events values that a test can compare?"""

from __future__ import annotations

from sockproxy.core import events


def test_events_are_equal_by_value() -> None:
    assert events.DataReceived(2, b"x") == events.DataReceived(2, b"x")
    assert events.StreamClosed(2, 0, "", 5) != events.StreamClosed(2, 0, "", 6)
