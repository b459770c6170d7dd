"""What does a connection say: which requests, or something that is no HTTP?

One request at a time: the next one of the connection is looked at when the answer to the
one before has gone out. After a 101, and where the bytes are no HTTP, all of it is a tunnel.
"""

from __future__ import annotations

from collections.abc import Callable

from sockproxy.faults.exchange import Exchange, Office
from sockproxy.faults.http1 import SWITCHING, Cutter, End, HeadCut, NotHttp, Piece
from sockproxy.faults.kinds import DOWN, UP, Cut
from sockproxy.faults.passage import Passage
from sockproxy.faults.rules import HTTP, TCP, WS
from sockproxy.faults.shape import shape


class Talk:
    """The listener of one passage."""

    def __init__(self, office: Office, passage: Passage, gone: Callable[[], None]) -> None:
        self._office = office
        self._gone = gone
        self._passage = passage
        self._requests = Cutter(requests=True)
        self._answers = Cutter(requests=False)
        self._exchange: Exchange | None = None
        self._tunnel = False
        self._advancing = False
        self._ended = False  # the client sends no more, and the server is still to hear it

    @property
    def backlog_bytes(self) -> int:
        return self._requests.waiting

    def came_up(self, data: bytes) -> None:
        if self._tunnel:
            self._passage.up.write(data)
        else:
            self._requests.receive(data)
            self._advance()

    def came_down(self, data: bytes) -> None:
        if self._tunnel or self._exchange is None:
            self._passage.down.write(data)
            return
        self._answers.receive(data)
        try:
            self._hear()
        except NotHttp:
            self._dig()

    def ended_up(self) -> None:
        self._ended = True
        self._advance()

    def ended_down(self) -> None:
        exchange = None if self._tunnel else self._exchange
        if exchange is not None:
            self._answers.finish()
            exchange.response.ends = True
            exchange.whole_down()
            if exchange.response.held:
                return
        self._passage.finish_down()

    def closed(self) -> None:
        if self._exchange is not None:
            self._exchange.abandon()
        self._gone()

    def _advance(self) -> None:
        """Understand what the client sent; the end of an exchange may come back here."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while not self._tunnel and self._ask():
                pass
        except NotHttp:
            self._begin_tunnel()
        finally:
            self._advancing = False
        if self._ended and not (self._exchange is not None and self._requests.waiting):
            self._end()

    def _ask(self) -> bool:
        """Take the next event of a request; return whether there was one."""
        exchange = self._exchange
        if exchange is not None and exchange.asked:
            return False
        event = self._requests.next()
        if isinstance(event, HeadCut):
            self._begin(event)
        elif exchange is not None and isinstance(event, Piece):
            exchange.piece_up(event.raw)
        elif exchange is not None and isinstance(event, End):
            exchange.whole_up()
        return event is not None

    def _begin(self, cut: HeadCut) -> None:
        head = cut.head
        link = WS if head.has("Upgrade", "websocket") else HTTP
        decision = self._office.decide(head.method, head.path, link)
        self._exchange = Exchange(self._office, self._passage, head, decision, counted=link == HTTP)
        self._exchange.on_done = self._next
        if self._exchange.passes:
            self._answers.methods.append(head.method)
        self._exchange.head_up(cut)

    def _next(self) -> None:
        self._exchange = None
        self._advance()
        self._passage.flow()

    def _hear(self) -> None:
        """Understand what the server answers."""
        while (exchange := self._exchange) is not None and not self._tunnel:
            event = self._answers.next()
            if event is None:
                return
            if isinstance(event, HeadCut):
                exchange.head_down(event)
                if event.head.status == SWITCHING:
                    self._dig()
            elif isinstance(event, Piece):
                exchange.piece_down(event.raw)
            else:
                exchange.whole_down()

    def _begin_tunnel(self) -> None:
        """The client speaks no HTTP."""
        decision = self._office.decide("", "", TCP)
        self._passage.up.begin(shape(decision, UP))
        self._passage.down.begin(shape(decision, DOWN))
        for cut in decision.all(Cut):
            if cut.age_s is not None:
                self._passage.cut_in(cut.age_s, verb=cut.verb, reset=cut.reset)
        self._dig()

    def _dig(self) -> None:
        """From here on bytes are bytes."""
        self._tunnel = True
        self._passage.up.write(self._requests.rest())
        self._passage.down.write(self._answers.rest())

    def _end(self) -> None:
        self._ended = False
        if self._exchange is not None and self._exchange.request.held:
            self._exchange.request.ends = True
        else:
            self._passage.finish_up()
