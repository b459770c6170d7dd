"""What keeps one session running at the server?

It joins the sans-IO core to the link that carries it now, to its streams, and to the
clock. All ends come through `end`, once, whatever the cause.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from sockproxy import tasks
from sockproxy.auth.shown import Shown
from sockproxy.auth.standing import Standing
from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.core.attach import ServerAttach
from sockproxy.core.errors import LinkError, PeerError
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.logs import Logger
from sockproxy.policy.access import Asker
from sockproxy.policy.limits import TokenBucket
from sockproxy.refused import Refused
from sockproxy.streams import Shared, Streams
from sockproxy.usage import Share

UNCONFIRMED_LINGER_S = 60
# Looking into a ticket costs a signature, or a question to the application.
PROOFS_PER_S = 0.5
PROOFS_BURST = 5
# A page that polls briefly comes back every 2 s.
BETWEEN_REQUESTS_S = 5


class Link(Protocol):
    """What a session needs of the carrier under it."""

    @property
    def writable(self) -> bool:
        """Whether more bytes would not just pile up here."""

    def send(self, data: bytes) -> None:
        """Send whole frames."""

    def end(self, code: Code, text: str) -> None:
        """Say END and close: the session goes on elsewhere."""

    def bye(self, code: Code, text: str) -> None:
        """Say BYE and close: the session is over."""

    def abort(self) -> None:
        """Cut the connection without a word."""

    def tick(self, now: float) -> None:
        """Look at the clock, about once a second."""


class Owner(Protocol):
    """Who counts the sessions."""

    def detached(self, live: LiveSession) -> None:
        """The session waits for a link."""

    def ended(self, live: LiveSession) -> None:
        """The session is over."""


class LiveSession:
    """One session: core, link, streams, clock."""

    log = Logger()

    def __init__(
        self, attach: ServerAttach, asker: Asker, shared: Shared, owner: Owner, share: Share
    ) -> None:
        self.attach = attach
        self.core = attach.session
        self.name = attach.sid[:4].hex()
        self.share = share
        self.streams = Streams(self.core, asker, self.name, shared, self.flush, share)
        self.link: Link | None = None
        # The newest link that was let in; over HTTP it is the link only while a DOWN waits.
        self.joined: Link | None = None
        self.over = False
        self._shared = shared
        self._owner = owner
        self._inbound: Inbound | None = None
        self._outbound: Outbound | None = None
        self._ack_timer: IDelayedCall | None = None
        self._heard_at = 0.0
        self._pinged = False
        self._detached_at = 0.0
        # As of the last `weigh`: what was held, and how much had been carried.
        self._weighed = 0
        self._carried = 0
        self._confirmed = False
        self._standing: Standing | None = None
        self._proving: Deferred[None] | None = None
        now = shared.clock.seconds()
        self._proofs = TokenBucket(PROOFS_PER_S, PROOFS_BURST, now)

    @property
    def asker(self) -> Asker:
        """Whose session it is, as he was known last."""
        return self.streams.asker

    @property
    def held_bytes(self) -> int:
        """Bytes kept for the two ends, for the budgets."""
        held = self.core.log.charged
        for stream in self.core.streams.values():
            window = stream.window
            held += stream.queue.size + window.received - window.consumed
        return held

    def weigh(self) -> int:
        """Return `held_bytes`, at once for a session that held none and carried none since."""
        if self._weighed or self.core.log.entries or self._carried != self.share.bytes:
            self._carried = self.share.bytes
            self._weighed = self.held_bytes
        return self._weighed

    def waiting_s(self, now: float) -> float | None:
        """How long the session has waited for its page, None where it may just be between
        two requests."""
        waited_s = now - self._detached_at
        return waited_s if self.link is None and waited_s >= BETWEEN_REQUESTS_S else None

    def know(self, asker: Asker, shown: Shown) -> None:
        """Take an asker, the session's own, for what he has shown now."""
        self._forget()
        self._stop_proving()
        self.streams.asker = asker
        auth = self._shared.auth
        sid = self.attach.sid
        self._standing = standing = auth.enter(asker, shown, sid, self.end, self._vouched)
        if standing is not None:
            self.core.auth_result(Code.CLEAN, standing.expires_s)

    def _vouched(self, asker: Asker) -> None:
        """The application was asked anew, and says what the session's user may do now."""
        self.streams.asker = replace(self.asker, ticket=asker.ticket)
        if self._standing is not None:
            self.core.auth_result(Code.CLEAN, self._standing.expires_s)
        self.flush()

    def moved(self, asker: Asker) -> None:
        """The session's page asks from where `asker` is; who it is stays as it was."""
        known = self.asker
        self.streams.asker = replace(asker, principal=known.principal, ticket=known.ticket)

    def _prove(self, ticket: str) -> None:
        """Take a fresh ticket; one that comes while another is looked into replaces it."""
        if not self._proofs.take(self._shared.clock.seconds()):
            self.core.auth_result(Code.BUSY, 0)
            return
        self._stop_proving()
        proving = tasks.start(self._known_by(Shown(ticket)), "looking into a ticket")
        self._proving = None if proving.called else proving

    async def _known_by(self, shown: Shown) -> None:
        unknown = replace(self.asker, principal=None, ticket=None)
        try:
            asker = await self._shared.auth.identify(unknown, shown, self.attach.sid)
            if asker.principal != self.asker.principal:
                raise Refused(Code.TICKET_REFUSED, "the ticket is another principal's")
        except Refused as refused:
            self._proving = None
            self.core.auth_result(refused.code, 0)
        else:
            self._proving = None
            # The page may have moved meanwhile.
            self.know(replace(self.asker, ticket=asker.ticket), shown)
        self.flush()

    def _stop_proving(self) -> None:
        """Look no further into a ticket: what was shown since is newer."""
        proving, self._proving = self._proving, None
        if proving is not None:
            proving.cancel()

    def _forget(self) -> None:
        standing, self._standing = self._standing, None
        if standing is not None:
            standing.leave()

    def join(self, link: Link, inbound: Inbound, outbound: Outbound) -> None:
        """Make `link` the one that carries the session; an older one is fenced."""
        older, self.link = self.link, link
        self.joined = link
        if older is not None:
            older.end(Code.SUPERSEDED, "a newer link took over")
        self._inbound = inbound
        self._carry(outbound)

    def go_on(self, link: Link, hello: frames.Hello) -> None:
        """Let the newest link carry again, from where the HELLO of a DOWN says."""
        self.link = link
        try:
            outbound = self.attach.go_on(hello)
        except PeerError as fault:
            self.end(fault.code, fault.text)
        else:
            self._carry(outbound)

    def _carry(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._hear()
        self.flush()
        self.streams.release()

    def leave(self, code: Code, text: str) -> None:
        """End the link that carries the session now, if any; the session waits."""
        link = self.link
        if link is not None:
            self._detach()
            self.joined = None
            link.end(code, text)

    def cut(self) -> None:
        """Abort the connection under the session, as a broken cable would."""
        link = self.link
        if link is not None:
            self._detach()
            self.joined = None
            link.abort()

    def lost(self, link: Link) -> None:
        """The carrier is gone."""
        if link is self.link:
            self._detach()

    def received(self, link: Link, data: bytes) -> None:
        """Take a message of the current link; an older one is not listened to."""
        if link is not self.link or self._inbound is None:
            return
        self._hear()
        try:
            happened = self.core.receive_message(self._inbound, data)
        except PeerError as fault:
            self._act(self.core.take_events())
            self.end(fault.code, fault.text)
        except LinkError as fault:
            self._act(self.core.take_events())
            self.leave(Code.PROTOCOL, str(fault))
        else:
            self._act(happened)
            # A page that writes single bytes is answered by an ACK now and then.
            if self._ack_timer is None or not self.core.silent:
                self.flush()

    def posted(self, rx: int, body: bytes) -> bytes:
        """Take what follows the HELLO of a request of the newest link; return the answer.

        `rx` is what that HELLO acknowledges, a stale one says nothing new. A hole in the
        body shows in the answer's ACK, and a body may be cut.
        """
        self._hear()
        core = self.core
        try:
            core.log.acknowledge(rx)
            happened = core.receive(Inbound(frames.MAX_CLIENT_DATA_BYTES), body)
        except LinkError:
            happened = core.take_events()
        except PeerError as fault:
            self._act(core.take_events())
            self.end(fault.code, fault.text)
            return core.reply() + frames.encode(frames.Bye(fault.code, frames.clip(fault.text)))
        answer = core.reply()
        self._act(happened)
        self.flush()
        return answer

    def _hear(self) -> None:
        self._heard_at = self._shared.clock.seconds()
        self._pinged = False
        if self.link is None:
            self._detached_at = self._heard_at

    def _act(self, happened: list[events.Event]) -> None:
        for event in happened:
            match event:
                case events.SessionEnded():
                    self.end(Code.ABORTED, "the page ended the session")
                case _ if self.over:
                    return
                case events.AuthReceived():
                    self._prove(event.ticket)
                case events.LinkEnded():
                    self.leave(Code.CLEAN, "the page ended the link")
                case _:
                    self.streams.act(event)

    def flush(self) -> None:
        """Send what the link takes, and read the backends on whose bytes have gone."""
        link, outbound = self.link, self._outbound
        if link is None or outbound is None:
            return
        while link.writable:
            message = self.core.next_message(outbound)
            if not message:
                break
            link.send(message)
        self.streams.resume_progressed()
        due_s = self.core.ack_due_s()
        if due_s is not None and self._ack_timer is None:
            self._ack_timer = self._shared.clock.callLater(due_s, self._ack)

    def _ack(self) -> None:
        self._ack_timer = None
        self.flush()

    def tick(self, now: float) -> None:
        """Look at the clock, about once a second: heartbeat and linger."""
        limits = self._shared.limits
        silent_s = now - self._heard_at
        if self.link is not None:
            self.link.tick(now)
        if self.link is None:
            if now - self._detached_at >= self._linger_s():
                self.end(Code.LINGER_EXPIRED, "no link came back in time")
        elif silent_s >= limits.ping + limits.ping_timeout:
            self.leave(Code.TIMEOUT, f"no sign of life for {silent_s:.0f} s")
        elif silent_s >= limits.ping and not self._pinged:
            self._pinged = True
            self.core.ping()
            self.flush()

    def _linger_s(self) -> float:
        linger_s = self._shared.limits.linger
        return linger_s if self._confirmed else min(linger_s, UNCONFIRMED_LINGER_S)

    def end(self, code: Code, text: str) -> None:
        """End the session and all its streams; harmless when repeated."""
        if self.over:
            return
        self.over = True
        self.log.info(
            "session {session} from {peer}, user {principal}: ended, {text}",
            session=self.name,
            peer=self.asker.peer,
            principal=self.asker.principal or "-",
            text=text,
            code=code,
        )
        self._disarm()
        self._forget()
        self._stop_proving()
        link, self.link = self.link, None
        if link is not None:
            link.bye(code, text)
        self.streams.end(code, text)
        self._owner.ended(self)

    def _detach(self) -> None:
        self._confirmed = self._confirmed or self.attach.confirmed
        self.link = self._inbound = self._outbound = None
        self._detached_at = self._shared.clock.seconds()
        self._disarm()
        self.streams.hold()
        if not self.over:
            self._owner.detached(self)

    def _disarm(self) -> None:
        timer, self._ack_timer = self._ack_timer, None
        if timer is not None:
            timer.cancel()
