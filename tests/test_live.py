"""Does one session outlive its links and end once?"""

from __future__ import annotations

from sockproxy.codes import Code
from sockproxy.core import events, frames
from tests.memory import INI, Page, PlainLink, Server


def test_what_was_lost_with_a_link_comes_on_the_next() -> None:
    server = Server()
    page = Page(server)
    stream = page.core.open("irc", 0)
    live = page.connect()
    backend = server.backend()
    page.exchange()

    page.lose_link()
    backend.protocol.dataReceived(b"while you were away")
    page.core.write(stream, b"me too")
    assert page.connect() is live

    assert page.of(events.DataReceived)[-1].data == b"while you were away"
    assert backend.value() == b"me too"
    assert page.of(events.Welcomed)[-1].resumed


def test_a_message_that_the_link_swallowed_is_sent_again() -> None:
    server = Server()
    page = Page(server)
    page.core.open("irc", 0)
    page.connect()
    backend = server.backend()
    page.exchange()

    backend.protocol.dataReceived(b"first")
    page.link.take()
    page.lose_link()
    page.connect()

    assert page.of(events.DataReceived)[-1].data == b"first"


def test_an_older_link_is_not_listened_to() -> None:
    server = Server()
    page = Page(server)
    stream = page.core.open("irc", 0)
    live = page.connect()
    backend = server.backend()
    page.exchange()
    zombie = page.link
    page.connect()

    live.received(zombie, frames.encode_data(stream, b"from the grave"))
    live.lost(zombie)

    assert zombie.last_word == ("end", Code.SUPERSEDED)
    assert backend.value() == b""
    assert live.link is page.link


def test_a_protocol_error_ends_the_session_and_says_why() -> None:
    server = Server()
    page = Page(server)
    page.core.open("irc", 0)
    live = page.connect()
    backend = server.backend()

    page.say(frames.encode(frames.Ack(10**6)))

    assert live.over
    assert page.link.last_word == ("bye", Code.PROTOCOL)
    assert backend.aborted


def test_what_came_before_the_error_still_counts() -> None:
    server = Server()
    page = Page(server)
    stream = page.core.open("irc", 0)
    page.connect()
    backend = server.backend()
    page.exchange()

    page.say(frames.encode_data(stream, b"good") + b"\x3f\x00")

    assert backend.value() == b"good"
    assert backend.aborted


def test_a_hole_ends_the_link_and_not_the_session() -> None:
    server = Server()
    page = Page(server)
    stream = page.core.open("irc", 0)
    live = page.connect()

    page.say(frames.encode(frames.At(10**6)) + frames.encode_data(stream, b"x"))

    assert not live.over
    assert page.link.last_word == ("end", Code.PROTOCOL)
    page.connect()
    assert not live.over


def test_silence_is_pinged_and_then_given_up() -> None:
    server = Server()
    page = Page(server)
    live = page.connect()
    server.reactor.advance(26)

    live.tick(server.reactor.seconds())
    assert frames.parse(frames.first(page.link.take(), 100)) == frames.Ping(live.core.token())  # type: ignore[arg-type]
    live.tick(server.reactor.seconds())
    assert not page.link.take(), "one ping is enough"

    server.reactor.advance(15)
    live.tick(server.reactor.seconds())
    assert page.link.last_word == ("end", Code.TIMEOUT)
    assert live.link is None


def test_an_answer_keeps_the_link() -> None:
    server = Server()
    page = Page(server)
    live = page.connect()
    for _ in range(5):
        server.reactor.advance(26)
        live.tick(server.reactor.seconds())
        page.exchange()

    assert live.link is page.link


def test_an_ack_that_nothing_carries_goes_after_a_tenth_of_a_second() -> None:
    server = Server()
    page = Page(server)
    stream = page.core.open("irc", 0)
    page.connect()
    server.backend()
    page.exchange()
    server.reactor.advance(1)
    page.exchange()

    page.core.write(stream, b"x")
    page.exchange()
    assert page.core.log.entries, "not acked yet"
    server.reactor.advance(0.11)
    page.exchange()

    assert not page.core.log.entries
    assert page.live is not None
    page.live.end(Code.KILLED, "done")
    assert not server.reactor.getDelayedCalls()


def test_a_link_without_room_gets_nothing_until_it_drains() -> None:
    server = Server()
    page = Page(server)
    page.core.open("irc", 0)
    live = page.connect()
    backend = server.backend()
    page.exchange()
    page.link.writable = False

    backend.protocol.dataReceived(b"wait")
    assert not page.link.sent
    assert backend.producerState == "paused"

    page.link.writable = True
    live.flush()
    page.exchange()
    assert page.of(events.DataReceived)[-1].data == b"wait"
    assert backend.producerState == "producing"


def test_the_page_may_end_the_session_or_only_the_link() -> None:
    server = Server()
    page = Page(server)
    live = page.connect()

    page.say(frames.encode(frames.End(Code.CLEAN, "moving")))
    assert (live.link, live.over) == (None, False)

    page.connect()
    page.say(frames.encode(frames.Bye(Code.CLEAN, "done")))
    assert live.over


def test_ending_twice_or_without_a_link_is_harmless() -> None:
    page = Page(Server())
    live = page.connect()
    page.lose_link()

    live.end(Code.KILLED, "once")
    live.end(Code.KILLED, "twice")
    live.leave(Code.KILLED, "no link to leave")
    live.cut()

    assert live.over


def test_a_waiting_session_holds_its_backend_by_back_pressure() -> None:
    server = Server(INI)
    page = Page(server)
    page.core.open("irc", 0)
    live = page.connect()
    backend = server.backend()
    page.exchange()
    page.lose_link()

    backend.protocol.dataReceived(bytes(100_000))

    assert backend.producerState == "paused"
    assert live.held_bytes >= 100_000


def test_no_backend_is_read_while_there_is_no_link() -> None:
    server = Server()
    page = Page(server)
    page.core.open("irc", 0)
    page.core.open("told", 0)
    page.connect()
    backend = server.backend(0)
    page.exchange()
    page.lose_link()
    late = server.backend(1)

    assert (backend.producerState, late.producerState) == ("paused", "paused")
    page.connect()
    assert (backend.producerState, late.producerState) == ("producing", "producing")


def test_a_link_that_never_was_is_not_lost() -> None:
    page = Page(Server())
    live = page.connect()

    live.lost(PlainLink())

    assert live.link is page.link


def test_a_session_weighs_what_it_holds_whenever_that_changes() -> None:
    server = Server()
    page = Page(server)
    stream = page.core.open("irc", 0)
    live = page.connect()
    backend = server.backend()
    page.exchange()
    server.reactor.advance(1)
    page.exchange()
    assert live.weigh() == live.held_bytes == 0, "all is acknowledged"

    backend.producer.pauseProducing()
    page.core.write(stream, bytes(1000))
    page.exchange()
    assert live.weigh() == live.held_bytes >= 1000
    backend.producer.resumeProducing()
    page.exchange()
    assert live.weigh() == live.held_bytes < 1000

    page.link.writable = False
    backend.protocol.dataReceived(bytes(2000))
    assert live.weigh() == live.held_bytes >= 2000
    page.link.writable = True
    live.flush()
    page.exchange()
    assert live.weigh() == live.held_bytes
