"""What must hold over whatever carries a session? One class of tests, run over each link."""

from __future__ import annotations

from typing import Any

import pytest

from sockproxy.codes import Code
from sockproxy.core import events, frames
from tests.links.carriers import Carrier, carrier
from tests.memory import BackendTransport, Page, Server

BIG = bytes(range(256)) * 1024


class LinkOutline:
    """Tests of a link; a subclass says of which kind."""

    kind: str

    @pytest.fixture
    def server(self) -> Server:
        return Server()

    @pytest.fixture
    def page(self, server: Server) -> Page:
        return Page(server)

    @pytest.fixture
    def way(self, server: Server, page: Page) -> Carrier:
        return carrier(self.kind, server, page)

    def open(self, server: Server, page: Page, way: Carrier) -> tuple[int, BackendTransport]:
        """Connect a page and open a stream to a backend that has answered."""
        stream = page.core.open("irc", 0)
        way.connect()
        backend = server.backend()
        way.exchange()
        assert page.of(events.StreamOpened)
        return stream, backend

    def received(self, page: Page) -> bytes:
        return b"".join(event.data for event in page.of(events.DataReceived))

    def test_a_new_session_opens_its_backend_once(
        self, server: Server, page: Page, way: Carrier
    ) -> None:
        page.core.open("irc", 0)
        way.attach()
        assert len(server.reactor.tcpClients) == 1
        way.lose()
        way.connect()

        assert len(server.hub) == 1
        assert len(server.reactor.tcpClients) == 1

    def test_bytes_go_both_ways(self, server: Server, page: Page, way: Carrier) -> None:
        stream, backend = self.open(server, page, way)
        page.core.write(stream, b"NICK orbited\r\n")
        backend.protocol.dataReceived(b":irc 001 orbited\r\n")
        way.exchange()

        assert backend.value() == b"NICK orbited\r\n"
        assert self.received(page) == b":irc 001 orbited\r\n"

    def test_many_bytes_arrive_whole_and_in_order(
        self, server: Server, page: Page, way: Carrier
    ) -> None:
        stream, backend = self.open(server, page, way)
        page.core.write(stream, BIG)
        backend.protocol.dataReceived(BIG)
        taken = 0
        while len(self.received(page)) < len(BIG) or len(backend.value()) < len(BIG):
            way.exchange()
            page.core.consume(stream, len(self.received(page)) - taken)
            taken = len(self.received(page))
            server.reactor.advance(0.1)

        assert self.received(page) == BIG
        assert backend.value() == BIG

    def test_a_loss_costs_no_byte(self, server: Server, page: Page, way: Carrier) -> None:
        stream, backend = self.open(server, page, way)
        page.core.write(stream, b"said while up, ")
        backend.protocol.dataReceived(b"heard while up, ")
        way.lose()
        page.core.write(stream, b"said while down")
        way.connect()
        backend.protocol.dataReceived(b"heard after")
        way.exchange()

        assert backend.value() == b"said while up, said while down"
        assert self.received(page) == b"heard while up, heard after"

    def test_a_newer_link_fences_the_older(self, server: Server, page: Page, way: Carrier) -> None:
        stream, backend = self.open(server, page, way)
        newer = carrier("websocket", server, page)
        newer.connect()
        page.core.write(stream, b"on the newer link")
        newer.exchange()
        assert backend.value() == b"on the newer link"

        ended = self.last_word(way)
        assert isinstance(ended, frames.End)
        assert ended.code == Code.SUPERSEDED

    def test_an_end_of_the_backend_is_told(self, server: Server, page: Page, way: Carrier) -> None:
        stream, backend = self.open(server, page, way)
        page.core.write_eof(stream)
        way.exchange()
        backend.loseConnection()
        way.exchange()

        closed = page.of(events.StreamClosed)
        assert [(end.stream, end.code) for end in closed] == [(stream, Code.CLEAN)]

    def test_bye_ends_the_session(self, server: Server, page: Page, way: Carrier) -> None:
        _, backend = self.open(server, page, way)
        self.say(way, frames.encode(frames.Bye(Code.ABORTED, "")))

        assert len(server.hub) == 0
        assert backend.aborted

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            (frames.encode(frames.Ack(10**6)), Code.PROTOCOL),
            (frames.encode_data(44, b"never opened"), Code.PROTOCOL),
            (b"\x10\x80\x01\x00\x00", Code.TOO_BIG),
            (frames.encode(frames.Opened(2, 0, "", 0, "", 0)), Code.PROTOCOL),
        ],
    )
    def test_bad_input_ends_the_session_by_name(
        self, server: Server, page: Page, way: Carrier, said: bytes, code: Code
    ) -> None:
        _, backend = self.open(server, page, way)
        self.say(way, said)

        bye = self.last_word(way)
        assert isinstance(bye, frames.Bye)
        assert bye.code == code
        assert len(server.hub) == 0
        assert backend.aborted

    def test_a_stopping_server_says_so(self, server: Server, page: Page, way: Carrier) -> None:
        self.open(server, page, way)
        server.hub.start()
        server.hub.stop(Code.KILLED, "the server is stopping")

        bye = self.last_word(way)
        assert isinstance(bye, frames.Bye)
        assert bye.code == Code.KILLED

    def test_a_silent_page_is_detached_and_ends_at_linger(
        self, server: Server, page: Page, way: Carrier
    ) -> None:
        self.open(server, page, way)
        server.hub.start()
        for _ in range(60):
            server.reactor.advance(1)
        assert len(server.hub) == 1
        for _ in range(120):
            server.reactor.advance(1)

        assert len(server.hub) == 0
        server.hub.stop(Code.KILLED, "")

    def test_a_cut_cable_is_cut(self, server: Server, page: Page, way: Carrier) -> None:
        self.open(server, page, way)
        assert page.attach.sid[:4].hex() in [live.name for live in server.hub._live.values()]
        assert server.hub.hold(page.attach.sid[:4].hex(), 3)
        way.attach()
        refused = self.last_word(way)
        assert isinstance(refused, frames.Refuse)
        assert refused.code == Code.BUSY

        server.reactor.advance(3)
        way.connect()
        assert page.of(events.Welcomed)[-1].resumed

    def say(self, way: Carrier, said: bytes) -> None:
        """Say on a link what no honest page would."""
        raise NotImplementedError

    def last_word(self, way: Carrier) -> Any:
        """Return the last frame that the server said on the link."""
        raise NotImplementedError
