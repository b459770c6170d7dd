"""How does one stream meet one backend?

Bytes go straight through, and the two back-pressures are turned into each other. Towards
the backend: bytes count as `consumed` when the transport took them without asking for a
pause, the rest once it is empty again. Towards the page: `pause` stops reading the
backend, which nobody but this stream notices. `slow` does both, for a rate.

The end is told once, by `closed`, after the last byte. A backend that ended the whole
connection while the page still may write is told to the page as TCP would: EOF now, and
an error only if it does write. `loseConnection` waits for a slow reader for ever, so
whoever leaves sets a deadline, after which the connection is aborted.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as Shape

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from sockproxy.backends import trust
from sockproxy.backends.opening import Backend, OpenFailed, Opening, tls_failed
from sockproxy.codes import Code
from sockproxy.kernel import has_kernel, unsent_bytes
from sockproxy.logs import Logger
from sockproxy.settings import TcpTarget
from sockproxy.usage import Seat

CLOSE_LINGER_S = 5.0
LOOK_S = 0.1
LOOKS = 2
PAGE_GONE = "the page is gone"


class Page(Shape):
    """What a relay needs of a way in."""

    def opened(self, remote: tuple[str, int], local: tuple[str, int]) -> None:
        """The backend is connected."""

    def data(self, data: bytes) -> None:
        """The backend sent bytes."""

    def eof(self) -> None:
        """The backend will send no more."""

    def closed(self, code: Code, text: str) -> None:
        """The backend is gone: exactly once, last."""

    def consumed(self, count: int) -> None:
        """So many bytes of `write` left our memory."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class BackendProtocol(Backend):
    """The backend's connection; everything it notices it tells its relay."""

    def __init__(self, relay: Relay, tls: bool) -> None:
        super().__init__()
        self._relay = relay
        self._tls = tls
        if tls:
            # Not the class: Twisted's endpoints pass on the last such interface only, and
            # without TLS that has to be the half-close.
            alsoProvides(self, IHandshakeListener)

    def connectionMade(self) -> None:
        if not self._tls:
            self.ready.callback(None)

    def handshakeCompleted(self) -> None:
        self.ready.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self._relay.read(data)

    def readConnectionLost(self) -> None:
        self._relay.backend_eof()

    def writeConnectionLost(self) -> None:
        self._relay.backend_told()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if not self.ready.called:
            self.ready.errback(reason)
        else:
            self._relay.backend_lost(reason)

    def pauseProducing(self) -> None:
        self._relay.backend_full()

    def resumeProducing(self) -> None:
        self._relay.backend_drained()

    def stopProducing(self) -> None:
        """The connection ends; `connectionLost` says the rest."""


class Relay:
    """One stream, one backend, from the first connect to the last byte."""

    log = Logger()

    def __init__(self, page: Page, opening: Opening, seat: Seat, clock: IReactorTime) -> None:
        self.page = page
        self._opening = opening
        self._seat = seat
        self._allow = allow = seat.allow
        self._clock = clock
        self._tls = isinstance(allow.target, TcpTarget) and allow.target.tls is not None
        self._backend = BackendProtocol(self, self._tls)
        self._connecting: Deferred[None] | None = None
        # Twisted's interfaces say less than its transports can.
        self._transport: Any = None
        self._pending: list[bytes] = []
        self._full = False
        self._unconsumed = 0
        self._paused = False
        self._slowed = False
        self._withheld = 0
        # The two halves: what each side has said last.
        self.page_done = False
        self._backend_done = False
        self._backend_gone = False
        self._told_backend = False
        self._last_word: tuple[Code, str] | None = None
        self._over = False
        self._deadline: IDelayedCall | None = None
        self._look: IDelayedCall | None = None
        seat.sit(self)

    # From the page.

    def start(self) -> None:
        """Connect; a failure ends in `page.closed`."""
        self._connecting = self._opening.open(self._allow, self._backend)
        self._connecting.addCallbacks(self._opened, self._not_opened)

    def write(self, data: bytes) -> None:
        """Send to the backend; the page's credit bounds what waits for the connection."""
        if not self._over and self._seat.spend(len(data)):
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._send(data)
        elif self._backend_gone:
            self._end(Code.BACKEND_RESET, f"{self._allow.name}: closed while the page wrote")
        else:
            self._pending.append(data)

    def write_eof(self) -> None:
        """Half-close after the last byte."""
        if self._over or self.page_done:
            return
        self.page_done = True
        if self._backend_gone:
            self._end(Code.CLEAN, "")
        elif self._transport is not None:
            self._half_close(self._transport)

    def pause(self) -> None:
        """Stop reading the backend: the page has no room."""
        self._paused = True
        if self._transport is not None:
            self._transport.pauseProducing()

    def resume(self) -> None:
        """Go on reading the backend."""
        if self._paused:
            self._paused = False
            self._read_on()

    def reset(self, code: Code, text: str) -> None:
        """Abort both directions; `page.closed` follows with this code."""
        if self._over:
            return
        self._last_word = (code, text)
        if self._transport is not None:
            self._transport.abortConnection()
        elif self._connecting is not None:
            self._connecting.cancel()
        self._end(code, text)

    def finish(self) -> None:
        """The page is gone: give the backend what was taken, then leave within 5 s.

        With the page's EOF the backend sees an orderly end, without it a reset: an upload
        that was cut off never looks complete.
        """
        if self._over:
            return
        if self._transport is None:
            self.reset(Code.ABORTED, PAGE_GONE)
            return
        self._deadline = self._clock.callLater(CLOSE_LINGER_S, self._abort)
        self.resume()
        self.ease()
        if not self.page_done:
            self._last_word = (Code.ABORTED, PAGE_GONE)
        self._leave_when_sent(LOOKS)

    # From the seat.

    def slow(self) -> None:
        """Neither read the backend nor give the page credit: a rate is used up.

        A backend that we leave is read all the same: what it said last would make of our
        close a reset.
        """
        if self._deadline is not None:
            return
        self._slowed = True
        if self._transport is not None:
            self._transport.pauseProducing()

    def ease(self) -> None:
        """Go on where `slow` stopped."""
        if not self._slowed:
            return
        self._slowed = False
        count, self._withheld = self._withheld, 0
        self._consumed(count)
        self._read_on()

    # From the backend.

    def read(self, data: bytes) -> None:
        if self._seat.spend(len(data)):
            self.page.data(data)

    def backend_full(self) -> None:
        self._full = True

    def backend_drained(self) -> None:
        """The transport is empty: what it held is consumed."""
        self._full = False
        count, self._unconsumed = self._unconsumed, 0
        self._consumed(count)

    def backend_eof(self) -> None:
        """The backend half-closed."""
        self._backend_done = True
        self.page.eof()
        self._leave_if_done()

    def backend_told(self) -> None:
        """Our half-close went out."""
        self._told_backend = True
        self._leave_if_done()

    def backend_lost(self, reason: Failure) -> None:
        """The connection is gone, for whatever reason."""
        transport, self._transport = self._transport, None
        self._backend_gone = True
        if transport is None or self._over:
            return
        if self._last_word is not None:
            self._end(*self._last_word)
        elif trust.reason(reason.value):
            # TLS 1.3: a refused client certificate is told when our own handshake is over.
            self._end(Code.BACKEND_TLS, tls_failed(self._allow.name, reason))
        elif not reason.check(error.ConnectionDone):
            self._end(Code.BACKEND_RESET, f"{self._allow.name}: connection reset")
        else:
            if not self._backend_done:
                self._backend_done = True
                self.page.eof()
            if self.page_done:
                self._end(Code.CLEAN, "")

    # Inside.

    def _opened(self, _: None) -> None:
        self._connecting = None
        transport: Any = self._backend.transport
        self._transport = transport
        transport.registerProducer(self._backend, True)
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        self.page.opened(_address(transport.getPeer()), _address(transport.getHost()))
        pending, self._pending = self._pending, []
        for data in pending:
            self._write(data)
        if self._transport is not None and (self._paused or self._slowed):
            self._transport.pauseProducing()
        if self.page_done and self._transport is not None:
            self._half_close(self._transport)

    def _not_opened(self, failure: Failure) -> None:
        self._connecting = None
        fault = failure.value
        if self._last_word is not None:
            self._end(*self._last_word)
        elif isinstance(fault, OpenFailed):
            # A failure of TLS is told where it is found, and of hidden ones there is no word.
            if self._allow.detail and fault.code is not Code.BACKEND_TLS:
                self.log.warn("not opened: {reason}", reason=fault.text)
            self._end(fault.code, fault.text)
        else:
            self.log.failure("{name}: opening failed", failure, name=self._allow.name)
            self._end(Code.INTERNAL, f"{self._allow.name}: internal error")

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        if self._full:
            self._unconsumed += len(data)
        else:
            self._consumed(len(data))

    def _consumed(self, count: int) -> None:
        if self._slowed:
            self._withheld += count
        elif count:
            self.page.consumed(count)

    def _read_on(self) -> None:
        held = self._paused or self._slowed or self._backend_done
        if self._transport is not None and not held:
            self._transport.resumeProducing()

    def _half_close(self, transport: Any) -> None:
        """Send FIN, or TLS's close alert, behind what was written; reading goes on."""
        transport.unregisterProducer()
        self._full = False
        if self._tls:
            transport.loseConnection()
        else:
            transport.loseWriteConnection()

    def _leave_if_done(self) -> None:
        if self._backend_done and self._told_backend and self._transport is not None:
            self._transport.loseConnection()

    def _leave_when_sent(self, looks: int) -> None:
        """Wait until the backend's kernel has all.

        An abort throws away what ours still holds, and so does a close while bytes of the
        backend lie unread. One look is not enough: what was just written may not have come
        to the kernel yet.
        """
        transport = self._transport
        if transport is None:
            return
        sent = not self._full and not unsent_bytes(transport)
        looks = looks - 1 if sent else LOOKS
        if self._full or (looks and has_kernel(transport)):
            self._look = self._clock.callLater(LOOK_S, self._leave_when_sent, looks)
        elif self.page_done:
            transport.loseConnection()
        else:
            transport.abortConnection()

    def _abort(self) -> None:
        self._deadline = None
        if self._transport is not None:
            self._transport.abortConnection()

    def _end(self, code: Code, text: str) -> None:
        if self._over:
            return
        self._over = True
        self._seat.release()
        self._pending.clear()
        for timer in (self._deadline, self._look):
            if timer is not None and timer.active():
                timer.cancel()
        self.page.closed(code, text)


def _address(address: IAddress | None) -> tuple[str, int]:
    """Return host and port, or what stands for them at a UNIX socket."""
    if isinstance(address, IPv4Address | IPv6Address):
        return address.host, address.port
    return "", 0
