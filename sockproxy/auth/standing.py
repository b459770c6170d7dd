"""Is who came in still welcome?

A ticket expires and can be revoked while its bearer is in. Each way in enters whom it has
let in with what ends him; one sweep looks at the clock for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from sockproxy import tasks
from sockproxy.codes import Code
from sockproxy.policy.access import Asker
from sockproxy.policy.revoked import Revoked
from sockproxy.refused import Refused

End = Callable[[Code, str], None]
Ask = Callable[[], Deferred[Asker]]
Renewed = Callable[[Asker], None]

EXPIRED = "the ticket has expired"
REVOKED = "the ticket was revoked"
REPLACED = "the application names another user now"
# The application is asked again when so much of what it gave is over, and then so often.
ASKED_AFTER = 0.8
ASKED_EVERY_S = 5.0


def nobody(asker: Asker) -> None:
    """Hear of it where it changes nothing."""


class Standing:
    """One who is in by a ticket: `renew` when he has shown another one, `leave` when he goes.

    `ask` asks anew for who vouched for him without his help, and `renewed` hears who he is from
    then on. A no, or another user's name, ends him; no answer changes nothing: then he is in
    until his ticket expires.
    """

    def __init__(
        self, roll: Roll, asker: Asker, end: End, ask: Ask | None, renewed: Renewed
    ) -> None:
        self.asker = asker
        self.until = self._stale_at = 0.0
        self.end = end
        self._roll = roll
        self._ask = ask
        self._tell = renewed
        self._asking: Deferred[None] | None = None
        self.renew(asker)

    @property
    def expires_s(self) -> int:
        """Whole seconds that are left, at least one."""
        return max(1, int(self.until - self._roll.seconds()))

    def renew(self, asker: Asker) -> None:
        """He has shown a ticket, which holds from now on."""
        now, good_for_s = self._roll.seconds(), asker.ticket.good_for_s if asker.ticket else 0.0
        self.asker = asker
        self.until = now + good_for_s
        self._stale_at = now + good_for_s * ASKED_AFTER

    def leave(self) -> None:
        """He is gone; harmless when repeated."""
        self._roll.strike(self)
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    def look(self, now: float) -> None:
        """End him whose ticket has expired; ask for him whose ticket soon will."""
        if self.until <= now:
            self._expel(Code.TICKET_REFUSED, EXPIRED)
        elif self._stale_at <= now and self._ask is not None and not self._is_asking:
            self._stale_at = now + ASKED_EVERY_S
            self._asking = tasks.start(self._renewed(self._ask()), "asking for a user anew")

    @property
    def _is_asking(self) -> bool:
        """Whether an answer is to come; a fault of ours, which the log tells, is one too."""
        return self._asking is not None and not self._asking.called

    async def _renewed(self, asking: Deferred[Asker]) -> None:
        try:
            asker = await asking
        except Refused as refused:
            self._asking = None
            if refused.code is not Code.BUSY:
                self._expel(refused.code, refused.text)
        else:
            self._asking = None
            if asker.principal == self.asker.principal:
                self.renew(asker)
                self._tell(asker)
            else:
                self._expel(Code.TICKET_REFUSED, REPLACED)

    def _expel(self, code: Code, text: str) -> None:
        self.leave()
        self.end(code, text)


class Roll:
    """All who are in by a ticket."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self._standings: dict[Standing, None] = {}

    def __len__(self) -> int:
        return len(self._standings)

    def enter(
        self, asker: Asker, end: End, ask: Ask | None = None, renewed: Renewed = nobody
    ) -> Standing:
        """Watch over an asker from now on."""
        standing = Standing(self, asker, end, ask, renewed)
        self._standings[standing] = None
        return standing

    def strike(self, standing: Standing) -> None:
        """Watch over somebody no more."""
        self._standings.pop(standing, None)

    def sweep(self) -> None:
        """Look at the clock for everybody."""
        now = self.seconds()
        for standing in list(self._standings):
            standing.look(now)

    def revoke(self, revoked: Revoked) -> None:
        """End those whose tickets are on a list."""
        for standing in list(self._standings):
            ticket = standing.asker.ticket
            if ticket is not None and revoked.covers(ticket):
                standing.leave()
                standing.end(Code.KILLED, REVOKED)
