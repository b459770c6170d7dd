"""Do the kinds of fault know their names and their direction?"""

from __future__ import annotations

from sockproxy.faults.kinds import BOTH, DOWN, REDIRECTS, STATUSES, UP, Cut, concerns


def test_a_reset_is_a_cut_of_another_name() -> None:
    def named(reset: bool) -> str:
        return Cut(
            after_bytes=1, step_bytes=0, age_s=None, direction=DOWN, body=False, reset=reset
        ).verb

    assert (named(False), named(True)) == ("cut", "reset")


def test_both_is_either() -> None:
    assert concerns(BOTH, UP)
    assert concerns(BOTH, DOWN)
    assert concerns(UP, UP)
    assert not concerns(UP, DOWN)


def test_every_redirect_has_a_reason() -> None:
    assert set(REDIRECTS) <= set(STATUSES)
