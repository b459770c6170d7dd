"""Has this ticket been used before?

A ticket that somebody has overheard is worth nothing once its owner has used it: its `jti`
belongs to whoever showed it first, who may show it again, as a session does that resumes.
Entries go when their tickets expire; where there is no room left, nobody new gets in. One
principal has a small part of the room, so that who is given tickets without end shuts out
himself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import heappop, heappush

REMEMBERED_MAX = 100_000
PRINCIPAL_MAX = 1024


@dataclass(frozen=True, slots=True)
class Use:
    """By whom a ticket was shown, whose it is, and until when that matters."""

    owner: object
    principal: str
    until: float


class Spent:
    """The tickets that are still good, and whose they are."""

    def __init__(
        self, remembered_max: int = REMEMBERED_MAX, principal_max: int = PRINCIPAL_MAX
    ) -> None:
        self._uses: dict[str, Use] = {}
        self._of: Counter[str] = Counter()
        # Which expires next.
        self._ends: list[tuple[float, str]] = []
        self._max = remembered_max
        self._principal_max = principal_max

    def __len__(self) -> int:
        return len(self._uses)

    def full(self, principal: str) -> bool:
        """Return whether no further ticket of a principal can be remembered."""
        return len(self._uses) >= self._max or self._of[principal] >= self._principal_max

    def take(self, ticket_id: str, use: Use) -> bool:
        """Return whether a ticket is this owner's; it is from now on if it was nobody's."""
        known = self._uses.get(ticket_id)
        if known is not None:
            return known.owner == use.owner
        if self.full(use.principal):
            return False
        self._uses[ticket_id] = use
        self._of[use.principal] += 1
        heappush(self._ends, (use.until, ticket_id))
        return True

    def forget(self, now: float) -> None:
        """Drop what has expired at `now`."""
        while self._ends and self._ends[0][0] <= now:
            _, ticket_id = heappop(self._ends)
            principal = self._uses.pop(ticket_id).principal
            self._of[principal] -= 1
            if not self._of[principal]:
                del self._of[principal]
