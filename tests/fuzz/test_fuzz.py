"""Does no connection, however mutated, leave a trace in the server or disturb another one?"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
import pytest_twisted

from benchmarks.report import quantile
from sockproxy.core.frames import FIRST_NUMBERED, Decoder
from sockproxy.core.pipe import Inbound
from sockproxy.core.session import Role, Session, Windows
from tests.fuzz.cases import case, cases, honest
from tests.fuzz.conversations import KINDS, Talk, unchanged
from tests.fuzz.house import house, talk
from tests.fuzz.mutations import MUTATIONS

SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.mark.parametrize(
    "count",
    [1500, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
)
@pytest_twisted.ensureDeferred
async def test_mutated_connections_leave_no_trace(tmp_path: Path, count: int) -> None:
    print(f"seed {SEED}; to look for one case: python -m tests.fuzz {SEED}")
    async with house(tmp_path) as there:
        assert await there.play(cases(SEED, count)) == count
        assert there.faults() == [], f"seed {SEED}"
        await there.forgets()
        there.undisturbed()
        p99_ms = 1000 * quantile(there.trips_s, 0.99)
        print(f"{len(there.trips_s)} trips of a neighbour, p99 {p99_ms:.0f} ms")


@pytest_twisted.ensureDeferred
async def test_what_is_not_mutated_is_served(tmp_path: Path) -> None:
    """Else the mutants would never get past the door."""
    begins = {"asked": b"HTTP/1.", "posted": b"HTTP/1.1 200 "}
    async with house(tmp_path) as there:
        for number in range(5 * len(KINDS)):
            found = honest(SEED, number)
            for script in found.scripts:
                heard = await talk(there.server.port, script)
                assert heard.startswith(begins.get(found.kind, b"HTTP/1.1 101 ")), found.kind
        await there.forgets()


@pytest.mark.parametrize("seed", range(20))
def test_an_honest_page_is_taken_at_its_word(seed: int) -> None:
    talk = Talk.drawn(Random(seed))
    session = Session(Role.SERVER, Windows(), lambda: 0.0)
    pipe = Inbound(16_384)

    for piece in talk.said(60):
        happened = session.receive(pipe, piece)
        assert not [event for event in happened if "Ended" in type(event).__name__]

    assert session.rx == talk.offset
    assert session.highest_id == talk.next_id - 2


def test_the_same_seed_says_the_same_bytes_and_another_one_others() -> None:
    assert list(cases(5, 50)) == list(cases(5, 50))
    assert list(cases(5, 9, first=41)) == [case(5, number) for number in range(41, 50)]
    assert not {found.scripts for found in cases(5, 50)} & {found.scripts for found in cases(6, 50)}


def test_all_kinds_come_in_all_ways() -> None:
    found = list(cases(SEED, 600))

    assert {one.kind for one in found} == {kind.__name__ for kind in KINDS}
    ends = {(one.kind, script.ending) for one in found for script in one.scripts}
    assert len(ends) == 4 * len(KINDS)
    assert len({script for one in found for script in one.scripts}) > 600


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_changes_what_is_said(mutation: object) -> None:
    draw = Random(3)
    said = [bytes((kind, 2, 40, 41)) for kind in range(FIRST_NUMBERED)]

    assert callable(mutation)
    assert sum(mutation(draw, said) != said for _ in range(40)) > 20


def test_the_frames_of_an_honest_page_are_whole() -> None:
    for number in range(20):
        decoder = Decoder(16_384)
        decoder.feed(b"".join(unchanged(Talk.drawn(Random(number)).said(30))))
        assert decoder.pending_bytes == 0
