"""Does a ticket belong to whom it was shown by first, as long as it is good?"""

from __future__ import annotations

from sockproxy.policy.spent import Spent, Use


def by(owner: object, until: float = 10.0, principal: str = "alice") -> Use:
    return Use(owner, principal, until)


def test_a_ticket_is_its_first_owners() -> None:
    spent = Spent()

    assert spent.take("one", by(b"a"))
    assert spent.take("one", by(b"a"))
    assert not spent.take("one", by(b"b"))
    assert spent.take("two", by(b"b"))


def test_what_has_expired_is_forgotten() -> None:
    spent = Spent()
    spent.take("one", by(b"a"))
    spent.take("two", by(b"a", until=11.0))

    spent.forget(10.0)

    assert len(spent) == 1
    assert not spent.take("two", by(b"b"))


def test_nobody_new_gets_in_where_there_is_no_room() -> None:
    spent = Spent(remembered_max=1)
    spent.take("one", by(b"a"))

    assert spent.full("bob")
    assert not spent.take("two", by(b"a", principal="bob"))
    assert spent.take("one", by(b"a"))


def test_who_is_given_tickets_without_end_shuts_out_himself() -> None:
    spent = Spent(principal_max=2)
    for name in ("one", "two", "three"):
        spent.take(name, by(name))

    assert len(spent) == 2
    assert spent.full("alice")
    assert spent.take("four", by(b"d", principal="bob"))
    spent.forget(10.0)
    assert len(spent) == 0
    assert spent.take("five", by(b"e", until=20.0))


def test_a_look_at_the_clock_costs_nothing_where_nothing_has_expired() -> None:
    class Clock(float):
        """A time that counts how often it is compared."""

        looks = 0

        def __ge__(self, other: float) -> bool:
            Clock.looks += 1
            return float.__ge__(self, other)

        def __lt__(self, other: float) -> bool:
            Clock.looks += 1
            return float.__lt__(self, other)

    spent = Spent()
    for number in range(100):
        spent.take(str(number), by(b"a"))
    spent.forget(Clock(1.0))

    assert len(spent) == 100
    assert Clock.looks == 1
