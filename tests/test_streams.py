"""Do events of the core and words of a backend meet in the right relay?"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from sockproxy.codes import Code
from sockproxy.core import events
from sockproxy.policy.ticket import Ticket
from tests.backends.test_opening import Names
from tests.memory import ASKER, INI, ORIGIN, BackendTransport, Page, Server


def connected(server: Server, name: str = "irc") -> tuple[Page, int, BackendTransport]:
    page = Page(server)
    stream = page.core.open(name, 0)
    page.connect()
    backend = server.backend()
    page.exchange()
    return page, stream, backend


def test_a_stream_opens_carries_bytes_both_ways_and_ends_clean() -> None:
    page, stream, backend = connected(Server())

    page.core.write(stream, b"NICK a\r\n")
    page.exchange()
    backend.protocol.dataReceived(b":irc 001 a\r\n")
    page.exchange()
    page.core.write_eof(stream)
    page.exchange()
    backend.protocol.readConnectionLost()
    page.exchange()

    assert backend.value() == b"NICK a\r\n"
    assert backend.half_closed
    kinds = [type(event) for event in page.happened]
    assert kinds == [
        events.Welcomed,
        events.StreamOpened,
        events.DataReceived,
        events.EofReceived,
        events.StreamClosed,
    ]
    assert page.happened[-1] == events.StreamClosed(stream, Code.CLEAN, "", 8)
    assert page.live is not None
    assert len(page.live.streams) == 0


def test_bytes_before_the_backend_is_there_are_delivered_when_it_is() -> None:
    server = Server()
    page = Page(server)
    stream = page.core.open("irc", 0)
    page.core.write(stream, b"early")
    page.core.write_eof(stream)
    page.connect()

    backend = server.backend()
    page.exchange()

    assert backend.value() == b"early"
    assert backend.half_closed


def test_a_named_backend_tells_its_name_unless_it_may_tell_more() -> None:
    page, _, _ = connected(Server())
    assert page.of(events.StreamOpened)[0].remote[0] == "irc"
    assert page.of(events.StreamOpened)[0].local == ("", 0)

    page, _, _ = connected(Server(), "told")
    assert page.of(events.StreamOpened)[0].remote[0] == "192.168.1.1"


def test_a_denied_stream_ends_alone() -> None:
    server = Server()
    page, stream, backend = connected(server)

    denied = page.core.open("redis", 0)
    odd = page.core.open("no such name!", 0)
    page.exchange()
    page.core.write(stream, b"still here")
    page.exchange()

    ends = {event.stream: event.code for event in page.of(events.StreamClosed)}
    assert ends == {denied: Code.DENIED, odd: Code.BAD_TARGET}
    assert backend.value() == b"still here"


CHOSEN = f"{INI}[access a]\norigins = {ORIGIN}\nallow = irc.example.org:6667\n"


def ends(page: Page) -> dict[int, int]:
    page.exchange()
    closed = [event for event in page.happened if isinstance(event, events.StreamClosed)]
    return {event.stream: event.code for event in closed}


def test_a_denied_host_and_one_without_address_take_the_same_time() -> None:
    server = Server(CHOSEN, resolver=Names([]))
    page = Page(server)
    denied = page.core.open("redis.example.org", 6379)
    unknown = page.core.open("irc.example.org", 6667)
    page.connect()

    server.reactor.advance(0.99)
    assert ends(page) == {}
    server.reactor.advance(0.01)
    assert ends(page) == {denied: Code.DENIED, unknown: Code.DENIED}
    texts = {e.text for e in page.happened if isinstance(e, events.StreamClosed)}
    assert texts == {"not allowed or not reachable"}


def test_a_denied_stream_that_its_page_leaves_is_forgotten() -> None:
    server = Server(CHOSEN)
    page = Page(server)
    denied = page.core.open("redis.example.org", 6379)
    page.connect()
    before = len(server.reactor.getDelayedCalls())
    page.core.reset(denied, Code.ABORTED)

    assert ends(page) == {denied: Code.ABORTED}
    assert page.live is not None
    assert not page.live.streams.core.streams
    assert len(server.reactor.getDelayedCalls()) == before - 1


def test_a_page_that_neither_reads_nor_writes_learns_nothing_of_a_denied_host() -> None:
    page = Page(Server(CHOSEN, resolver=Names(None)))
    denied = page.core.open("redis.example.org", 6379)
    connecting = page.core.open("irc.example.org", 6667)
    for stream in (denied, connecting):
        page.core.write_eof(stream)
        page.core.stop(stream)
    page.connect()
    page.exchange()

    told = {(e.stream, e.code, e.text) for e in page.of(events.StreamClosed)}
    assert told == {(stream, Code.ABORTED, "the page is gone") for stream in (denied, connecting)}


def test_a_host_that_cannot_be_reached_counts_as_one_that_is_denied_and_at_the_same_time() -> None:
    limits = "[limits]\nfailures_burst = 1\nfailures_per_s = 0.1\n"
    for host in ("redis.example.org", "irc.example.org"):
        server = Server(CHOSEN + limits, resolver=Names([]))
        page = Page(server)
        page.connect()
        streams = []
        for _ in range(2):
            streams += [page.core.open(host, 6667), page.core.open(host, 6667)]
            page.exchange()
            server.reactor.advance(1)

        codes = [Code.DENIED, Code.DENIED, Code.BUSY, Code.BUSY]
        assert ends(page) == dict(zip(streams, codes, strict=True))


def test_a_session_that_ends_takes_its_denied_streams_along() -> None:
    server = Server(CHOSEN)
    page = Page(server)
    page.core.open("redis.example.org", 6379)
    page.connect()
    server.hub.stop(Code.KILLED, "stop")

    assert server.reactor.getDelayedCalls() == []


def test_denied_streams_count_among_the_streams_of_a_session() -> None:
    server = Server(f"{CHOSEN}[limits]\nstreams = 2\n")
    page = Page(server)
    for number in range(3):
        page.core.open(f"h{number}.example.org", 80)
    page.connect()

    assert list(ends(page).values()) == [Code.QUOTA]


def test_a_backend_that_resets_ends_its_stream_behind_its_last_bytes() -> None:
    page, stream, backend = connected(Server())

    backend.protocol.dataReceived(b"last")
    backend.protocol.connectionLost(Failure(ConnectionLost()))
    page.exchange()

    assert page.happened[-2] == events.DataReceived(stream, b"last")
    assert page.happened[-1].code == Code.BACKEND_RESET


def test_a_backend_that_closes_at_once_leaves_the_page_its_half() -> None:
    page, stream, backend = connected(Server())

    backend.protocol.connectionLost(Failure(ConnectionDone()))
    page.exchange()
    assert page.happened[-1] == events.EofReceived(stream)

    page.core.write_eof(stream)
    page.exchange()
    assert page.happened[-1] == events.StreamClosed(stream, Code.CLEAN, "", 0)


def test_writing_to_a_backend_that_has_closed_is_an_error() -> None:
    page, stream, backend = connected(Server())
    backend.protocol.connectionLost(Failure(ConnectionDone()))
    page.exchange()

    page.core.write(stream, b"too late")
    page.exchange()

    assert page.happened[-1].code == Code.BACKEND_RESET


def test_a_reset_aborts_the_backend() -> None:
    page, stream, backend = connected(Server())

    page.core.reset(stream, Code.ABORTED, "enough")
    page.exchange()

    assert backend.aborted
    assert page.happened[-1] == events.StreamClosed(stream, Code.ABORTED, "enough", 0)


def test_a_reset_with_an_unknown_code_is_an_abort() -> None:
    page, stream, backend = connected(Server())

    page.core.reset(stream, 0x7F, "?")  # type: ignore[arg-type]
    page.exchange()

    assert backend.aborted
    assert page.happened[-1].code == Code.ABORTED


def test_a_reset_while_connecting_gives_the_attempt_up() -> None:
    server = Server()
    page = Page(server)
    stream = page.core.open("irc", 0)
    page.connect()

    page.core.reset(stream, Code.ABORTED, "never mind")
    page.exchange()

    assert server.reactor.connectors[0].stoppedConnecting
    assert page.happened[-1].code == Code.ABORTED


def test_nobody_reading_and_nobody_writing_ends_the_backend() -> None:
    page, stream, backend = connected(Server())

    page.core.stop(stream)
    page.exchange()
    backend.protocol.dataReceived(b"unread")
    page.exchange()
    assert not page.of(events.DataReceived)

    page.core.write_eof(stream)
    page.exchange()

    assert backend.closing
    assert page.of(events.StreamClosed)[0].code == Code.CLEAN


def test_a_slow_page_pauses_its_own_backend_only() -> None:
    server = Server()
    page = Page(server)
    slow, quick = page.core.open("irc", 0), page.core.open("told", 0)
    page.connect()
    slow_backend, quick_backend = server.backend(0), server.backend(1)
    page.exchange()

    for _ in range(5):
        slow_backend.protocol.dataReceived(bytes(16 * 1024))
    page.exchange()
    assert slow_backend.producerState == "paused"
    assert quick_backend.producerState == "producing"

    quick_backend.protocol.dataReceived(b"quick")
    page.exchange()
    assert page.happened[-1] == events.DataReceived(quick, b"quick")

    page.core.consume(slow, 64 * 1024)
    page.exchange()
    assert slow_backend.producerState == "producing"


def test_a_slow_backend_stops_its_own_page_stream_only() -> None:
    server = Server()
    page = Page(server)
    slow, quick = page.core.open("irc", 0), page.core.open("told", 0)
    page.connect()
    slow_backend, quick_backend = server.backend(0), server.backend(1)
    page.exchange()
    slow_backend.producer.pauseProducing()

    page.core.write(slow, bytes(200 * 1024))
    page.core.write(quick, b"quick")
    page.exchange()

    assert len(slow_backend.value()) <= 64 * 1024 + 16 * 1024
    assert quick_backend.value() == b"quick"

    slow_backend.producer.resumeProducing()
    page.exchange()
    assert len(slow_backend.value()) == 200 * 1024


def test_a_session_has_so_many_streams_and_no_more() -> None:
    server = Server(INI + "[limits]\nstreams = 2\n")
    page = Page(server)
    streams = [page.core.open("irc", 0) for _ in range(3)]
    page.connect()

    assert [event.stream for event in page.of(events.StreamClosed)] == streams[2:]
    assert page.happened[-1].code == Code.QUOTA


def test_a_session_opens_only_so_fast() -> None:
    server = Server(INI + "[limits]\nopens_burst = 1\nopens_per_s = 1\n")
    page = Page(server)
    page.core.open("irc", 0)
    second = page.core.open("irc", 0)
    page.connect()

    assert page.happened[-1].stream == second
    assert page.happened[-1].code == Code.BUSY

    server.reactor.advance(1)
    page.core.open("irc", 0)
    page.exchange()
    assert len(server.reactor.tcpClients) == 2


def test_an_expired_session_gives_the_backend_what_it_took() -> None:
    page, stream, backend = connected(Server())
    page.core.write(stream, b"half an upload")
    page.exchange()
    assert page.live is not None

    page.live.end(Code.LINGER_EXPIRED, "nobody came")

    assert backend.value() == b"half an upload"
    assert backend.aborted, "an upload that was cut off must not look complete"


def test_an_expired_session_ends_a_whole_upload_in_order() -> None:
    page, stream, backend = connected(Server())
    page.core.write(stream, b"whole")
    page.core.write_eof(stream)
    page.exchange()
    assert page.live is not None

    page.live.end(Code.LINGER_EXPIRED, "nobody came")

    assert backend.closing
    assert not backend.aborted


def test_a_killed_session_aborts_its_backends() -> None:
    page, _, backend = connected(Server())
    assert page.live is not None

    page.live.end(Code.KILLED, "by hand")
    backend.protocol.dataReceived(b"nobody listens")

    assert backend.aborted


def test_reader_and_writer_leaving_at_once_is_an_orderly_end() -> None:
    page, stream, backend = connected(Server())
    page.core.write(stream, b"QUIT\r\n")
    page.core.stop(stream)
    page.core.write_eof(stream)

    page.exchange()

    assert backend.value() == b"QUIT\r\n"
    assert backend.half_closed
    assert not backend.aborted
    assert page.happened[-1] == events.StreamClosed(stream, Code.CLEAN, "", 6)


def test_an_address_that_asks_for_too_much_that_is_denied_opens_nothing_for_a_moment() -> None:
    server = Server(INI + "[limits]\nfailures_burst = 3\nfailures_per_s = 1\n")
    page, stream, backend = connected(server)
    neighbour = Page(server, replace(ASKER, peer="192.0.2.2"), seed=8)
    neighbour.connect()

    denied = [page.core.open("redis", 0) for _ in range(3)]
    page.exchange()
    late = page.core.open("irc", 0)
    elsewhere = neighbour.core.open("irc", 0)
    page.exchange()
    neighbour.exchange()

    ends = {event.stream: event.code for event in page.of(events.StreamClosed)}
    assert ends == {**dict.fromkeys(denied, Code.DENIED), late: Code.BUSY}
    server.backend()
    neighbour.exchange()
    assert [event.stream for event in neighbour.of(events.StreamOpened)] == [elsewhere]
    backend.protocol.dataReceived(b"still here")
    page.exchange()
    assert page.of(events.DataReceived)[-1].stream == stream
    server.reactor.advance(1.0)
    again = page.core.open("irc", 0)
    page.exchange()
    server.backend()
    page.exchange()
    assert page.of(events.StreamOpened)[-1].stream == again


def closings(page: Page) -> list[tuple[int, str]]:
    page.exchange()
    return [(event.code, event.text) for event in page.of(events.StreamClosed)]


def test_a_backend_takes_so_many_streams_of_all_sessions() -> None:
    server = Server(INI.replace("[backend told]", "max_streams = 1\n[backend told]"))
    page, stream, _ = connected(server)
    other = Page(server, seed=8)
    other.core.open("irc", 0)
    other.core.open("told", 0)
    other.connect()

    assert closings(other) == [(Code.BUSY, "more than 1 streams to one backend")]
    page.core.reset(stream, Code.ABORTED)
    page.exchange()
    other.core.open("irc", 0)
    assert len(closings(other)) == 1


def test_an_address_opens_only_so_fast_in_all_its_sessions() -> None:
    server = Server(f"{INI}[limits]\naddress_opens_per_s = 0.1\n")
    connected(server)
    other = Page(server, seed=8)
    other.core.open("irc", 0)
    other.connect()

    assert closings(other) == [(Code.BUSY, "more than 0.1 opens a second from one address")]


def test_a_ticket_narrows_streams_and_bytes() -> None:
    server = Server()
    ticket = Ticket("alice", 60.0, streams=1, byte_quota=10)
    page = Page(server, asker=ASKER.known_by(ticket))
    stream, _ = page.core.open("irc", 0), page.core.open("irc", 0)
    page.connect()
    backend = server.backend()
    page.core.write(stream, b"0123456789")
    assert closings(page) == [(Code.QUOTA, "more than 1 streams of one principal")]

    backend.protocol.dataReceived(b"!")
    said = "irc: 11 bytes, the session may carry 10"
    assert closings(page)[1:] == [(Code.QUOTA, said)]
    assert backend.aborted


def test_an_idle_stream_ends_and_its_neighbour_stays() -> None:
    server = Server(INI.replace("[backend told]", "idle_timeout = 1m\n[backend told]"))
    page = Page(server)
    page.core.open("irc", 0)
    page.core.open("told", 0)
    page.connect()
    idle, other = server.backend(0), server.backend(1)
    server.hub.start()
    for _ in range(61):
        server.reactor.advance(1)
        page.exchange()

    text = "irc: nothing moved for 60 s, idle_timeout is 60 s"
    assert closings(page) == [(Code.IDLE, text)]
    assert (idle.aborted, other.aborted) == (True, False)
    server.hub.stop(Code.KILLED, "done")


def test_a_slowed_session_slows_no_other() -> None:
    server = Server(f"{INI}[limits]\nbytes_per_s = 16KiB\n")
    hungry, _, flood = connected(server)
    modest = Page(server, seed=8)
    modest.core.open("told", 0)
    modest.connect()
    quiet = server.backend()
    modest.exchange()

    flood.protocol.dataReceived(bytes(64 * 1024))
    hungry.exchange()
    assert flood.producerState == "paused"
    quiet.protocol.dataReceived(b"quick")
    modest.exchange()

    assert modest.of(events.DataReceived)[-1].data == b"quick"
    assert quiet.producerState == "producing"
    server.reactor.pump([0.1] * 31)
    assert flood.producerState == "producing"
    server.hub.stop(Code.KILLED, "done")
    assert not server.reactor.getDelayedCalls()
