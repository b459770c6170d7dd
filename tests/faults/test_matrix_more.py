"""Does what is written arrive while time passes: idle, held back, switched, detached, unread?

The fault matrix, rows 8, 9 and 11 to 15; see `test_matrix`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.python.failure import Failure

from sockproxy.codes import Code, Mode
from sockproxy.core import events, frames
from tests.faults.network import Middlebox, Network, Posts
from tests.faults.test_matrix import (
    KINDS,
    each_direction,
    few_and_many,
    over_each_link,
    over_posts,
    started,
)
from tests.faults.traffic import Life, Traffic
from tests.links.carriers import PlainRequest
from tests.memory import INI, Server

IDLE_S = 60
SWITCH_S = 0.05
WINDOW_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
MEGABYTE, GIGABYTE = 2**20, 2**30


def idle(net: Network, seconds: int, alive: Callable[[], None]) -> int:
    """Sit behind a proxy that cuts what is silent for a minute; return how often it did."""
    losses = silent_s = 0
    for _ in range(seconds):
        passed = net.up.passed + net.down.passed
        net.tick(1)
        net.exchange()
        silent_s = silent_s + 1 if net.up.passed + net.down.passed == passed else 0
        if silent_s >= IDLE_S:
            losses, silent_s = losses + 1, 0
            net.way.lose()
            alive()
            net.recover()
            net.exchange()
    return losses


# Row 8.


@over_each_link
@few_and_many
def test_pings_keep_an_idle_link(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    assert idle(net, 600, lambda: None) == 0
    assert net.page.attach.link == 1
    traffic.say("both", 100)
    traffic.settle()


@over_each_link
@each_direction
@few_and_many
def test_a_link_that_dies_each_minute_loses_nothing(
    kind: str, direction: str, streams: int
) -> None:
    net = Network(kind, Server(INI + "[limits]\nping = 5m\n"))
    traffic = Traffic(net, streams)
    traffic.start()
    losses = idle(net, 600, lambda: traffic.say(direction, 100))
    assert losses in ((0,) if kind == "poll" else (9, 10)), "a poll comes back each 25 s"
    traffic.settle()
    traffic.check()
    assert net.page.attach.link == 1 + losses


# Row 9.


@each_direction
@few_and_many
def test_a_path_that_holds_a_stream_back_is_told_to_poll(direction: str, streams: int) -> None:
    net, traffic = started("stream", streams)
    net.switch()
    way = net.way
    assert isinstance(way, Posts)
    assert way.down is not None
    traffic.say(direction, 1000)
    net.tick(3)
    assert not way.down.finished
    net.tick(1)
    end = way.down.frames()[-1]
    assert (type(end), end.code, way.down.finished) == (frames.End, Code.POLL_ADVISED, True)
    traffic.say(direction, 1000)
    traffic.settle()

    assert way.mode is Mode.POLL
    assert way.downs > 1
    assert net.page.attach.link == 2
    traffic.check()


@few_and_many
def test_a_path_that_lags_by_a_piece_is_told_to_poll(streams: int) -> None:
    net, traffic = started("stream", streams)
    net.trails = True
    net.switch()
    way = net.way
    assert isinstance(way, Posts)
    for _ in range(41):
        net.exchange()
        net.tick(0.1, 0.1)
    modes = [way.mode]
    traffic.say("down", 1000)
    for _ in range(50):
        net.tick(0.1, 0.1)
        net.exchange()
    modes.append(way.mode)
    # The second PING had pushed the first one out.
    assert modes == [Mode.STREAM, Mode.POLL]
    traffic.settle()
    assert net.page.attach.link == 2


# Row 11.


@over_posts
@few_and_many
@pytest.mark.parametrize("forwards", [False, True], ids=["lost", "applied"])
@pytest.mark.parametrize("status", [413, 429, 502, 503, 504])
def test_an_up_that_a_middlebox_answers_is_said_again(
    kind: str, streams: int, status: int, forwards: bool
) -> None:
    net, traffic = started(kind, streams)
    way = net.way
    assert isinstance(way, Posts)
    for _ in range(5):
        served = len(way.bodies)
        net.middleboxes.extend([Middlebox(status, forwards=forwards)] * 2)
        traffic.say("up", 1000)
        traffic.settle()
        tries = way.bodies[served : served + 3]
        assert len({numbered(body) for body in tries}) == 1, "the same bytes at the same offset"
        assert all(request(b) == request(a) + 1 for a, b in pairwise(tries))

    assert net.strange == 10
    assert net.page.attach.link == 1
    traffic.check()


def numbered(body: bytes) -> bytes:
    """Return AT and the numbered bytes of an UP."""
    _, *found = frames.Decoder(frames.MAX_CLIENT_DATA_BYTES).feed(body)
    return b"|".join(raw.body for raw in found if raw.kind >= frames.TYPE_OF[frames.At])


def request(body: bytes) -> int:
    raw = frames.first(body, frames.MAX_CLIENT_DATA_BYTES)
    assert raw is not None
    hello = frames.parse(raw)
    assert isinstance(hello, frames.Hello)
    return hello.request


@over_posts
@few_and_many
def test_an_up_that_is_too_large_goes_in_smaller_ones(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    net.largest_post = 20 * 1024
    traffic.say("up", 100_000)
    traffic.settle()
    assert 1 <= net.strange <= 3
    traffic.check()


@over_posts
@pytest.mark.parametrize("page", [b"<html>log in</html>", b'{"error":1}', b"\x1f\x8b\x08", b"OK"])
def test_what_a_portal_says_in_place_of_an_answer_is_no_data(kind: str, page: bytes) -> None:
    """Row 10, as far as the core sees it."""
    net, traffic = started(kind, 1)
    way = net.way
    assert isinstance(way, Posts)
    way.next_down()
    assert way.down is not None
    way.down.lose()
    way.down = PlainRequest(b"")
    way.down.written, way.down.finished = page, True
    traffic.say("both", 100)
    traffic.settle()

    assert net.strange == 1
    assert net.page.attach.link == 1
    traffic.check()


# Row 12.


@each_direction
@few_and_many
def test_switches_lose_nothing_and_repeat_little(direction: str, streams: int) -> None:
    net, traffic = started("websocket", streams)
    net.counts, net.lags = True, True
    net.up.numbered, net.down.numbered = net.page.core.log.next, net.live.core.log.next
    rng = random.Random(streams)
    switches = 1200 if (direction, streams) == ("both", 8) else 200
    unacked = 0
    for _ in range(switches):
        traffic.say(direction, rng.randrange(2000))
        for _ in range(rng.randrange(3)):
            net.turn()
        traffic.look()
        cores = (net.page.core, net.live.core)
        unacked += sum(core.log.next - core.log.base for core in cores)
        zombie = net.switch(rng.choice(KINDS))
        if rng.random() < 0.5:
            net.turn()
        zombie.land()
        zombie.hear()
        net.tick(SWITCH_S, SWITCH_S)
        traffic.check()
    net.lags = False
    traffic.settle()

    assert not traffic.of(events.StreamClosed)
    unique = net.page.core.log.next + net.live.core.log.next
    repeated = net.up.numbered + net.down.numbered - unique
    window = net.page.core.log.window + net.live.core.log.window
    assert repeated <= unacked <= switches * window, "I12"


# Row 13.


def pour(traffic: Traffic, life: Life, limit: int = GIGABYTE) -> None:
    """Let a backend say as much as it is let."""
    while life.backend.producerState == "producing" and len(life.down.written) < limit:
        traffic.backend_says(life, traffic.some(CHUNK_BYTES))


def detached(kind: str, streams: int, seconds: int) -> tuple[Network, Traffic]:
    """Return a page that was away for so long, while its backends had a gigabyte to say."""
    net, traffic = started(kind, streams)
    for life in traffic.lives:
        traffic.page_says(life, traffic.some(1000))
    # The others begin to speak only when nobody hears them.
    for life in traffic.lives[1::2]:
        pour(traffic, life)
    net.way.lose()
    said = [len(life.down.written) for life in traffic.lives]
    assert max(said) <= 4 * CHUNK_BYTES
    live = net.live
    for _ in range(seconds):
        net.tick(1)
        for life in traffic.lives:
            assert life.backend.producerState == "paused" or live.over
            if not live.over:
                pour(traffic, life)
        assert live.held_bytes <= streams * (WINDOW_BYTES + 3 * CHUNK_BYTES)
    assert [len(life.down.written) for life in traffic.lives] == said
    return net, traffic


@over_each_link
@few_and_many
def test_a_page_that_is_away_for_119_s_finds_all(kind: str, streams: int) -> None:
    net, traffic = detached(kind, streams, 119)
    net.connect()
    traffic.settle()
    assert traffic.of(events.Welcomed)[-1].resumed
    for _ in range(4):
        for life in traffic.lives:
            pour(traffic, life)
        traffic.settle()
        traffic.check()
    assert all(life.down.delivered >= 4 * CHUNK_BYTES for life in traffic.lives)


@over_each_link
@few_and_many
def test_a_page_that_is_away_for_121_s_is_lost(kind: str, streams: int) -> None:
    net, traffic = detached(kind, streams, 121)
    assert len(net.server.hub) == 0
    net.connect()
    assert [event.code for event in net.page.of(events.Refused)] == [Code.SESSION_UNKNOWN]
    net.page.happened += net.page.core.lose()
    traffic.look()
    assert [life.ended for life in traffic.lives] == [[Code.LOST]] * streams
    for end in traffic.of(events.StreamClosed):
        life = next(life for life in traffic.lives if life.id == end.stream)
        assert life.backend.aborted
        assert end.acked <= life.up.delivered


@over_each_link
@each_direction
def test_what_nobody_acknowledges_is_bounded(kind: str, direction: str) -> None:
    """Windows that are wider than the log; each end says what it may, and hears nothing."""
    net = Network(kind, Server(INI + "[limits]\nstream_window = 1MiB\n"))
    traffic = Traffic(net, 8)
    traffic.start()
    if direction != "down":
        traffic.say("up", MEGABYTE)
    for _ in range(100):
        if direction != "up":
            for life in traffic.lives:
                pour(traffic, life, MEGABYTE)
        if isinstance(net.way, Posts):
            net.middleboxes.append(Middlebox(504))
        net.way.say()
        traffic.check()
    unacked = [core.log.next - core.log.base for core in (net.page.core, net.live.core)]
    # A POST holds less than the log, of which no other one goes.
    fills = kind == "websocket" or (kind == "stream" and direction != "up")
    assert max(unacked) > 4 * CHUNK_BYTES or not fills
    net.middleboxes.clear()
    traffic.settle()
    traffic.check()


# Row 14.


def eof(life: Life) -> None:
    life.backend.protocol.readConnectionLost()


def close(life: Life) -> None:
    life.backend.protocol.connectionLost(Failure(ConnectionDone()))


def reset(life: Life) -> None:
    life.backend.protocol.connectionLost(Failure(ConnectionLost()))


@over_each_link
@few_and_many
@pytest.mark.parametrize("size", [0, 100, 200_000])
@pytest.mark.parametrize("ends", [eof, close, reset])
def test_an_end_while_detached_comes_behind_the_data(
    kind: str, streams: int, size: int, ends: Callable[[Life], None]
) -> None:
    net, traffic = started(kind, streams)
    net.way.lose()
    traffic.say("down", size)
    for life in traffic.lives:
        ends(life)
    net.tick(10)
    net.connect()
    traffic.settle()
    assert len(traffic.of(events.EofReceived)) == (0 if ends is reset else streams)
    if ends is not reset:
        for life in traffic.lives:
            assert not life.ended
            net.page.core.write_eof(life.id)
        traffic.settle()
        if ends is eof:
            assert all(life.backend.closing for life in traffic.lives)
        traffic.settle()

    code = Code.BACKEND_RESET if ends is reset else Code.CLEAN
    assert [life.ended for life in traffic.lives] == [[code]] * streams
    assert all(life.down.whole for life in traffic.lives)


@over_each_link
@few_and_many
def test_a_backend_that_refuses_while_detached_is_told(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    late = [traffic.open() for _ in range(streams)]
    net.exchange()
    net.way.lose()
    for client in net.server.reactor.tcpClients[-streams:]:
        client[2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    traffic.answered += streams
    net.tick(10)
    traffic.say("up", 100)
    net.connect()
    traffic.look()

    assert [life.ended for life in late] == [[Code.REFUSED]] * streams


# Row 15.


def turns(net: Network, traffic: Traffic, direction: str, others: list[Life]) -> int:
    """Move a megabyte over each stream; return in how many turns `others` had it."""
    if direction != "down":
        traffic.say("up", MEGABYTE)
    for turn in range(10_000):
        if direction != "up":
            for life in traffic.lives:
                pour(traffic, life, MEGABYTE)
        net.turn()
        traffic.look()
        net.server.reactor.advance(0.01)
        up = [life.up.delivered for life in others if direction != "down"]
        down = [life.down.delivered for life in others if direction != "up"]
        if set(up + down) == {MEGABYTE}:
            return turn
    raise AssertionError("they do not arrive")


@over_each_link
@each_direction
def test_a_stream_that_nobody_reads_holds_up_no_other(kind: str, direction: str) -> None:
    free_net, free = started(kind, 8)
    at_best = turns(free_net, free, direction, free.lives[1:])
    net, traffic = started(kind, 8)
    slow, *others = traffic.lives
    slow.reads = False
    slow.backend.producer.pauseProducing()
    assert turns(net, traffic, direction, others) <= at_best
    assert slow.down.delivered <= WINDOW_BYTES
    assert slow.up.delivered <= WINDOW_BYTES
    assert len(slow.down.written) <= WINDOW_BYTES + CHUNK_BYTES

    slow.reads = True
    slow.backend.producer.resumeProducing()
    traffic.settle()
    traffic.check()
