"""Does what a page has shown stay out of sight?"""

from __future__ import annotations

from sockproxy.auth.shown import NOTHING, Shown


def test_what_was_shown_is_not_printed() -> None:
    shown = Shown("canary", (("session", "canary"),))

    assert "canary" not in repr(shown)
    assert shown != NOTHING
