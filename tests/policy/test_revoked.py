"""Does a list revoke whom it names and nobody else?"""

from __future__ import annotations

import pytest

from sockproxy.policy.revoked import Revoked, parse
from sockproxy.policy.ticket import Ticket

LIST = """
# left the company
sub mallory

  jti  stolen
sub #hash
"""


def test_a_list_names_tickets_and_principals() -> None:
    revoked = parse(LIST)

    assert revoked == Revoked(frozenset({"stolen"}), frozenset({"mallory", "#hash"}))
    assert revoked.covers(Ticket("mallory", 60.0, "any"))
    assert revoked.covers(Ticket("alice", 60.0, "stolen"))
    assert not revoked.covers(Ticket("alice", 60.0, "mallory"))
    assert not revoked.covers(Ticket("alice", 60.0))


@pytest.mark.parametrize("line", ["mallory", "sub", "sub a b", "SUB mallory", "user mallory"])
def test_a_line_that_names_nobody_is_told(line: str) -> None:
    with pytest.raises(ValueError, match="line 2: write `jti ID` or `sub NAME`"):
        parse(f"sub alice\n{line}\n")


def test_an_empty_list_revokes_nothing() -> None:
    assert parse("") == Revoked()
