"""Who has been shut out before his ticket expired?

A list of lines `jti ID` and `sub NAME`; empty ones, and those that begin with `#`, say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from sockproxy.policy.ticket import Ticket


@dataclass(frozen=True, slots=True)
class Revoked:
    """Tickets by their ids, and principals."""

    ticket_ids: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()

    def covers(self, ticket: Ticket) -> bool:
        """Return whether a ticket is no longer good."""
        return ticket.ticket_id in self.ticket_ids or ticket.principal in self.principals


def parse(text: str) -> Revoked:
    """Return what a list revokes. Raises `ValueError` for a line that says nothing sound."""
    found: dict[str, set[str]] = {"jti": set(), "sub": set()}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[0] not in found:
            raise ValueError(f"line {number}: write `jti ID` or `sub NAME`")
        found[words[0]].add(words[1])
    return Revoked(frozenset(found["jti"]), frozenset(found["sub"]))
