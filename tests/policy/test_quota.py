"""Is everything counted under every name, refused whole, and given back once?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.policy.quota import (
    Bound,
    Bounds,
    Caps,
    Counts,
    Full,
    Hold,
    Scope,
    Who,
    bytes_per_s,
    least,
    opens_per_s,
    sessions,
    streams,
)
from sockproxy.settings import Backend, Limits, UnixTarget

ALICE = Who("192.0.2.1", "https://app.example", "alice")
NOBODY = Who("192.0.2.1", None, None)


def refused(counts: Counts, *bounds: Bound) -> Full:
    with pytest.raises(Full) as caught:
        counts.take(bounds)
    return caught.value


def test_so_many_of_one_name_and_no_more() -> None:
    counts = Counts("sessions")
    mine = Bound(Scope.ADDRESS, "192.0.2.1", 2)
    first = counts.take((mine,))
    counts.take((mine,))

    full = refused(counts, mine)
    assert (full.scope, full.text) == (Scope.ADDRESS, "more than 2 sessions from one address")
    assert counts.take((Bound(Scope.ADDRESS, "192.0.2.2", 2),))

    first.release()
    assert counts.take((mine,))


def test_what_is_refused_in_one_scope_is_counted_in_none() -> None:
    counts = Counts("streams")
    wide, narrow = Bound(Scope.ALL, "", 10), Bound(Scope.ADDRESS, "a", 1)
    held = counts.take((wide, narrow))

    for _ in range(20):
        assert refused(counts, wide, narrow).scope is Scope.ADDRESS
    held.release()

    assert len(counts) == 0


def test_nothing_is_below_zero_however_often_it_is_given_back() -> None:
    counts = Counts("streams")
    once = counts.take((Bound(Scope.ALL, "", 1),))
    once.release()
    once.release()

    assert counts.take((Bound(Scope.ALL, "", 1),))
    assert refused(counts, Bound(Scope.ALL, "", 1))
    assert (Scope.ALL, "") in counts


def test_no_bound_is_any_number_and_is_still_counted() -> None:
    counts = Counts("streams")
    for _ in range(1000):
        counts.take((Bound(Scope.ALL, "", 0),))

    assert refused(counts, Bound(Scope.ALL, "", 1000))


def test_pages_without_an_origin_are_counted_together_and_as_nobody_else() -> None:
    keys = {Bound(Scope.ORIGIN, name, 1).key for name in (None, "", "none", "null")}

    assert len(keys) == 4


def said(bounds: tuple[Bound, ...]) -> dict[Scope, tuple[str | None, float]]:
    return {bound.scope: (bound.name, bound.most) for bound in bounds}


def expected(total: int) -> dict[Scope, tuple[str | None, float]]:
    """Return what each of Alice's names may have, where those follow each other."""
    return {
        Scope.ALL: ("", total),
        Scope.ADDRESS: ("192.0.2.1", total + 1),
        Scope.ORIGIN: ("https://app.example", total + 2),
        Scope.PRINCIPAL: ("alice", total + 3),
    }


def test_the_names_and_limits_are_those_of_the_file() -> None:
    limits = Limits(
        sessions=1,
        sessions_per_address=2,
        sessions_per_origin=3,
        sessions_per_principal=4,
        streams_total=5,
        streams_per_address=6,
        streams_per_origin=7,
        streams_per_principal=8,
        total_opens_per_s=9,
        address_opens_per_s=10,
        origin_opens_per_s=11,
        principal_opens_per_s=12,
        total_bytes_per_s=13,
        address_bytes_per_s=14,
        origin_bytes_per_s=15,
        principal_bytes_per_s=16,
    )
    section = {Scope.SECTION: ("backend irc", 3)}

    assert said(sessions(ALICE, limits)) == expected(1)
    assert said(streams(ALICE, limits, Bounds("backend irc", 3), Caps())) == expected(5) | section
    assert said(opens_per_s(ALICE, limits)) == expected(9)
    assert said(bytes_per_s(ALICE, limits)) == expected(13)


def test_nobody_is_no_principal() -> None:
    limits = Limits()
    all_bounds = (
        *sessions(NOBODY, limits),
        *streams(NOBODY, limits, Bounds(), Caps()),
        *opens_per_s(NOBODY, limits),
        *bytes_per_s(NOBODY, limits),
    )

    assert Scope.PRINCIPAL not in {bound.scope for bound in all_bounds}


def test_a_principal_is_the_last_to_be_refused_a_session() -> None:
    assert sessions(ALICE, Limits())[-1].scope is Scope.PRINCIPAL


@pytest.mark.parametrize(
    ("of_file", "of_ticket", "most"), [(8, 3, 3), (8, 20, 8), (0, 3, 3), (8, 0, 8), (0, 0, 0)]
)
def test_papers_narrow_what_the_file_allows_and_never_widen_it(
    of_file: int, of_ticket: int, most: int
) -> None:
    bounds = streams(
        ALICE, Limits(streams_per_principal=of_file), Bounds(), Caps(streams=of_ticket)
    )

    assert bounds[0] == Bound(Scope.PRINCIPAL, "alice", most)
    assert least(of_file, of_ticket) == most


def test_the_bounds_of_a_section_are_those_that_it_says() -> None:
    way = Backend(target=UnixTarget(path="/s"), max_streams=3, idle_timeout=60, max_bytes=1000)

    assert Bounds.of("backend s", way) == Bounds("backend s", 3, 60.0, 1000)


NAMES = st.sampled_from(["a", "b", None])
BOUNDS = st.tuples(
    st.builds(Bound, st.just(Scope.ALL), st.just(""), st.integers(0, 6)),
    st.builds(Bound, st.just(Scope.ADDRESS), st.sampled_from("ab"), st.integers(0, 3)),
    st.builds(Bound, st.just(Scope.ORIGIN), NAMES, st.integers(0, 3)),
)


@given(st.lists(st.tuples(st.booleans(), BOUNDS, st.integers(0, 50)), max_size=60))
def test_whatever_is_taken_and_given_back_the_counts_are_right(
    steps: list[tuple[bool, tuple[Bound, ...], int]],
) -> None:
    counts = Counts("sessions")
    held: list[tuple[Hold, tuple[Bound, ...]]] = []
    given_back: list[Hold] = []
    for takes, bounds, number in steps:
        if takes:
            others = [_keys(taken) for _, taken in held]
            if any(b.most and sum(b.key in keys for keys in others) >= b.most for b in bounds):
                refused(counts, *bounds)
            else:
                held.append((counts.take(bounds), bounds))
        elif held:
            hold, _ = held.pop(number % len(held))
            hold.release()
            given_back.append(hold)
    for hold, _ in held:
        hold.release()
    for hold in given_back:
        hold.release()

    assert len(counts) == 0


def _keys(bounds: tuple[Bound, ...]) -> set[object]:
    return {bound.key for bound in bounds}
