"""Is a path that lags by a piece told from a slow one, and from none?"""

from __future__ import annotations

from sockproxy.core import frames
from sockproxy.links.lag import Lag
from tests.core.ends import Ends


class Watched(Ends):
    """A session whose server has said something that is not acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.connect()
        self.stream = self.open()
        self.now += 0.2
        self.exchange()
        self.lag = Lag(self.server)
        assert not self.lag.suspects(self.now)

    def say(self) -> None:
        self.server.write(self.stream, b"stuck")
        self.server.next_message(self.server_out)

    def later(self, seconds: float) -> float:
        self.now += seconds
        return self.now

    def acknowledge(self) -> None:
        self.to_server(frames.Ack(self.server.log.next))

    def answer(self) -> None:
        self.to_server(frames.Pong(0, self.server.log.next))


def test_a_silent_path_with_nothing_to_say_is_not_suspected() -> None:
    ends = Watched()
    assert not ends.lag.suspects(ends.later(5))
    assert not ends.lag.shows(ends.now)


def test_what_is_acknowledged_in_time_is_not_suspected() -> None:
    ends = Watched()
    ends.say()
    assert not ends.lag.suspects(ends.later(0.9))
    ends.acknowledge()
    assert not ends.lag.suspects(ends.later(0.9))
    assert not ends.lag.suspects(ends.later(5))


def test_a_piece_that_only_a_ping_pushes_out_shows_a_lag() -> None:
    ends = Watched()
    ends.say()
    assert not ends.lag.suspects(ends.now)
    assert ends.lag.suspects(ends.later(1))
    assert not ends.lag.suspects(ends.later(1)), "one PING is enough"
    ends.acknowledge()
    assert not ends.lag.shows(ends.now)
    assert ends.lag.shows(ends.later(1))


def test_a_slow_path_answers_in_the_end() -> None:
    ends = Watched()
    ends.say()
    assert not ends.lag.suspects(ends.now)
    assert ends.lag.suspects(ends.later(1))
    ends.answer()
    assert not ends.lag.shows(ends.later(5))


def test_a_network_that_is_gone_says_nothing_about_the_path() -> None:
    ends = Watched()
    ends.say()
    assert not ends.lag.suspects(ends.now)
    assert ends.lag.suspects(ends.later(1))
    assert not ends.lag.shows(ends.later(60))


def test_an_acknowledgement_without_a_pong_shows_it_at_once() -> None:
    ends = Watched()
    ends.server.rtt_s = 0.02
    ends.say()
    assert not ends.lag.shows_in_answer(ends.now)
    assert not ends.lag.suspects(ends.now)
    assert ends.lag.suspects(ends.later(1))
    ends.acknowledge()
    assert not ends.lag.shows_in_answer(ends.later(0.08)), "it may have been under way"
    assert ends.lag.shows_in_answer(ends.later(0.02))
    ends.answer()
    assert not ends.lag.shows_in_answer(ends.later(1))
