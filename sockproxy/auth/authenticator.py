"""Who is it that asks?

The same answer for every way in, before a session is looked for or a backend is opened: by
the ticket that he shows, by what the application says of him, or nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sockproxy.auth.application import Application
from sockproxy.auth.revocations import Revocations
from sockproxy.auth.shown import Shown
from sockproxy.auth.standing import REVOKED, End, Renewed, Roll, Standing, nobody
from sockproxy.codes import Code
from sockproxy.policy.access import Asker, Policy
from sockproxy.policy.spent import Spent, Use
from sockproxy.policy.ticket import TICKET_MAX_BYTES, BadTicket, Ticket, verify
from sockproxy.refused import RETRY_MS, Refused
from sockproxy.settings import Tickets

_PRINTABLE = re.compile(rf"[\x21-\x7e]{{1,{TICKET_MAX_BYTES}}}", re.ASCII)


class Authenticator:
    """Knows users by what their pages show, and who of them is in."""

    def __init__(
        self,
        options: Tickets,
        policy: Policy,
        clock: IReactorTime,
        wall: Callable[[], float],
        application: Application | None,
    ) -> None:
        self._options = options
        self._policy = policy
        self._clock = clock
        self._wall = wall
        self._application = application
        self._spent = Spent()
        self._revocations = Revocations(options.revoked)
        self._revocations.look(clock.seconds())
        self._roll = Roll(clock.seconds)

    def __len__(self) -> int:
        return len(self._roll)

    @property
    def takes_cookies(self) -> bool:
        """Whether a page's requests may bring its cookies, for the application to look at."""
        return self._application is not None and self._application.takes_cookies

    def identify(self, asker: Asker, shown: Shown, owner: object) -> Deferred[Asker]:
        """Return `asker` with the ticket that he has shown, if any. Fails with `Refused`.

        `owner` is whose the ticket is from now on, where it is good for one session only.
        Fires at once unless the application has to be asked; may be cancelled.
        """
        return Deferred.fromCoroutine(self._identify(asker, shown, owner, anew=False))

    def enter(
        self, asker: Asker, shown: Shown, owner: object, end: End, renewed: Renewed = nobody
    ) -> Standing | None:
        """Watch over an asker who was let in; None for one who needs no ticket."""
        if asker.ticket is None:
            return None
        unknown = Asker(asker.origin, None, asker.peer)

        def ask() -> Deferred[Asker]:
            return Deferred.fromCoroutine(self._identify(unknown, shown, owner, anew=True))

        is_verified_here = shown.ticket and self._options.keys
        return self._roll.enter(asker, end, None if is_verified_here else ask, renewed)

    def sweep(self) -> None:
        """Look at the clock, about once a second, and at what was revoked."""
        now = self._clock.seconds()
        if self._revocations.look(now):
            self._roll.revoke(self._revocations.list)
        self._roll.sweep()
        self._spent.forget(now)
        if self._application is not None:
            self._application.forget(now)

    async def _identify(self, asker: Asker, shown: Shown, owner: object, *, anew: bool) -> Asker:
        # First: no foreign page uses up a ticket, or has the application look at cookies.
        foreign = self._policy.foreign(asker.origin)
        if foreign is not None:
            raise Refused(foreign.code, foreign.reason)
        try:
            ticket = await self._ticket(asker, shown, owner, anew)
        except BadTicket as bad:
            raise Refused(bad.code, bad.text) from None
        if ticket is not None:
            if self._revocations.list.covers(ticket):
                raise Refused(Code.TICKET_REFUSED, REVOKED)
            asker = asker.known_by(ticket)
        denied = self._policy.admit(asker)
        if denied is not None:
            raise Refused(denied.code, denied.reason)
        return asker

    async def _ticket(self, asker: Asker, shown: Shown, owner: object, anew: bool) -> Ticket | None:
        if shown.ticket and not _PRINTABLE.fullmatch(shown.ticket):
            raise BadTicket(f"a ticket is 1 to {TICKET_MAX_BYTES} printable characters")
        if shown.ticket and self._options.keys:
            return self._verified(shown.ticket, owner)
        if self._application is not None and self._application.knows_of(shown):
            return await self._application.ask(asker, shown, anew=anew)
        return None

    def _verified(self, shown: str, owner: object) -> Ticket:
        ticket = verify(shown, self._options, self._wall())
        if self._options.single_use:
            until = self._clock.seconds() + ticket.good_for_s
            if not self._spent.take(ticket.ticket_id, Use(owner, ticket.principal, until)):
                if self._spent.full(ticket.principal):
                    raise Refused(Code.BUSY, "too many tickets are in use", RETRY_MS)
                raise BadTicket("the ticket has been used before")
        return ticket
