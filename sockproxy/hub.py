"""Which session does a HELLO mean, and may it have it?

Guarantees: one session per id, ever (an id that has ended is remembered as long as a
late HELLO could still want to create it); the judgement, the fence and the WELCOME are
one step without waiting, so that two links can never both be in. How many there may be is
`usage`'s to say, who makes room for whom `room`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from sockproxy.auth.shown import NOTHING, Shown
from sockproxy.codes import Code, WelcomeTlv
from sockproxy.core import frames
from sockproxy.core.attach import ServerAttach, check_hello
from sockproxy.core.errors import PeerError
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.session import Role, Session
from sockproxy.live import Link, LiveSession
from sockproxy.logs import Logger
from sockproxy.policy.access import Asker
from sockproxy.policy.quota import Full, Scope, Who
from sockproxy.policy.tally import Rates, site
from sockproxy.refused import RETRY_MS, Refused
from sockproxy.room import Room
from sockproxy.streams import Shared
from sockproxy.timers import Every
from sockproxy.usage import Share, Usage

SWEEP_S = 1.0
ENDED_REMEMBERED_S = 600.0
ENDED_REMEMBERED_MAX = 65_536
RETRY_CUT_MS = 500


class Hub:
    """All sessions of this process."""

    log = Logger()

    def __init__(self, shared: Shared, random: Callable[[int], bytes]) -> None:
        self.shared = shared
        self.usage = Usage(shared.clock, shared.limits)
        self.room = Room(shared.limits, self.usage)
        self._random = random
        self._live: dict[bytes, LiveSession] = {}
        self._ended: dict[bytes, float] = {}
        self._held: dict[str, float] = {}
        limits = shared.limits
        self._unknowns = Rates(limits.failed_attaches_per_s, limits.failed_attaches_burst)
        self._sweep = Every(shared.clock, SWEEP_S, self.sweep)

    def __len__(self) -> int:
        return len(self._live)

    def start(self) -> None:
        self._sweep.start()

    def stop(self, code: Code, text: str) -> None:
        """End every session."""
        self._sweep.stop()
        for live in list(self._live.values()):
            live.end(code, text)
        self.usage.stop()

    def attach(
        self, hello: frames.Hello, link: Link, asker: Asker, shown: Shown = NOTHING
    ) -> LiveSession:
        """Give `link` the session that its HELLO names, made now if it asks for that.

        `asker` is known by what he has `shown`. Raises `Refused`.
        """
        try:
            check_hello(hello)
        except PeerError as error:
            raise Refused(error.code, error.text) from None
        if hello.sid in self._live:
            live = self._known(hello, asker)
            _check_principal(live, asker)
            code = live.attach.judge(hello)
            if code is not None:
                raise self._refusal(live, hello, asker, code)
        else:
            live = self._create(hello, asker)
        self.room.stop_waiting(live)
        inbound, outbound = self._admit(live, hello)
        live.know(asker, shown)
        live.join(link, inbound, outbound)
        return live

    def find(self, hello: frames.Hello, asker: Asker) -> LiveSession:
        """Return the session whose newest link a request goes on with. Raises `Refused`."""
        live = self._known(hello, asker)
        code = live.attach.judge_request(hello)
        if code is not None:
            raise self._refusal(live, hello, asker, code)
        live.moved(asker)
        return live

    def go_on(self, live: LiveSession, link: Link, hello: frames.Hello) -> None:
        """Let `link`, the newest of a found session, carry it again."""
        self.room.stop_waiting(live)
        live.go_on(link, hello)

    def dismiss(self, hello: frames.Hello, asker: Asker) -> None:
        """End a session for its page, which leaves without a link. Raises `Refused`."""
        live = self._known(hello, asker)
        if not live.attach.may_end(hello):
            raise self._unknown(hello, asker)
        live.end(Code.ABORTED, "the page left")

    def hold(self, name: str, seconds: float) -> bool:
        """Take the link from the session of this name and let none in for a while."""
        for live in self._live.values():
            if live.name == name:
                self._held[name] = self.shared.clock.seconds() + seconds
                live.cut()
                return True
        return False

    def _create(self, hello: frames.Hello, asker: Asker) -> LiveSession:
        if not hello.flags & frames.FLAG_CREATE or hello.sid in self._ended:
            raise self._unknown(hello, asker)
        if hello.rx:
            raise Refused(Code.SESSION_UNKNOWN, f"a new session starts at 0, not at {hello.rx}")
        share = self._share(asker)
        core = Session(Role.SERVER, self.room.windows, self.shared.clock.seconds)
        live = LiveSession(ServerAttach(core, hello.sid), asker, self.shared, self, share)
        self._live[hello.sid] = live
        self.log.info(
            "session {session}: new, {origin} from {peer}, user {principal}",
            session=live.name,
            origin=asker.origin,
            peer=asker.peer,
            principal=asker.principal or "-",
        )
        return live

    def _share(self, asker: Asker) -> Share:
        """Return what a new session may take; one that waits makes room for its principal."""
        try:
            return self.usage.session(who(asker))
        except Full as full:
            now = self.shared.clock.seconds()
            if full.scope is not Scope.PRINCIPAL or not self.room.make(asker.principal, now):
                raise Refused(Code.BUSY, full.text, RETRY_MS) from None
        return self._share(asker)

    def _known(self, hello: frames.Hello, asker: Asker) -> LiveSession:
        """Return the session of a HELLO, if it is that of the asker. Raises `Refused`."""
        live = self._live.get(hello.sid)
        if live is None or live.asker.origin != asker.origin:
            raise self._unknown(hello, asker)
        if self._held.get(live.name, 0.0) > self.shared.clock.seconds():
            raise Refused(Code.BUSY, "the cable is cut", RETRY_CUT_MS)
        return live

    def _refusal(self, live: LiveSession, hello: frames.Hello, asker: Asker, code: Code) -> Refused:
        """Return why a HELLO may not have a session; a thief's ends it."""
        if code is Code.SECRET_REUSE:
            self.log.warn(
                "session {session}: a retired secret came back from {peer}, session killed",
                session=live.name,
                peer=asker.peer,
            )
            live.end(code, "a retired secret came back")
        if code is Code.SESSION_UNKNOWN:
            return self._unknown(hello, asker)
        return Refused(code, f"link {hello.link} may not have the session")

    def _unknown(self, hello: frames.Hello, asker: Asker) -> Refused:
        """Return a refusal that tells nothing; who asks for many waits between them."""
        if not self._unknowns.take(site(asker.peer), self.shared.clock.seconds()):
            return Refused(Code.BUSY, "too many failed attaches from this address", RETRY_MS)
        name = hello.sid[:4].hex()
        self.log.info("session {session}: unknown, asked {peer}", session=name, peer=asker.peer)
        return Refused(Code.SESSION_UNKNOWN, "this server does not know the session")

    def _admit(self, live: LiveSession, hello: frames.Hello) -> tuple[Inbound, Outbound]:
        limits = self.shared.limits
        tlvs = {
            WelcomeTlv.STREAM_WINDOW: limits.stream_window,
            WelcomeTlv.SESSION_WINDOW_UP: limits.session_window,
            WelcomeTlv.SESSION_WINDOW_DOWN: limits.session_window,
            WelcomeTlv.MAX_POST: limits.max_post,
            WelcomeTlv.PING_MS: int(1000 * limits.ping),
            WelcomeTlv.LINGER_S: int(limits.linger),
            WelcomeTlv.STREAMS: limits.streams,
        }
        return live.attach.admit(hello, self._random(frames.SECRET_BYTES), tlvs)

    def detached(self, live: LiveSession) -> None:
        """A session has no link."""
        self.room.wait(live)

    def ended(self, live: LiveSession) -> None:
        """Forget a session, but not that its id was used."""
        sid = live.attach.sid
        self._live.pop(sid, None)
        self.room.stop_waiting(live)
        live.share.release()
        self._ended[sid] = self.shared.clock.seconds() + ENDED_REMEMBERED_S
        while len(self._ended) > ENDED_REMEMBERED_MAX:
            del self._ended[next(iter(self._ended))]

    def sweep(self) -> None:
        """Look at the clock for all sessions at once."""
        now = self.shared.clock.seconds()
        self.shared.auth.sweep()
        for live in list(self._live.values()):
            live.tick(now)
        self.usage.sweep(now)
        self.room.balance(self._live.values(), now)
        for sid, until in list(self._ended.items()):
            if until > now:
                break
            del self._ended[sid]
        self._held = {name: until for name, until in self._held.items() if until > now}


def _check_principal(live: LiveSession, asker: Asker) -> None:
    """Raise `Refused` for a session of somebody else; its own page may come again."""
    if live.asker.principal == asker.principal:
        return
    if asker.principal is None:
        raise Refused(Code.TICKET_REQUIRED, "the session needs a ticket of its user")
    raise Refused(Code.TICKET_REFUSED, "the session belongs to another principal")


def who(asker: Asker) -> Who:
    """Return under which names an asker is counted."""
    return Who(site(asker.peer), asker.origin, asker.principal)
