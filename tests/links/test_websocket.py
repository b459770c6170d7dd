"""Is the first frame of a link HELLO, in time and in size, and is every refusal named?"""

from __future__ import annotations

from typing import Any

import pytest

from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.front import Visitor
from sockproxy.links.hello import HELLO_MAX_BYTES
from sockproxy.links.websocket import EARLY_MAX_BYTES, WebSocketLink, greeter
from sockproxy.upgrade import Refusal
from tests.application import Application
from tests.conftest import LoggedErrors
from tests.helpers import result
from tests.links.carriers import Carrier, OverWebSocket, PlainSocket
from tests.links.outline import LinkOutline
from tests.links.ticketed import FORWARD, TicketOutline
from tests.memory import ORIGIN, Page, Server


class TestWebSocket(LinkOutline):
    kind = "websocket"

    def say(self, way: Carrier, said: bytes) -> None:
        assert isinstance(way, OverWebSocket)
        way.link.message(said, text=False)

    def last_word(self, way: Carrier) -> Any:
        assert isinstance(way, OverWebSocket)
        return way.socket.frames()[-1]


class PausableSocket(PlainSocket):
    """A WebSocket that may be told to wait."""

    is_paused = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class TestTickets(TicketOutline):
    kind = "websocket"

    def slow(self, server: Server, page: Page) -> Carrier:
        way = super().slow(server, page)
        assert isinstance(way, OverWebSocket)
        way.make_socket = PausableSocket
        return way

    def waiting(self) -> OverWebSocket:
        server = Server(FORWARD)
        way = self.slow(server, Page(server, ticket="opaque"))
        way.attach()
        assert isinstance(way, OverWebSocket)
        return way

    def test_a_link_is_not_read_while_it_is_found_out_who_asks(self, asked: Application) -> None:
        way = self.waiting()
        assert isinstance(way.socket, PausableSocket)
        assert way.socket.is_paused
        asked.answer()

        assert not way.socket.is_paused

    def test_what_was_under_way_then_is_held_up_to_a_limit(self, asked: Application) -> None:
        way = self.waiting()
        way.link.message(bytes(EARLY_MAX_BYTES), text=False)
        assert way.socket.ended is None
        way.link.message(b"\0", text=False)

        assert way.socket.frames()[-1].code == Code.TOO_BIG
        assert asked.called_off == 1

    @pytest.mark.parametrize("late", ["no answer", "too much"])
    def test_who_is_refused_late_is_heard_when_he_closes(
        self, asked: Application, late: str
    ) -> None:
        way = self.waiting()
        if late == "no answer":
            asked.refuse()
        else:
            way.link.message(bytes(EARLY_MAX_BYTES + 1), text=False)

        assert isinstance(way.socket, PausableSocket)
        assert way.socket.ended is not None
        assert not way.socket.is_paused

    def test_an_application_that_is_away_is_told_as_busy(self, asked: Application) -> None:
        way = self.waiting()
        asked.refuse()

        refuse = way.socket.frames()[-1]
        assert (refuse.code, refuse.retry_ms) == (Code.BUSY, 2000)

    def test_a_fault_of_ours_lets_nobody_in_and_keeps_nobody_waiting(
        self, asked: Application, logged_errors: LoggedErrors
    ) -> None:
        way = self.waiting()
        asked.refuse(LookupError("a fault"))

        assert [frame.code for frame in way.socket.frames()] == [Code.INTERNAL]
        assert way.socket.ended == 4014
        assert logged_errors.flush(LookupError)


def visitor(origin: str | None = ORIGIN, *offered: str) -> Visitor:
    return Visitor(origin, "gw.example", "192.0.2.1", offered)


def link(server: Server, origin: str | None = ORIGIN) -> tuple[WebSocketLink, PlainSocket]:
    made, socket = WebSocketLink(server.hub, visitor(origin)), PlainSocket()
    made.opened(socket)
    return made, socket


def first_message(page: Page) -> bytes:
    """Return what a page says first on a new link."""
    _, outbound = page.attach.hello()
    return page.core.next_message(outbound)


def test_only_our_subprotocol_is_upgraded() -> None:
    greet = greeter(Server().hub)

    assert result(greet(visitor(ORIGIN, "binary"))) == Refusal(
        400, "this URL speaks the WebSocket subprotocol sockproxy.v1"
    )
    assert isinstance(result(greet(visitor(ORIGIN, "x", "sockproxy.v1"))), WebSocketLink)


def test_hello_is_answered_with_welcome_and_early_frames_count() -> None:
    server = Server()
    page = Page(server)
    page.core.open("irc", 0)
    made, socket = link(server)

    made.message(first_message(page), text=False)

    welcome = socket.frames()[0]
    assert isinstance(welcome, frames.Welcome)
    assert (welcome.link, welcome.rx) == (1, 0)
    assert len(server.reactor.tcpClients) == 1
    server.reactor.advance(5)
    assert socket.ended is None, "the deadline of HELLO is over"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_a_foreign_origin_is_told_which_line_is_missing(origin: str | None) -> None:
    server = Server()
    made, socket = link(server, origin)

    refuse = socket.frames()[0]
    assert isinstance(refuse, frames.Refuse)
    assert refuse.code == Code.ORIGIN
    assert "[backend]" in refuse.text or "cannot be listed" in refuse.text
    assert socket.ended == 4035
    made.message(first_message(Page(server)), text=False)
    assert len(server.hub) == 0
    assert not server.reactor.getDelayedCalls()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", Code.PROTOCOL),
        (b"\x05", Code.PROTOCOL),
        (frames.encode(frames.Ack(0)), Code.PROTOCOL),
        (frames.encode_data(2, b"x"), Code.PROTOCOL),
        (b"\x05\x03abc", Code.PROTOCOL),
        (b"\x05\x80\x01\x00\x00" + bytes(65_536), Code.TOO_BIG),
        (
            frames.encode(
                frames.Hello(1, 1, 1, 0, 0, bytes(16), bytes(32), {9: bytes(HELLO_MAX_BYTES)})
            ),
            Code.TOO_BIG,
        ),
        (
            frames.encode(frames.Hello(7, 1, 1, 0, 0, bytes(16), bytes(32))),
            Code.VERSION,
        ),
    ],
    ids=["empty", "cut", "ack", "data", "garbage", "huge body", "huge hello", "version 7"],
)
def test_a_link_that_does_not_begin_with_a_good_hello_is_refused(
    message: bytes, code: Code
) -> None:
    server = Server()
    made, socket = link(server)

    made.message(message, text=False)

    assert socket.frames()[0].code == code
    assert socket.ended == 4000 + code
    assert len(server.hub) == 0
    assert not server.reactor.getDelayedCalls()


def test_a_late_hello_is_refused() -> None:
    server = Server()
    _, socket = link(server)

    server.reactor.advance(5)

    assert socket.frames()[0].code == Code.TIMEOUT


def test_text_is_refused_before_and_after_hello() -> None:
    server = Server()
    made, socket = link(server)
    made.message(b"hello", text=True)
    assert socket.frames()[0].code == Code.PROTOCOL

    made, socket = link(server)
    made.message(first_message(Page(server)), text=False)
    made.message(b"hello", text=True)
    assert isinstance(socket.frames()[-1], frames.Bye)
    assert len(server.hub) == 0


def test_a_newer_link_fences_the_older_one() -> None:
    server = Server()
    page = Page(server)
    older, older_socket = link(server)
    older.message(first_message(page), text=False)
    newer, _ = link(server)
    newer.message(first_message(page), text=False)

    assert older_socket.frames()[-1] == frames.End(Code.SUPERSEDED, "a newer link took over")
    assert older_socket.ended == 4038
    older.message(b"anything", text=False)
    older.closed(1006, "")
    assert len(server.hub) == 1
    assert newer.writable
    assert not older.writable


def test_a_lost_socket_leaves_the_session_waiting() -> None:
    server = Server()
    made, _ = link(server)
    made.message(first_message(Page(server)), text=False)

    made.closed(1006, "")
    made.send(b"into the void")
    made.end(Code.CLEAN, "")
    made.abort()

    assert len(server.hub) == 1


def test_a_socket_closed_before_hello_leaves_no_timer() -> None:
    server = Server()
    made, _ = link(server)

    made.closed(1006, "")
    made.drained()

    assert not server.reactor.getDelayedCalls()


def test_room_again_means_more_is_sent() -> None:
    server = Server()
    page = Page(server)
    page.core.open("irc", 0)
    made, socket = link(server)
    made.message(first_message(page), text=False)
    backend = server.backend()
    socket.writable = False
    backend.protocol.dataReceived(b"waits")
    before = len(socket.sent)

    socket.writable = True
    made.drained()

    assert len(socket.sent) > before
    assert b"waits" in socket.sent[-1]


def test_the_cut_aborts_the_socket() -> None:
    server = Server()
    page = Page(server)
    made, socket = link(server)
    made.message(first_message(page), text=False)

    assert server.hub.hold(page.attach.sid[:4].hex(), 3.0)

    assert socket.ended == "abort"


def test_a_refused_attach_says_when_to_try_again() -> None:
    server = Server()
    page = Page(server)
    made, _ = link(server)
    made.message(first_message(page), text=False)
    server.hub.hold(page.attach.sid[:4].hex(), 3.0)
    again, socket = link(server)

    again.message(first_message(page), text=False)

    refuse = socket.frames()[0]
    assert (refuse.code, refuse.retry_ms) == (Code.BUSY, 500)
    assert events.Refused(refuse.code, refuse.retry_ms, refuse.text).code == Code.BUSY
