"""How is a DOWN answered: bit by bit, or whole?

A *stream* is written as bytes come and pushed back by its transport; two PINGs at its
beginning show whether the path holds bytes back. A *poll* is answered whole, a moment
after the first byte. Either ends once, by itself or because something newer came.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import Request
from zope.interface import implementer

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.kernel import limit_unsent
from sockproxy.links.lag import Lag

STREAM_MAX_S = 300.0
PROVED_WITHIN_S = 4.0
SECOND_PING_S = 0.05
PAD_BYTES = 2048
POLL_MAX_S = 25.0
GATHER_S = 0.005
# Below the 256 KiB of an answer by one more message.
POLL_FULL_BYTES = 128 * 1024

_POLL_ADVISED = frames.encode(frames.End(Code.POLL_ADVISED, "the path holds bytes back"))
_PAD = frames.encode(frames.Pad(bytes(PAD_BYTES)))


class Holder(Protocol):
    """Whose answer it is."""

    def drained(self) -> None:
        """The answer is writable again."""

    def answered(self, answer: Answer) -> None:
        """The answer is over, or its connection gone: exactly once."""


class Answer:
    """The answer to one DOWN."""

    content_type: bytes

    def __init__(self, request: Request, clock: IReactorTime, holder: Holder) -> None:
        self.over = False
        self._request = request
        self._clock = clock
        self._holder = holder
        self._since = clock.seconds()
        self._timer: IDelayedCall | None = None
        request.setHeader(b"Content-Type", self.content_type)
        request.notifyFinish().addErrback(self._lost)

    @property
    def writable(self) -> bool:
        """Whether more bytes would not just pile up here."""
        raise NotImplementedError

    def begin(self, first: bytes) -> None:
        """Say the first frame of a DOWN that goes on with a link."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Say whole frames."""
        raise NotImplementedError

    def greeted(self) -> None:
        """All that a new link begins with has been said."""
        raise NotImplementedError

    def proved(self) -> None:
        """The page was seen to have got a PING that came this way."""

    def acknowledged(self) -> None:
        """The page has said an UP."""

    def tick(self, now: float) -> None:
        """Look at the clock, about once a second."""
        raise NotImplementedError

    def finish(self, last: bytes = b"") -> None:
        """Say the last frame, and that it was; harmless when repeated."""
        if self._end():
            self._say_last(last)
            self._holder.answered(self)

    def abort(self) -> None:
        """Cut the connection."""
        channel: Any = self._request.channel
        if channel is not None:
            channel.transport.abortConnection()

    def _say_last(self, last: bytes) -> None:
        raise NotImplementedError

    def _lost(self, reason: Failure) -> None:
        if self._end():
            self._holder.answered(self)

    def _end(self) -> bool:
        """Return whether it had not ended before."""
        was_over, self.over = self.over, True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return not was_over


@implementer(IPushProducer)
class Stream(Answer):
    """An answer that lasts."""

    # Binary all the same: this is the type that proxies and scanners let pass unheld.
    content_type = b"text/event-stream"

    def __init__(self, request: Request, clock: IReactorTime, holder: Holder, lag: Lag) -> None:
        super().__init__(request, clock, holder)
        self._lag = lag
        self._full = False
        self._is_proved = False
        channel: Any = request.channel
        limit_unsent(channel.transport)
        request.registerProducer(self, True)

    @property
    def writable(self) -> bool:
        return not (self._full or self.over)

    def begin(self, first: bytes) -> None:
        self.send(first + self._ping())
        self.greeted()

    def send(self, data: bytes) -> None:
        self._request.write(data)

    def greeted(self) -> None:
        if self.over:  # by what followed its HELLO
            return
        self.send(_PAD)
        self._timer = self._clock.callLater(SECOND_PING_S, self._ping_again)

    def proved(self) -> None:
        self._is_proved = True

    def acknowledged(self) -> None:
        if self._lag.shows_in_answer(self._clock.seconds()):
            self.finish(_POLL_ADVISED)

    def tick(self, now: float) -> None:
        age_s = now - self._since
        if self._lag.suspects(now):
            self.send(self._ping())
        is_unproved = not self._is_proved and age_s >= PROVED_WITHIN_S
        if is_unproved or self._lag.shows(now):
            self.finish(_POLL_ADVISED)
        elif age_s >= STREAM_MAX_S:
            self.finish()

    def _ping(self) -> bytes:
        return frames.encode(frames.Ping(int(self._clock.seconds() * 1000) % 2**30))

    def _ping_again(self) -> None:
        self._timer = None
        self.send(self._ping())

    def _say_last(self, last: bytes) -> None:
        self._request.unregisterProducer()
        if last:
            self._request.write(last)
        self._request.finish()

    # As the producer of its transport.

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        if not self.over:
            self._holder.drained()

    def stopProducing(self) -> None:
        """The connection ends; `_lost` says the rest."""


class Poll(Answer):
    """An answer that waits for something to say; a brief one waits a moment only."""

    content_type = b"application/octet-stream"

    def __init__(
        self, request: Request, clock: IReactorTime, holder: Holder, *, brief: bool = False
    ) -> None:
        super().__init__(request, clock, holder)
        self._parts: list[bytes] = []
        self._size = 0
        self._brief = brief

    @property
    def writable(self) -> bool:
        return not self.over and self._size < POLL_FULL_BYTES

    def begin(self, first: bytes) -> None:
        self._parts.append(first)
        if self._brief:
            self._gather()

    def send(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        self._gather()

    def greeted(self) -> None:
        self.finish()

    def tick(self, now: float) -> None:
        if now - self._since >= POLL_MAX_S:
            self.finish()

    def _gather(self) -> None:
        """Answer in a moment, when what comes with this has come."""
        if self._timer is None:
            self._timer = self._clock.callLater(GATHER_S, self._gathered)

    def _gathered(self) -> None:
        self._timer = None
        self.finish()

    def _say_last(self, last: bytes) -> None:
        body = b"".join([*self._parts, last])
        self._parts.clear()
        self._request.setHeader(b"Content-Length", b"%d" % len(body))
        self._request.write(body)
        self._request.finish()
