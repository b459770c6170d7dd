"""Does a run of POSTs carry a session as a WebSocket does, whatever a proxy does to it?"""

from __future__ import annotations

from typing import Any

import pytest

from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.links.http import Down, Up
from tests.links.carriers import Carrier, OverHttp, OverPolls, PlainRequest
from tests.links.outline import LinkOutline
from tests.links.ticketed import FORWARD, TicketOutline
from tests.memory import ORIGIN, Page, Server


class HttpOutline(LinkOutline):
    def say(self, way: Carrier, said: bytes) -> None:
        assert isinstance(way, OverHttp)
        way.ups += 1
        way.post_up(way.page.attach.short(way.ups) + said)

    def last_word(self, way: Carrier) -> Any:
        assert isinstance(way, OverHttp)
        assert way.down is not None
        assert way.down.finished
        return way.down.frames()[-1]


class TestTicketsByStream(TicketOutline):
    kind = "stream"


class TestTicketsByPoll(TicketOutline):
    kind = "poll"


class TestStream(HttpOutline):
    kind = "stream"


class TestPoll(HttpOutline):
    kind = "poll"


def connected(kind: type[OverHttp] = OverHttp) -> tuple[Server, Page, OverHttp]:
    server = Server()
    page = Page(server)
    way = kind(server, page)
    page.core.open("irc", 0)
    way.connect()
    server.backend()
    way.exchange()
    return server, page, way


@pytest.mark.parametrize("resource", [Up, Down])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_a_foreign_origin_gets_403_and_is_told_why(resource: Any, origin: str | None) -> None:
    server, _, way = connected()
    request = PlainRequest(way.up_body(), origin).render(resource(server.hub))

    assert request.status == 403
    [refuse] = request.frames()
    assert (type(refuse), refuse.code) == (frames.Refuse, Code.ORIGIN)
    assert "[backend]" in refuse.text or "cannot be listed" in refuse.text
    allowed = request.headers.get(b"access-control-allow-origin")
    assert allowed == (None if origin is None else origin.encode())


def test_a_listed_origin_may_read_and_nobody_keeps_the_answer() -> None:
    _, _, way = connected()
    assert way.down is not None
    headers = way.down.headers

    assert headers[b"access-control-allow-origin"] == ORIGIN.encode()
    assert headers[b"vary"] == b"Origin"
    assert headers[b"cache-control"] == b"no-store, no-transform"
    assert headers[b"x-accel-buffering"] == b"no"
    assert headers[b"cross-origin-resource-policy"] == b"cross-origin"
    assert headers[b"content-type"] == b"text/event-stream"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.PROTOCOL),
        (b"<!DOCTYPE html>", Code.PROTOCOL),
        (frames.encode(frames.Ack(0)), Code.PROTOCOL),
        (b"\x05\x03abc", Code.PROTOCOL),
        (frames.encode(frames.Hello(7, 1, 1, 1, 0, bytes(16), bytes(32))), Code.VERSION),
        (frames.encode(frames.Hello(1, 0, 1, 1, 0, bytes(16), bytes(32))), Code.SESSION_UNKNOWN),
        (frames.encode(frames.Hello(1, 0, 1, 2, 0, bytes(16), bytes(32))), Code.SESSION_UNKNOWN),
        (
            frames.encode(frames.Hello(1, 1, 1, 1, 0, bytes(16), bytes(32), {5: b"\x40"})),
            Code.PROTOCOL,
        ),
    ],
)
def test_a_bad_beginning_is_refused_by_name(body: bytes, code: Code) -> None:
    server = Server()
    request = PlainRequest(body).render(Down(server.hub))

    [refuse] = request.frames()
    assert (request.status, refuse.code) == (200, code)
    assert len(server.hub) == 0


@pytest.mark.parametrize("mode", [b"\x01", b"\x02", b"\x03"])
@pytest.mark.parametrize(
    ("rest", "last"),
    [
        (frames.encode_data(2, b"never opened"), frames.Bye),
        (b"\x82\x80\x01\x00\x00", frames.Bye),
        (frames.encode(frames.Bye(Code.ABORTED, "")), frames.Bye),
        (frames.encode(frames.End(Code.CLEAN, "")), frames.End),
    ],
    ids=["lie", "too big", "bye", "end"],
)
def test_what_follows_the_attaching_hello_may_end_it_at_once(
    mode: bytes, rest: bytes, last: type
) -> None:
    server = Server()
    said = frames.Hello(1, frames.FLAG_CREATE, 1, 1, 0, bytes(16), bytes(32), {5: mode})
    request = PlainRequest(frames.encode(said) + rest).render(Down(server.hub))

    assert isinstance(request.frames()[0], frames.Welcome)
    assert isinstance(request.frames()[-1], last)
    assert request.finished
    assert len(server.hub) == (last is frames.End)
    assert not server.reactor.getDelayedCalls()


def test_a_stream_begins_with_two_pings_and_padding() -> None:
    server = Server()
    way = OverHttp(server, Page(server))
    way.attach()
    assert way.down is not None
    kinds = [type(frame) for frame in way.down.frames()]
    assert kinds == [frames.Welcome, frames.Ping, frames.Pad]
    server.reactor.advance(0.05)
    assert isinstance(way.down.frames()[-1], frames.Ping)

    way.exchange()
    way.next_down()
    kinds = [type(frame) for frame in way.down.frames()]
    assert kinds == [frames.At, frames.Ping, frames.Pad]
    way.lose()


def test_a_stream_whose_pings_stay_unanswered_advises_polls() -> None:
    server = Server()
    way = OverHttp(server, Page(server))
    way.attach()
    assert way.down is not None
    server.reactor.advance(4)
    server.hub.sweep()

    end = way.down.frames()[-1]
    assert (type(end), end.code) == (frames.End, Code.POLL_ADVISED)
    assert way.down.finished
    assert len(server.hub) == 1, "the session goes on"


def test_a_stream_ends_by_itself_after_300_s() -> None:
    server, _, way = connected()
    down = way.down
    assert down is not None
    for _ in range(20):
        server.reactor.advance(14)
        server.hub.sweep()
        way.exchange()
    assert not down.finished
    server.reactor.advance(21)
    server.hub.sweep()
    assert down.finished


def test_a_poll_waits_for_something_to_say_or_25_s() -> None:
    server, page, way = connected(OverPolls)
    down = way.down
    assert down is not None
    assert not down.finished
    server.reactor.advance(25)
    server.hub.sweep()
    assert down.finished
    assert [type(frame) for frame in down.frames()] == [frames.At]
    assert down.headers[b"content-length"] == b"%d" % len(down.written)
    del page


def test_a_full_transport_holds_the_stream_back() -> None:
    server, page, way = connected()
    backend = server.reactor.tcpClients[0][2]
    del backend
    assert way.down is not None
    way.down.producer.pauseProducing()
    live = next(iter(server.hub._live.values()))
    before = len(way.down.written)
    live.streams.core.write(2, b"waits")
    live.flush()
    assert len(way.down.written) == before
    way.down.producer.resumeProducing()
    way.exchange()
    assert page.of(events.DataReceived)[-1].data == b"waits"


def test_an_up_that_comes_again_has_no_effect() -> None:
    server, page, way = connected()
    page.core.write(2, b"once")
    body = way.up_body()
    first, again = way.post_up(body), way.post_up(body)
    late = way.post_up(page.attach.short(1) + frames.encode_data(2, b"forged"))

    rx = first.frames()[0].rx
    assert [frame.frames()[0] for frame in (again, late)] == [frames.Ack(rx)] * 2
    assert _backend(server).value() == b"once"


def test_a_hole_shows_in_the_answer_and_is_filled() -> None:
    server, page, way = connected()
    rx = next(iter(server.hub._live.values())).core.rx
    hole = frames.encode(frames.At(rx + 9)) + frames.encode_data(2, b"too early")
    way.ups += 1
    answer = way.post_up(page.attach.short(way.ups) + hole)
    assert answer.frames()[0] == frames.Ack(rx)

    page.core.write(2, b"in its place")
    way.exchange()
    assert _backend(server).value() == b"in its place"


def test_a_cut_body_counts_up_to_its_last_whole_frame() -> None:
    server, page, way = connected()
    page.core.write(2, b"whole")
    core = page.core
    body = way.up_body()
    page.core.write(2, b"cut")
    more = way.up_body()
    way.post_up(page.attach.short(9) + more[len(page.attach.short(3)) :][:-1])
    del body
    assert _backend(server).value() == b"whole"
    way.ups = 9
    way.exchange()
    assert _backend(server).value() == b"wholecut"
    assert not core.log.entries


def test_a_down_that_is_not_above_the_last_is_superseded() -> None:
    _, page, way = connected()
    way.next_down()
    held = way.down
    old = way.post_down(page.attach.short(2))

    assert [frame.code for frame in old.frames()] == [Code.SUPERSEDED]
    assert held is not None
    assert not held.finished


def test_a_newer_down_ends_the_older() -> None:
    _, _, way = connected()
    older = way.down
    way.next_down()

    assert older is not None
    end = older.frames()[-1]
    assert (type(end), end.code, older.finished) == (frames.End, Code.SUPERSEDED, True)


def test_a_down_behind_what_was_acknowledged_ends_the_session() -> None:
    server, page, way = connected()
    server.reactor.advance(0.2)
    way.exchange()
    page.core.rx = 0
    way.next_down()

    assert way.down is not None
    bye = way.down.frames()[-1]
    assert (type(bye), bye.code) == (frames.Bye, Code.PROTOCOL)
    assert len(server.hub) == 0


def test_requests_of_a_link_that_is_a_websocket_are_stale() -> None:
    server, page, way = connected()
    page.connect()
    answer = way.post_up(page.attach.short(1))

    assert [(type(f), f.code) for f in answer.frames()] == [(frames.Refuse, Code.STALE_LINK)]
    del server


def test_a_page_that_leaves_ends_its_session_by_a_beacon() -> None:
    server, page, way = connected()
    answer = way.post_up(page.attach.farewell(Code.ABORTED, "bye"))

    assert isinstance(answer.frames()[0], frames.Ack)
    assert len(server.hub) == 0
    assert way.down is not None
    assert way.down.finished


def test_a_forged_farewell_changes_nothing() -> None:
    server, page, way = connected()
    forged = frames.Hello(1, 0, 9, 1, 0, page.attach.sid, bytes(32))
    said = frames.encode(forged) + frames.encode(frames.Bye(Code.ABORTED, ""))
    answer = way.post_up(said)

    assert answer.frames()[0].code == Code.SESSION_UNKNOWN
    assert len(server.hub) == 1


def test_a_brief_poll_is_answered_in_a_moment() -> None:
    server, page, way = connected(OverPolls)
    way.downs += 1
    brief = way.post_down(page.attach.short(way.downs, {5: b"\x03"}))
    assert not brief.finished
    server.reactor.advance(0.005)
    assert brief.finished


def test_a_lost_connection_lets_the_session_wait() -> None:
    server, _, way = connected()
    live = next(iter(server.hub._live.values()))
    way.lose()
    assert live.link is None
    way.next_down()
    assert live.link is not None


def _backend(server: Server) -> Any:
    transport = server.backends[-1]
    return transport


@pytest.mark.parametrize("cookies", [True, False])
@pytest.mark.parametrize("resource", [Up, Down])
def test_cookies_are_taken_only_where_the_application_is_to_see_them(
    resource: Any, cookies: bool
) -> None:
    more = "cookies = sessionid\n" if cookies else ""
    server = Server(FORWARD + more)
    asked = PlainRequest(b"").render(resource(server.hub))

    found = asked.headers.get(b"access-control-allow-credentials")
    assert found == (b"true" if cookies else None)
    foreign = PlainRequest(b"", "https://evil.example").render(resource(server.hub))
    assert b"access-control-allow-credentials" not in foreign.headers
