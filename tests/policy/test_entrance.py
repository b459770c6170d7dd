"""Is an address let in up to its limits, and nobody kept out by another's?"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sockproxy.policy.entrance import TELL_EVERY_S, Entrance, Entry, TurnedAway, uncounted
from sockproxy.policy.tally import Rates, site
from sockproxy.settings import Limits

ONE, OTHER, PROXY = "192.0.2.1", "192.0.2.2", "10.0.0.1"
FEW = Limits(
    connections=8,
    connections_per_address=3,
    unauthenticated_per_address=2,
    handshakes_per_s=1,
    handshakes_burst=6,
    failures_per_s=1,
    failures_burst=2,
)


class Door:
    """An entrance with a clock, and what was told."""

    def __init__(self, limits: Limits = FEW) -> None:
        self.now = 0.0
        self.told: list[tuple[str, str, int]] = []
        failures = Rates(limits.failures_per_s, limits.failures_burst)
        trusted = (ip_network("10.0.0.0/8"), "unix")
        self.entrance = Entrance(
            limits, trusted, failures, lambda: self.now, lambda *said: self.told.append(said)
        )

    def served(self, peer: str | None = ONE) -> Entry:
        entry = self.entrance.admit(peer)
        entry.served()
        return entry

    def refused(self, peer: str | None = ONE) -> str:
        with pytest.raises(TurnedAway) as full:
            self.entrance.admit(peer)
        return full.value.text


def test_an_address_has_so_many_connections_and_another_has_its_own() -> None:
    door = Door()
    held = [door.served() for _ in range(3)]

    assert door.refused() == "more than 3 connections from one address"
    door.served(OTHER)
    held[0].leave()
    held[0].leave()
    door.served()
    assert door.entrance.connections == 4


def test_fewer_connections_may_be_silent() -> None:
    door = Door()
    held = [door.entrance.admit(ONE) for _ in range(2)]

    text = "more than 2 connections from one address that were served nothing yet"
    assert door.refused() == text
    held[0].served()
    held[0].served()
    door.entrance.admit(ONE)
    assert door.refused() == "more than 3 connections from one address"


def test_connections_come_so_often() -> None:
    door = Door()
    for _ in range(6):
        door.served().leave()

    assert door.refused() == "more than 1 connections/s from one address"
    door.served(OTHER)
    door.now += 1.0
    door.served()


def test_a_refused_connection_costs_its_address_nothing() -> None:
    door = Door()
    held = [door.served() for _ in range(3)]
    for _ in range(100):
        door.refused()
    held[0].leave()

    door.served()


def test_there_are_so_many_in_all_whoever_they_are() -> None:
    door = Door()
    held = [door.served(f"198.51.100.{number}") for number in range(8)]

    assert door.refused() == door.refused(None) == "more than 8 connections"
    held[0].leave()
    door.served(None)


def test_a_network_of_ipv6_is_one_address() -> None:
    door = Door()
    for number in range(3):
        door.served(f"2001:db8::{number}")

    assert door.refused("2001:db8::9") == "more than 3 connections from one address"
    door.served("2001:db8:0:1::1")


@pytest.mark.parametrize("peer", [PROXY, "unix", None])
def test_who_stands_for_others_is_not_counted_but_in_all(peer: str | None) -> None:
    door = Door()
    for _ in range(8):
        door.entrance.admit(peer).failed()

    assert door.refused(ONE) == "more than 8 connections"
    assert len(door.entrance.here) == len(door.entrance.failures) == 0


def test_a_connection_of_a_proxy_belongs_to_the_client_it_asks_for() -> None:
    door = Door()
    ways = [door.entrance.admit(PROXY) for _ in range(4)]
    for way in ways[:3]:
        way.belong(ONE, knocks=False)
        way.served()

    with pytest.raises(TurnedAway, match="more than 3 connections"):
        ways[3].belong(ONE, knocks=False)
    ways[3].belong(OTHER, knocks=False)
    ways[0].belong(OTHER, knocks=False)
    ways[3].belong(ONE, knocks=False)
    for way in ways:
        way.leave()
    assert (len(door.entrance.here), len(door.entrance.new)) == (0, 0)


def test_between_its_requests_a_connection_of_a_proxy_is_nobodys() -> None:
    door = Door()
    way = door.entrance.admit(PROXY)
    way.belong(ONE, knocks=False)
    way.served()

    way.rest()
    way.failed()

    assert (len(door.entrance.here), len(door.entrance.new)) == (0, 0)
    assert len(door.entrance.failures) == 0
    way.belong(ONE, knocks=False)
    assert (door.entrance.here[ONE], door.entrance.new[ONE]) == (1, 1)


def test_what_is_refused_stays_whose_it_was() -> None:
    door = Door()
    for _ in range(3):
        door.served()
    way = door.entrance.admit(PROXY)
    way.belong(OTHER, knocks=False)

    with pytest.raises(TurnedAway):
        way.belong(ONE, knocks=False)

    assert (door.entrance.here[OTHER], door.entrance.here[ONE]) == (1, 3)


def test_only_what_stands_for_a_connection_of_the_clients_own_knocks() -> None:
    door = Door()
    way = door.entrance.admit(PROXY)
    for _ in range(20):
        way.belong(ONE, knocks=False)
        way.belong(OTHER, knocks=False)
    for _ in range(6):
        way.belong(ONE, knocks=True)
        way.belong(OTHER, knocks=False)

    with pytest.raises(TurnedAway, match="more than 1 connections/s"):
        way.belong(ONE, knocks=True)


def test_who_fails_too_often_waits_a_moment_and_who_is_in_stays() -> None:
    door = Door()
    inside, guilty = door.served(), door.served()
    guilty.failed()
    guilty.failed()

    assert door.refused() == "too many failures from one address"
    with pytest.raises(TurnedAway):
        guilty.belong(ONE, knocks=False)
    inside.belong(ONE, knocks=False)
    door.served(OTHER)
    door.now += 1.0
    guilty.belong(ONE, knocks=False)
    door.served()


def test_a_failure_makes_a_connection_as_good_as_new() -> None:
    door = Door()
    for _ in range(2):
        entry = door.served()
        entry.failed()
    door.now += 10.0

    assert door.refused().endswith("that were served nothing yet")


def test_a_connection_that_left_changes_nothing() -> None:
    door = Door()
    entry = door.entrance.admit(ONE)
    entry.leave()
    entry.served()
    entry.failed()

    assert len(door.entrance.failures) == 0
    assert (len(door.entrance.here), len(door.entrance.new)) == (0, 0)


def test_each_reason_is_told_once_in_a_while_for_each_address() -> None:
    door = Door()
    for _ in range(3):
        door.served()
    for _ in range(5):
        door.refused()
    door.served(OTHER)
    door.now += TELL_EVERY_S
    door.refused()

    reason = "more than 3 connections from one address"
    assert door.told == [(ONE, reason, 0), (ONE, reason, 4)]


def test_a_connection_that_no_entrance_saw_is_not_limited() -> None:
    entry = uncounted()
    for number in range(2000):
        entry.failed()
        entry.served()
        entry.belong(None, knocks=number % 2 == 0)
    entry.leave()


@given(st.lists(st.sampled_from(["2001:db8::1", "2001:db8::2", ONE]), max_size=30))
def test_what_one_address_does_never_keeps_another_out(comers: list[str]) -> None:
    door = Door(FEW.model_copy(update={"connections": 1000}))
    for peer in comers:
        with suppress(TurnedAway):
            door.entrance.admit(peer).failed()

    door.served(OTHER).leave()


class Comings(RuleBasedStateMachine):
    """Connections come, change hands, are served, fail and go, against a plain model."""

    peers = st.sampled_from([ONE, OTHER, PROXY, "2001:db8::1", "2001:db8::2", None])

    @initialize()
    def open(self) -> None:
        self.door = Door()
        self.held: list[tuple[Entry, str | None]] = []

    @rule(peer=peers, step_s=st.floats(0, 2))
    def come(self, peer: str | None, step_s: float) -> None:
        self.door.now += step_s
        with suppress(TurnedAway):
            self.held.append((self.door.entrance.admit(peer), peer))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0), peer=peers)
    def belong(self, number: int, peer: str | None) -> None:
        number %= len(self.held)
        with suppress(TurnedAway):
            self.held[number][0].belong(peer, knocks=False)
            self.held[number] = (self.held[number][0], peer)

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0), good=st.booleans())
    def ask(self, number: int, good: bool) -> None:
        entry = self.held[number % len(self.held)][0]
        if good:
            entry.served()
        else:
            entry.failed()

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0))
    def go(self, number: int) -> None:
        self.held.pop(number % len(self.held))[0].leave()

    @invariant()
    def counts_are_true(self) -> None:
        entrance = self.door.entrance
        model = Counter(site(peer) for _, peer in self.held if peer is not None and peer != PROXY)
        assert entrance.connections == len(self.held) <= FEW.connections
        assert len(entrance.here) == len(model)
        for address, count in model.items():
            assert entrance.here[address] == count <= FEW.connections_per_address
            assert 0 <= entrance.new[address] <= count


TestComings = Comings.TestCase
