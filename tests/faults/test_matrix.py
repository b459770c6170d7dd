"""Does what is written arrive, once and in order, whatever link breaks at whatever byte?

The fault matrix, rows 1 to 6: cuts, repeats, zombies and two pages with one secret. Two
cores and the real links of the server, in memory; `test_matrix_more` has the rows that
need time, `test_matrix_abuse` those in which somebody lies.
"""

from __future__ import annotations

from itertools import count

import pytest

from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.links.http import Down
from tests.faults.network import Network, Posts
from tests.faults.traffic import Traffic, number

KINDS = ("websocket", "stream", "poll")
over_each_link = pytest.mark.parametrize("kind", KINDS)
over_posts = pytest.mark.parametrize("kind", KINDS[1:])
each_direction = pytest.mark.parametrize("direction", ["up", "down", "both"])
few_and_many = pytest.mark.parametrize("streams", [1, 8])
same_or_fresh = pytest.mark.parametrize("fresh", [False, True], ids=["same link", "new link"])

FRAMES = 3
LOSSES = 20


def started(kind: str, streams: int) -> tuple[Network, Traffic]:
    net = Network(kind)
    traffic = Traffic(net, streams)
    traffic.start()
    return net, traffic


def cut(net: Network, direction: str, at: int) -> None:
    """Let the link break behind so many bytes."""
    if direction in ("up", "both"):
        net.up.left = at
    if direction in ("down", "both"):
        net.down.left = at


def say_three_frames(net: Network, traffic: Traffic, direction: str) -> None:
    """Let both ends have a message of three numbered frames to say."""
    net.way.hold(True)
    for turn in range(FRAMES):
        life = traffic.lives[turn % len(traffic.lives)]
        if direction in ("up", "both"):
            traffic.page_says(life, traffic.some(5))
            number(net.page.core)
        if direction in ("down", "both"):
            traffic.backend_says(life, traffic.some(5))
            number(net.live.core)
    net.way.hold(False)


# Row 1.


@over_each_link
@each_direction
@few_and_many
@same_or_fresh
def test_a_message_cut_at_any_byte_costs_nothing(
    kind: str, direction: str, streams: int, fresh: bool
) -> None:
    net, traffic = started(kind, streams)
    for at in count():
        cut(net, direction, at)
        say_three_frames(net, traffic, direction)
        net.exchange()
        broke = net.up.broken or net.down.broken
        net.up.left = net.down.left = None
        if net.way.gone:
            net.recover(fresh)
        traffic.settle()
        traffic.check()
        if not broke:
            break

    assert at > FRAMES * 7
    assert not traffic.of(events.StreamClosed)
    assert len(net.server.reactor.tcpClients) == streams


def play(kind: str, streams: int, direction: str, at: int, fresh: bool) -> Network:
    """Play streams from OPEN to CLOSED over a link that breaks once."""
    net = Network(kind)
    traffic = Traffic(net, streams)
    cut(net, direction, at)
    net.connect()
    traffic.settle(fresh=fresh)
    traffic.say("both", 3)
    traffic.settle(fresh=fresh)
    for life in traffic.lives:
        net.page.core.write_eof(life.id)
    traffic.say("down", 2)
    traffic.settle(fresh=fresh)
    for life in traffic.lives:
        assert life.backend.half_closed
        life.backend.loseConnection()
    traffic.settle(fresh=fresh)

    assert [life.ended for life in traffic.lives] == [[Code.CLEAN]] * streams
    assert all(life.down.eof for life in traffic.lives)
    assert len(net.server.reactor.tcpClients) == streams, "I15: one OPEN, one backend"
    assert len(net.server.hub) == 1
    return net


@over_each_link
@each_direction
@few_and_many
@same_or_fresh
def test_a_session_cut_at_any_byte_is_the_same_session(
    kind: str, direction: str, streams: int, fresh: bool
) -> None:
    whole = play(kind, streams, direction, 1_000_000, fresh)
    passed = max(whole.up.passed * (direction != "down"), whole.down.passed * (direction != "up"))
    assert passed > 100
    for at in cuts(passed, streams):
        play(kind, streams, direction, at, fresh)


def cuts(passed: int, streams: int) -> list[int]:
    """Return the bytes to cut at: each one, but few of the long padding, and of many streams."""
    few = 13 if streams > 1 else 1
    return [at for at in range(passed) if at % (211 if 200 < at < 2200 else few) == 0]


# Row 2.


@over_each_link
@each_direction
@few_and_many
@same_or_fresh
def test_what_was_applied_and_not_answered_is_delivered_once(
    kind: str, direction: str, streams: int, fresh: bool
) -> None:
    net, traffic = started(kind, streams)
    for _ in range(LOSSES):
        traffic.say(direction, 100)
        traffic.open()
        cut(net, "down", 0)
        net.way.say()
        assert net.live.core.rx == net.page.core.log.next > net.page.core.log.base
        net.way.lose()
        net.recover(fresh)
        traffic.settle()
        traffic.check()

    assert len(net.server.reactor.tcpClients) == streams + LOSSES
    assert len(net.server.hub) == 1


# Row 3.


@over_posts
@few_and_many
def test_a_post_that_a_proxy_says_again_has_no_effect(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    way = net.way
    assert isinstance(way, Posts)
    for _ in range(LOSSES):
        for _ in range(2):
            traffic.say("up", 100)
            net.page.core.ping()
            net.way.say()
        last, newest = way.bodies[-2:]
        rx = net.live.core.rx
        # Twice; and the one before it after its successor. Not even a PING counts.
        answers = [way.again(body) for body in (newest, newest, last)]
        assert answers == [[frames.Ack(rx)]] * 3
        assert net.live.core.rx == rx
        traffic.settle()
        traffic.check()


@over_posts
@few_and_many
def test_a_post_that_overtakes_or_comes_late_makes_no_hole(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    way = net.way
    assert isinstance(way, Posts)
    for _ in range(LOSSES):
        traffic.say("up", 100)
        cut(net, "up", 0)
        net.exchange()
        kept = way.bodies[-1]
        rx, served = net.live.core.rx, len(way.bodies)
        hole = frames.encode(frames.At(rx + 1)) + frames.encode_data(2, b"too early")
        net.recover(fresh=False)
        way.ups += 1
        assert way.again(net.page.attach.short(way.ups) + hole)[0] == frames.Ack(rx)
        assert net.live.core.rx == rx
        traffic.settle()
        assert len(way.bodies) > served
        assert way.again(kept) == [frames.Ack(net.live.core.rx)]
        traffic.settle()
        traffic.check()


@over_posts
@few_and_many
def test_a_down_that_a_proxy_says_again_takes_nothing(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    way = net.way
    assert isinstance(way, Posts)
    traffic.say("down", 100)
    traffic.settle()
    way.next_down()
    attaching, *going_on = way.asked
    [refuse] = way.again(attaching, Down)
    assert (type(refuse), refuse.code) == (frames.Refuse, Code.STALE_LINK)
    for body in going_on:
        [end] = way.again(body, Down)
        assert (type(end), end.code) == (frames.End, Code.SUPERSEDED)
    traffic.say("both", 100)
    traffic.settle()

    net.connect()
    for body in way.asked:
        [refuse] = way.again(body, Down)
        assert (type(refuse), refuse.code) == (frames.Refuse, Code.STALE_LINK)
    for body in way.bodies:
        assert way.again(body)[0].code == Code.STALE_LINK
    traffic.say("both", 100)
    traffic.settle()
    traffic.check()
    assert net.page.attach.link == 2


# Row 4.


@over_each_link
@few_and_many
@pytest.mark.parametrize("known", [False, True], ids=["new", "resumed"])
def test_a_lost_welcome_locks_nobody_out(kind: str, streams: int, known: bool) -> None:
    net = Network(kind)
    traffic = Traffic(net, streams)
    late: list[bytes] = []
    if known:
        traffic.start()
    for _ in range(LOSSES):
        net.down.left = 0
        net.connect()
        assert net.way.gone
        net.way.lose()
        net.down.left = None
        net.tick(1)
        traffic.accept()
        if isinstance(net.way, Posts):
            late += net.way.asked
    net.connect()
    traffic.say("up", 100)
    traffic.settle()
    if isinstance(net.way, Posts):
        assert [net.way.again(body)[0].code for body in late] == [Code.STALE_LINK] * LOSSES

    welcomed = traffic.of(events.Welcomed)
    assert [event.link for event in welcomed] == [1] * known + [LOSSES + 1 + known]
    assert welcomed[-1].resumed
    assert len(net.server.hub) == 1
    assert len(net.server.reactor.tcpClients) == streams


@over_each_link
@few_and_many
def test_a_session_that_nobody_confirmed_ends(kind: str, streams: int) -> None:
    net = Network(kind)
    Traffic(net, streams)
    net.switch()
    backend = net.server.backend()
    net.way.lose()
    net.tick(59)
    assert len(net.server.hub) == 1
    net.tick(2)

    assert len(net.server.hub) == 0
    assert backend.aborted
    net.connect()
    refused = net.page.of(events.Refused)
    assert [event.code for event in refused] == [Code.SESSION_UNKNOWN]


# Row 5.


@over_each_link
@each_direction
@few_and_many
@pytest.mark.parametrize("newer", KINDS)
def test_a_zombie_shifts_no_bytes(kind: str, direction: str, streams: int, newer: str) -> None:
    """Named regression: an old link delivers, with acks, long after it was replaced."""
    net, traffic = started(kind, streams)
    for _ in range(3):
        traffic.say(direction, 3000)
        net.way.hear()
        traffic.look()
        net.server.reactor.advance(0.2)
        net.page.core.ping()
        net.lags = True
        net.way.say()
        net.lags = False
        traffic.say("down", 3000)
        zombie = net.switch(newer)
        net.exchange()
        traffic.say(direction, 500)
        net.turn()
        net.tick(30)
        server = net.live.core
        before = (server.rx, server.log.base, server.log.next, net.live.link)
        assert zombie.under_way
        assert zombie.told, "the server had left it open"
        zombie.land()
        zombie.hear()
        zombie.lose()
        assert (server.rx, server.log.base, server.log.next, net.live.link) == before
        traffic.settle()
        traffic.check()

    assert not traffic.of(events.StreamClosed)


# Row 6.


def thief(net: Network) -> Network:
    """Return another page that holds what the first one holds now."""
    other = Network(net.kind, net.server)
    mine, its = net.page.attach, other.page.attach
    its.sid, its._secret, its.link, its.known = mine.sid, mine._secret, mine.link, True
    other.page.core.rx = net.page.core.rx
    log = other.page.core.log
    log.base = log.next = net.page.core.log.next
    return other


@over_each_link
@few_and_many
def test_of_two_pages_with_one_secret_the_second_ends_both(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    other = thief(net)
    net.connect()
    traffic.say("both", 100)
    traffic.settle()

    # The same link number is a repeat, and has no effect.
    other.connect()
    assert [event.code for event in other.page.of(events.Refused)] == [Code.STALE_LINK]
    traffic.say("both", 100)
    traffic.settle()
    other.connect()
    assert [event.code for event in other.page.of(events.Refused)][1:] == [Code.SECRET_REUSE]
    net.exchange()
    traffic.look()
    assert [event.code for event in traffic.of(events.SessionEnded)] == [Code.SECRET_REUSE]
    assert len(net.server.hub) == 0
    assert all(life.backend.aborted for life in traffic.lives)
    assert traffic.whole


@over_each_link
@few_and_many
def test_a_thief_that_comes_first_is_found_out_by_the_page(kind: str, streams: int) -> None:
    net, traffic = started(kind, streams)
    other = thief(net)
    other.connect()
    assert [event.resumed for event in other.page.of(events.Welcomed)] == [True]
    net.exchange()
    traffic.look()
    for _ in range(2):
        net.connect()
    traffic.look()

    *earlier, last = [event.code for event in traffic.of(events.Refused)]
    assert last == Code.SECRET_REUSE
    assert set(earlier) == {Code.STALE_LINK}
    assert len(net.server.hub) == 0
