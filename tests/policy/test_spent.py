"""Does a ticket belong to whom it was shown by first, as long as it is good?"""

from __future__ import annotations

from sockproxy.policy.spent import Spent


def test_a_ticket_is_its_first_owners() -> None:
    spent = Spent()

    assert spent.take("one", b"a", until=10.0)
    assert spent.take("one", b"a", until=10.0)
    assert not spent.take("one", b"b", until=10.0)
    assert spent.take("two", b"b", until=10.0)


def test_what_has_expired_is_forgotten() -> None:
    spent = Spent()
    spent.take("one", b"a", until=10.0)
    spent.take("two", b"a", until=11.0)

    spent.forget(10.0)

    assert len(spent) == 1
    assert not spent.take("two", b"b", until=11.0)


def test_nobody_new_gets_in_where_there_is_no_room() -> None:
    spent = Spent(remembered_max=1)
    spent.take("one", b"a", until=10.0)

    assert spent.full()
    assert not spent.take("two", b"a", until=10.0)
    assert spent.take("one", b"a", until=10.0)
