"""Has this ticket been used before?

A ticket that somebody has overheard is worth nothing once its owner has used it: its `jti`
belongs to whoever showed it first, who may show it again, as a session does that resumes.
Entries go when their tickets expire; where there is no room left, nobody new gets in.
"""

from __future__ import annotations

REMEMBERED_MAX = 100_000


class Spent:
    """The tickets that are still good, and whose they are."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._owners: dict[str, tuple[object, float]] = {}
        self._max = remembered_max

    def __len__(self) -> int:
        return len(self._owners)

    def full(self) -> bool:
        """Return whether no further ticket can be remembered."""
        return len(self._owners) >= self._max

    def take(self, ticket_id: str, owner: object, until: float) -> bool:
        """Return whether a ticket is this owner's; it is from now on if it was nobody's."""
        known = self._owners.get(ticket_id)
        if known is not None:
            return known[0] == owner
        if self.full():
            return False
        self._owners[ticket_id] = (owner, until)
        return True

    def forget(self, now: float) -> None:
        """Drop what has expired at `now`."""
        self._owners = {
            ticket_id: (owner, until)
            for ticket_id, (owner, until) in self._owners.items()
            if until > now
        }
