"""Does a session keep its invariants whatever the network does? (docs/protocol.md section 6)

A state machine drives `World`. The macro rule is there because single steps hardly ever
fill a window: without it three planted bugs of eight survived.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.core.world import World

NUMBERS = st.integers(0, 11)
SIZES = st.sampled_from([1, 63, 64, 700, 5000, 17_000, 40_000])
SIDES = st.booleans()


class SessionMachine(RuleBasedStateMachine):
    """Every verb of the world, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(http=st.booleans())
    def connect(self, http: bool) -> None:
        self.world.connect(http)

    @rule()
    def cut(self) -> None:
        self.world.cut()

    @rule()
    def client_says(self) -> None:
        self.world.client_says()

    @rule()
    def server_says(self) -> None:
        self.world.server_says()

    @rule(lose=st.sampled_from([False, False, False, True]), keep=st.booleans())
    def to_server(self, lose: bool, keep: bool) -> None:
        self.world.to_server(lose, keep)

    @rule(
        lose=st.sampled_from([False, False, False, True]),
        cut_at=st.one_of(st.none(), st.none(), st.integers(0, 9000)),
    )
    def to_client(self, lose: bool, cut_at: int | None) -> None:
        self.world.to_client(lose, cut_at)

    @rule(number=NUMBERS)
    def replay(self, number: int) -> None:
        self.world.replay(number)

    @rule(number=NUMBERS, up=st.booleans())
    def zombie(self, number: int, up: bool) -> None:
        self.world.zombie(number, up)

    @rule()
    def open(self) -> None:
        self.world.traffic.open()

    @rule(number=NUMBERS, size=SIZES, server=SIDES)
    def write(self, number: int, size: int, server: bool) -> None:
        self.world.traffic.write(number, size, server)

    @rule(number=NUMBERS, server=SIDES)
    def end_half(self, number: int, server: bool) -> None:
        self.world.traffic.end_half(number, server)

    @rule(number=NUMBERS, server=SIDES)
    def consume(self, number: int, server: bool) -> None:
        self.world.traffic.consume(number, server)

    @rule(number=NUMBERS, refuse=st.sampled_from([False, False, False, True]))
    def answer(self, number: int, refuse: bool) -> None:
        self.world.traffic.answer(number, refuse)

    @rule(number=NUMBERS)
    def finish(self, number: int) -> None:
        self.world.traffic.finish(number)

    @rule(number=NUMBERS)
    def break_backend(self, number: int) -> None:
        self.world.traffic.break_backend(number)

    @rule(number=NUMBERS)
    def reset(self, number: int) -> None:
        self.world.traffic.reset(number)

    @rule(number=NUMBERS)
    def stop(self, number: int) -> None:
        self.world.traffic.stop(number)

    @rule(chance=st.integers(0, 15))
    def lose_server(self, chance: int) -> None:
        if chance == 0:
            self.world.lose_server()

    @rule(seconds=st.sampled_from([0.01, 0.11, 3.0]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(steps=st.lists(st.integers(0, 59), min_size=10, max_size=80))
    def run_healthy(self, steps: list[int]) -> None:
        """The macro rule: a stretch without faults."""
        for number in steps:
            self.world.healthy_step(number)
            self.world.check()

    @rule(number=NUMBERS, server=SIDES, deliver=st.booleans())
    def flood(self, number: int, server: bool, deliver: bool) -> None:
        """The other macro rule: nobody reads, or nothing arrives."""
        self.world.flood(number, server, deliver)

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.heal()
        self.world.check()


def run(examples: int, steps: int) -> None:
    """Run the machine over so many sequences of so many steps."""
    run_state_machine_as_test(
        SessionMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(300)
def test_a_session_keeps_its_invariants() -> None:
    run(300, 50)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_session_keeps_its_invariants_for_long() -> None:
    run(2500, 80)
