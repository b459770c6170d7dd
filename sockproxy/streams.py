"""How do the streams of one session meet their backends?

Policy is asked once, at OPEN, and its answer lives in the relay. From then on a core
event is one call on the relay, and what the relay says is one verb of the core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sockproxy.auth.authenticator import Authenticator
from sockproxy.backends.opening import Opening
from sockproxy.codes import Code
from sockproxy.core import events
from sockproxy.core.session import Session
from sockproxy.core.stream import State
from sockproxy.logs import Logger
from sockproxy.policy.access import Allow, Asker, Deny, Policy
from sockproxy.policy.limits import TokenBucket
from sockproxy.policy.tally import Rates, site
from sockproxy.policy.target import BadTarget, parse
from sockproxy.relay import PAGE_GONE, Relay
from sockproxy.settings import Limits
from sockproxy.usage import Seat, Share

UNTOLD = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """What every session of a server uses."""

    clock: IReactorTime
    policy: Policy
    opening: Opening
    limits: Limits
    auth: Authenticator
    # What pages do that they should not do often, by address.
    failures: Rates


class Streams:
    """The relays of one session, by stream id."""

    log = Logger()

    def __init__(
        self,
        core: Session,
        asker: Asker,
        name: str,
        shared: Shared,
        flush: Callable[[], None],
        share: Share,
    ) -> None:
        self.core = core
        self.flush = flush
        # Who opens the next stream: a session moves with its page, from one address to another,
        # and a fresh ticket may narrow it.
        self.asker = asker
        self._name = name
        self._shared = shared
        self._share = share
        self._relays: dict[int, Relay] = {}
        # What is denied, and must not be told so sooner than what cannot be reached.
        self._denied: dict[int, IDelayedCall] = {}
        limits = shared.limits
        now = shared.clock.seconds()
        self._opens = TokenBucket(limits.opens_per_s, limits.opens_burst, now)

    def __len__(self) -> int:
        return len(self._relays)

    def act(self, event: events.Event) -> None:
        """Do what an event of the core asks for; those of links are not ours."""
        match event:
            case events.DataReceived():
                relay = self._relays.get(event.stream)
                if relay is not None:
                    relay.write(event.data)
            case events.OpenRequested():
                self._open(event)
            case events.EofReceived():
                self._eof(event.stream)
            case events.ResetReceived():
                self._reset(event)
            case events.StopReceived():
                self._stop(event.stream)

    def resume_progressed(self) -> None:
        """Read the backends on whose bytes have all gone into frames."""
        for stream in self.core.take_progress():
            relay = self._relays.get(stream)
            if relay is not None and not self.core.queued(stream):
                relay.resume()

    def hold(self) -> None:
        """Read no backend while there is no link: what waits is bounded as it stands."""
        for relay in self._relays.values():
            relay.pause()

    def release(self) -> None:
        """Read the backends again of which nothing waits."""
        for stream, relay in list(self._relays.items()):
            if not self.core.queued(stream):
                relay.resume()

    def end(self, code: Code, text: str) -> None:
        """End all: an expired session flushes what it took, any other one aborts."""
        for later in self._denied.values():
            later.cancel()
        self._denied.clear()
        relays, self._relays = self._relays, {}
        for relay in relays.values():
            if code is Code.LINGER_EXPIRED:
                relay.finish()
            else:
                relay.reset(code, text)

    def _open(self, event: events.OpenRequested) -> None:
        seat = self._decide(event)
        if isinstance(seat, Deny):
            self.log.info(
                "session {session}: stream {stream} for {origin} from {peer}, user {principal},"
                " denied: {reason}",
                session=self._name,
                stream=event.stream,
                origin=self.asker.origin,
                peer=self.asker.peer,
                principal=self.asker.principal or "-",
                reason=seat.why or seat.reason,
            )
            self._deny(event.stream, seat)
            return
        page = StreamPage(self, event.stream, seat.allow)
        relay = Relay(page, self._shared.opening, seat, self._shared.clock)
        self._relays[event.stream] = relay
        relay.start()

    def _deny(self, stream: int, answer: Deny) -> None:
        if not answer.hidden:
            self._tell_denied(stream, answer)
            return

        def tell() -> None:
            del self._denied[stream]
            self._tell_denied(stream, answer)
            self.flush()

        self._denied[stream] = self._shared.clock.callLater(self._shared.limits.refusal_time, tell)

    def _tell_denied(self, stream: int, answer: Deny) -> None:
        self._count(answer.code)
        self.core.finish(stream, answer.code, answer.reason, abort=True)

    def _count(self, code: Code) -> None:
        """Count what the page is told is denied: counted apart, one no could be told from
        another."""
        if code is Code.DENIED:
            self._shared.failures.take(site(self.asker.peer), self._shared.clock.seconds())

    def _forget_denied(self, stream: int, code: Code, text: str) -> None:
        """The page has left a stream before it was told that it is denied."""
        later = self._denied.pop(stream, None)
        if later is not None:
            later.cancel()
            self.core.finish(stream, code, text, abort=True)

    def _decide(self, event: events.OpenRequested) -> Seat | Deny:
        limits = self._shared.limits
        if len(self._relays) + len(self._denied) >= limits.streams:
            return Deny(Code.QUOTA, f"more than {limits.streams} streams in one session")
        now = self._shared.clock.seconds()
        if self._shared.failures.spent(site(self.asker.peer), now):
            return Deny(Code.BUSY, "too many failures from one address")
        if not self._opens.take(now):
            return Deny(Code.BUSY, f"more than {limits.opens_per_s:g} opens a second")
        busy = self._share.knock()
        if busy is not None:
            return busy
        try:
            target = parse(event.host, event.port)
        except BadTarget as error:
            return Deny(Code.BAD_TARGET, str(error))
        answer = self._shared.policy.decide(self.asker, target)
        return answer if isinstance(answer, Deny) else self._share.seat(answer, self.asker.caps)

    def _eof(self, stream: int) -> None:
        relay = self._relays.get(stream)
        if relay is not None:
            relay.write_eof()
        self._finish_unread(stream)

    def _reset(self, event: events.ResetReceived) -> None:
        known = event.code in Code._value2member_map_
        code = Code(event.code) if known else Code.ABORTED
        self._forget_denied(event.stream, code, event.text)
        relay = self._relays.get(event.stream)
        if relay is not None:
            relay.reset(code, event.text)

    def _stop(self, stream: int) -> None:
        relay = self._relays.get(stream)
        if relay is not None:
            relay.resume()
        self._finish_unread(stream)

    def _finish_unread(self, stream: int) -> None:
        """Nobody writes and nobody reads: the backend gets its last bytes and a FIN.

        What is denied ends as what is not connected yet does, or a page could tell them apart.
        """
        state, relay = self.core.streams.get(stream), self._relays.get(stream)
        if state is None or not state.unread:
            return
        if relay is not None and relay.page_done:
            relay.finish()
        elif state.receiving is State.EOF:
            self._forget_denied(stream, Code.ABORTED, PAGE_GONE)

    def data(self, stream: int, data: bytes) -> None:
        """A backend said something."""
        if stream not in self._relays:
            return
        self.core.write(stream, data)
        self.flush()
        relay = self._relays.get(stream)
        if relay is not None and self.core.queued(stream):
            relay.pause()

    def closed(self, stream: int, code: Code, text: str) -> None:
        """A backend is gone, or was never reached."""
        if self._relays.pop(stream, None) is not None:
            self._count(code)
            self.core.finish(stream, code, text)
            self.flush()


class StreamPage:
    """One stream, as its relay sees the page."""

    __slots__ = ("_allow", "_stream", "_streams")

    def __init__(self, streams: Streams, stream: int, allow: Allow) -> None:
        self._streams = streams
        self._stream = stream
        self._allow = allow

    def opened(self, remote: tuple[str, int], local: tuple[str, int]) -> None:
        if not self._allow.reveal_address:
            remote, local = (self._allow.name, remote[1]), (UNTOLD, 0)
        self._streams.core.opened(self._stream, remote, local)
        self._streams.flush()

    def data(self, data: bytes) -> None:
        self._streams.data(self._stream, data)

    def eof(self) -> None:
        self._streams.core.write_eof(self._stream)
        self._streams.flush()

    def closed(self, code: Code, text: str) -> None:
        self._streams.closed(self._stream, code, text)

    def consumed(self, count: int) -> None:
        self._streams.core.consume(self._stream, count)
        if self._streams.core.attention:
            self._streams.flush()
