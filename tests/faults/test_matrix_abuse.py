"""Does a session stand, and others beside it, when an end lies, floods, dies or starts anew?

The fault matrix, rows 16, 17 and 19 to 23; see `test_matrix`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from sockproxy import ini
from sockproxy.codes import Code, HelloTlv
from sockproxy.core import events, frames
from sockproxy.front import Visitor
from sockproxy.links.http import Down, Up
from sockproxy.links.websocket import WebSocketLink
from sockproxy.policy.access import Policy
from tests.faults.network import Network, Socket
from tests.faults.test_matrix import (
    KINDS,
    each_direction,
    few_and_many,
    over_each_link,
    started,
)
from tests.faults.traffic import Life, Traffic
from tests.links.carriers import PEER, PlainRequest, PlainSocket
from tests.memory import INI, ORIGIN, Server

OTHER = "https://other.example"
TWO_ORIGINS = INI + f"[backend other]\ntarget = tcp:127.0.0.1:6669\norigins = {OTHER}\n"
WITHOUT_IRC = INI[: INI.index("[backend irc]")] + INI[INI.index("[backend told]") :]
MANY_OPENS = INI + "[limits]\nopens_per_s = 1000000\nopens_burst = 1000000\n"
WINDOW_BYTES = 64 * 1024
BODY_BYTES = 128 * 1024
FUTURE = 2**53 - 1
PINGS = 100_000


def forge(net: Network, said: bytes) -> list[Any]:
    """Say on the page's link what its core would not; return what the server says to it."""
    way = net.way
    if isinstance(way, Socket):
        way.link.message(said, text=False)
        return way.socket.frames()
    way.ups += 1
    answer = way.again(net.page.attach.short(way.ups) + said)
    return answer + (way.down.frames() if way.down is not None else [])


# Row 16.


@over_each_link
@few_and_many
def test_a_client_that_ignores_credit_loses_that_stream(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams + 1)
    greedy = traffic.lives[0]
    greedy.backend.producer.pauseProducing()
    net.page.core.streams[greedy.id].credit.max = 2**50
    traffic.say("both", 200_000)
    traffic.settle()

    assert greedy.ended == [Code.FLOW]
    assert greedy.up.delivered <= WINDOW_BYTES
    assert greedy.backend.aborted
    assert traffic.whole
    assert not any(life.ended for life in traffic.lives[1:])


@over_each_link
@few_and_many
@pytest.mark.parametrize(
    "lie",
    [
        frames.encode(frames.Ack(10**6)),
        frames.encode(frames.Ack(FUTURE)),
        frames.encode(frames.Pong(0, FUTURE)),
        b"\x01\x08" + bytes((0xC0, 0x20)) + bytes(6),
    ],
    ids=["10^6", "2^53-1", "pong", "2^53"],
)
def test_a_client_that_acks_the_future_is_put_out(kind: str, streams: int, lie: bytes) -> None:
    net, traffic = started(kind, streams)
    bye = forge(net, lie)[-1]
    assert (type(bye), bye.code) == (frames.Bye, Code.PROTOCOL)
    assert len(net.server.hub) == 0
    assert all(life.backend.aborted for life in traffic.lives)


@over_each_link
@few_and_many
def test_an_offset_from_the_future_ends_no_more_than_the_link(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    hole = frames.encode(frames.At(FUTURE)) + frames.encode_data(2, b"from the future")
    said = forge(net, hole)
    if kind == "websocket":
        assert (type(said[-1]), said[-1].code) == (frames.End, Code.PROTOCOL)
        net.connect()
    else:
        assert said[0] == frames.Ack(net.live.core.rx)
    traffic.say("both", 100)
    traffic.settle()
    traffic.check()


@pytest.mark.parametrize(
    ("kind", "count"),
    [("websocket", 1_000_000), ("stream", 100_000), ("poll", 100_000)],
)
def test_a_million_pads_leave_nothing_behind(kind: str, count: int) -> None:
    net, traffic = started(kind, 1)
    before = state(net)
    pads = frames.encode(frames.Pad(b"")) * (BODY_BYTES // 2)
    for _ in range(0, count, BODY_BYTES // 2):
        said = [frame for frame in forge(net, pads) if not isinstance(frame, frames.Ack)]
        assert not said
    assert state(net) == before
    traffic.say("both", 100)
    traffic.settle()


@over_each_link
def test_a_flood_of_pings_is_answered_by_one_pong_each_message(kind: str) -> None:
    net, traffic = started(kind, 1)
    pings = b"".join(frames.encode(frames.Ping(token)) for token in range(PINGS // 10))
    for _ in range(10):
        net.way.hear()
        said = forge(net, pings)
        assert [type(frame) for frame in said].count(frames.Pong) <= 1
    traffic.say("both", 100)
    traffic.settle()


def test_a_hello_that_does_not_come_is_not_waited_for() -> None:
    server = Server()
    made, socket = opened(server, ORIGIN)
    server.reactor.advance(4.9)
    assert socket.ended is None
    server.reactor.advance(0.2)
    assert socket.frames()[0].code == Code.TIMEOUT
    made.message(hello(Network("websocket", server)), text=False)
    assert len(server.hub) == 0


@over_each_link
def test_a_hello_in_pieces_makes_no_session(kind: str) -> None:
    net = Network(kind)
    whole = hello(net)
    for at in range(len(whole)):
        assert knock(net, whole[:at])[0] == Code.PROTOCOL
    assert len(net.server.hub) == 0
    assert not net.server.reactor.tcpClients


# Row 17.


@over_each_link
@few_and_many
@pytest.mark.parametrize("seconds", [100, 360, 3600])
def test_a_frozen_page_resumes_or_is_told(kind: str, streams: int, seconds: int) -> None:
    net, traffic = started(kind, streams)
    traffic.say("both", 100)
    net.tick(seconds)
    asleep = net.switch()
    net.exchange()
    if seconds < 120:
        traffic.settle()
        traffic.check()
        assert net.page.attach.link == 2
    else:
        assert net.page.of(events.Refused)[-1].code == Code.SESSION_UNKNOWN
        ends = net.page.core.lose()
        assert [end.code for end in ends] == [Code.LOST] * streams
        assert all(life.backend.aborted for life in traffic.lives)
    asleep.land()
    asleep.lose()


# Row 19.


def state(net: Network) -> tuple[object, ...]:
    """Return all that somebody else could have changed."""
    live, hub = net.live, net.server.hub
    core, ring = live.core, live.attach.ring
    return (
        *(len(hub), live.link, live.joined, live.over, len(live.streams)),
        *(core.rx, core.log.base, core.log.next, len(core.streams)),
        *(ring.link, live.attach.confirmed, ring._current, ring._next),
        len(net.server.reactor.tcpClients),
    )


def hello(net: Network, **changes: Any) -> bytes:
    """Return a HELLO that would attach the next link, but for what is changed."""
    attach = net.page.attach
    request = 0 if net.kind == "websocket" else 1
    fields: dict[str, Any] = {
        **{"version": 1, "flags": 0, "link": attach.link + 1, "request": request},
        **{"rx": net.page.core.rx, "sid": attach.sid, "secret": attach._secret},
        "tlvs": {HelloTlv.MODE: b"\x01" if net.kind == "stream" else b"\x02"},
    }
    return frames.encode(frames.Hello(**(fields | changes)))


def opened(server: Server, origin: str | None) -> tuple[WebSocketLink, PlainSocket]:
    visitor = Visitor(origin, "gw.example", PEER, ("sockproxy.v1",))
    link, socket = WebSocketLink(server.hub, visitor), PlainSocket()
    link.opened(socket)
    return link, socket


def knock(net: Network, said: bytes, origin: str | None = ORIGIN) -> tuple[int, bytes]:
    """Begin a link as somebody else; return the code and the whole of the answer."""
    if net.kind == "websocket":
        link, socket = opened(net.server, origin)
        link.message(said, text=False)
        [refuse] = socket.frames()
        return refuse.code, b"".join(socket.sent)
    answers = [PlainRequest(said, origin).render(kind(net.server.hub)) for kind in (Down, Up)]
    assert all(answer.finished for answer in answers)
    if answers[0].status == 403:
        assert answers[1].status == 403
        return Code.ORIGIN, answers[0].written
    return answers[0].frames()[0].code, answers[0].written


@over_each_link
@few_and_many
@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_a_foreign_origin_gets_in_nowhere(kind: str, streams: int, origin: str | None) -> None:
    net, traffic = started(kind, streams)
    before = state(net)
    for said in (hello(net), hello(net, flags=frames.FLAG_CREATE, sid=b"n" * 16)):
        assert knock(net, said, origin)[0] == Code.ORIGIN
    assert state(net) == before
    net.connect()
    traffic.say("both", 100)
    traffic.settle()


@over_each_link
@few_and_many
def test_what_is_not_the_session_s_own_is_unknown_and_says_no_more(kind: str, streams: int) -> None:
    net = Network(kind, Server(TWO_ORIGINS))
    traffic = Traffic(net, streams)
    traffic.start()
    before = state(net)
    create = frames.FLAG_CREATE
    answers = [
        knock(net, hello(net, sid=b"x" * 16)),
        knock(net, hello(net, secret=b"x" * 32)),
        knock(net, hello(net, secret=b"x" * 32, flags=create)),
        knock(net, hello(net, secret=b"x" * 32, link=10**6)),
        knock(net, hello(net), OTHER),
        knock(net, hello(net, flags=create), OTHER),
        knock(net, hello(net, rx=net.page.core.rx + 1)),
        knock(net, hello(net, rx=net.page.core.rx - 1)),
        knock(net, hello(net, rx=FUTURE)),
    ]
    assert set(answers) == {(Code.SESSION_UNKNOWN, answers[0][1])}, "I11: it shows what is wrong"
    assert state(net) == before
    net.connect()
    traffic.say("both", 100)
    traffic.settle()
    traffic.check()


# Row 20, as far as one process shows it.


@over_each_link
@each_direction
@few_and_many
def test_a_server_that_dies_loses_what_it_was_told_of(
    kind: str, direction: str, streams: int
) -> None:
    net, traffic = started(kind, streams)
    traffic.say(direction, 1000)
    net.turn()
    net.way.lose()
    unheard = traffic.open()
    traffic.look()
    net.server = net.page.server = Server()
    net.connect()

    assert [event.code for event in net.page.of(events.Refused)] == [Code.SESSION_UNKNOWN]
    net.page.happened += net.page.core.lose()
    traffic.look()
    assert [life.ended for life in traffic.lives] == [[Code.LOST]] * streams + [[]]
    assert list(net.page.core.streams) == [unheard.id]
    for life, end in zip(traffic.lives, traffic.of(events.StreamClosed), strict=False):
        assert end.acked <= life.up.delivered


@over_each_link
@few_and_many
def test_a_server_that_stops_says_so(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    traffic.say("both", 100)
    net.server.hub.start()
    net.server.hub.stop(Code.RESTART, "a new version")
    net.way.hear()
    traffic.look()
    assert [event.code for event in traffic.of(events.SessionEnded)] == [Code.RESTART]
    assert all(life.backend.aborted for life in traffic.lives)


@over_each_link
@each_direction
@few_and_many
def test_a_server_that_drains_keeps_what_runs(kind: str, direction: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    traffic.say(direction, 1000)
    net.live.core.go_away(Code.RESTART, 30_000)
    net.live.flush()
    late = traffic.open()
    traffic.settle()
    net.connect()
    traffic.say(direction, 100_000)
    traffic.settle()

    assert [event.code for event in traffic.of(events.GoingAway)] == [Code.RESTART]
    assert late.ended == [Code.BUSY]
    assert [life.ended for life in traffic.lives[:-1]] == [[]] * streams


# Row 21, as far as a policy that changes shows it: streams are kept, opens are asked anew.


@over_each_link
@few_and_many
def test_a_target_that_is_taken_away_ends_no_running_stream(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    vars(net.server.policy).update(vars(Policy(ini.loads(WITHOUT_IRC).settings)))
    denied = traffic.open()
    traffic.page_says(denied, b"to nobody")
    net.connect()
    traffic.look()
    told = traffic.open("told")
    net.exchange()
    traffic.settle()
    traffic.say("both", 100)
    traffic.settle()
    traffic.check()

    assert denied.ended == [Code.DENIED]
    assert not told.ended
    assert [life.ended for life in traffic.lives[:streams]] == [[]] * streams


# Row 22.


@pytest.mark.parametrize(("kind", "rounds"), [("websocket", 50), ("stream", 5), ("poll", 5)])
def test_ten_thousand_reconnects_at_once_lose_nothing(kind: str, rounds: int) -> None:
    server = Server()
    pages = []
    for seed in range(200):
        net = Network(kind, server, seed=seed)
        traffic = Traffic(net, 1)
        traffic.start()
        pages.append((net, traffic))
    for _ in range(rounds):
        for net, _ in pages:
            net.way.lose()
        for net, traffic in pages:
            traffic.say("both", 10)
            net.switch()
            net.turn()
    for _, traffic in pages:
        traffic.settle()
        traffic.check()

    assert len(server.hub) == 200
    assert all(net.page.attach.link == 1 + rounds for net, _ in pages)


def test_ten_thousand_pages_come_back_to_a_server_that_forgot_them() -> None:
    """Each site's pages are let in by and by, all within 30 s."""
    server, rng = Server(), random.Random(3)
    waiting = [(rng.random(), number) for number in range(10_000)]
    waited_s, told_to_wait = 0.0, 0
    while waiting:
        due = [number for at, number in waiting if at <= waited_s]
        waiting = [(at, number) for at, number in waiting if at > waited_s]
        for number in due:
            peer = f"192.0.2.{number % 20}"
            retry_ms = come_back(server, number, peer)
            if retry_ms:
                told_to_wait += 1
                waiting.append((waited_s + retry_ms / 1000 * rng.uniform(0.5, 1.5), number))
        server.reactor.advance(0.1)
        waited_s += 0.1
    assert waited_s < 30
    assert told_to_wait > 1000
    assert len(server.hub) == 10_000


def come_back(server: Server, number: int, peer: str) -> int:
    """Ask for a session of a former life, then for a new one; return how long to wait."""
    secret = number.to_bytes(4) * 8
    for flags in (0, frames.FLAG_CREATE):
        sid = bytes([flags]) * 12 + number.to_bytes(4)
        said = frames.Hello(1, flags, 2 - flags, 0, 0, sid, secret)
        visitor = Visitor(ORIGIN, "gw.example", peer, ("sockproxy.v1",))
        link, socket = WebSocketLink(server.hub, visitor), PlainSocket()
        link.opened(socket)
        link.message(frames.encode(said), text=False)
        answer = socket.frames()[0]
        if isinstance(answer, frames.Refuse) and answer.code == Code.BUSY:
            return answer.retry_ms
        assert isinstance(answer, frames.Welcome if flags else frames.Refuse)
    return 0


# Row 23.


def end_clean(net: Network, life: Life) -> None:
    net.page.core.write_eof(life.id)
    life.backend.loseConnection()


def end_by_page(net: Network, life: Life) -> None:
    net.page.core.reset(life.id, Code.ABORTED)


def end_by_backend(net: Network, life: Life) -> None:
    life.backend.abortConnection()


ENDS: tuple[Callable[[Network, Life], None], ...] = (end_clean, end_by_page, end_by_backend)


@over_each_link
@few_and_many
def test_ids_that_are_used_again_never_mix_streams(kind: str, streams: int) -> None:
    net = Network(kind, Server(MANY_OPENS))
    traffic = Traffic(net)
    net.connect()
    opens = 10_000 if (kind, streams) == (KINDS[0], 8) else 1000
    for turn in range(opens // streams):
        net.lags = turn % 2 == 0
        for _ in range(streams):
            traffic.page_says(traffic.open(), traffic.some(9))
        while not all(life.transport or life.ended for life in traffic.lives):
            net.exchange()
            traffic.accept()
        for number, life in enumerate(traffic.lives):
            traffic.backend_says(life, traffic.some(7))
            traffic.page_says(life, traffic.some(5))
            ENDS[(turn + number) % 3](net, life)
        if turn % 5 == 0:
            net.switch()
        while traffic.by_id:
            net.exchange()
            traffic.look()
            net.server.reactor.advance(0.05)
        traffic.check()
        traffic.lives.clear()

    assert len(traffic.of(events.StreamClosed)) == opens // streams * streams
    assert net.page.core.next_id <= 2 + 2 * streams
    assert len(net.server.reactor.tcpClients) == opens // streams * streams
