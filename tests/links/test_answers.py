"""Is a DOWN answered in its time, within its size, once, and never behind its end?"""

from __future__ import annotations

import random
from typing import Any

import pytest
from twisted.internet.task import Clock

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.core.session import Role, Session, Windows
from sockproxy.links.answers import (
    GATHER_S,
    PAD_BYTES,
    POLL_FULL_BYTES,
    POLL_MAX_S,
    PROVED_WITHIN_S,
    SECOND_PING_S,
    STREAM_MAX_S,
    Answer,
    Poll,
    Stream,
)
from sockproxy.links.lag import Lag
from tests.links.carriers import PlainRequest

AT = frames.encode(frames.At(9))
DATA = frames.encode_data(2, b"said")
END = frames.encode(frames.End(Code.SUPERSEDED, ""))


class PlainHolder:
    """A holder that counts what it is told."""

    def __init__(self) -> None:
        self.room = 0
        self.over: list[Answer] = []

    def drained(self) -> None:
        self.room += 1

    def answered(self, answer: Answer) -> None:
        self.over.append(answer)


class Held:
    """An answer and all that stands around it."""

    def __init__(self, kind: Any, **options: Any) -> None:
        self.request: Any = PlainRequest(b"")
        self.clock = Clock()
        self.holder = PlainHolder()
        if kind is Stream:
            options["lag"] = Lag(Session(Role.SERVER, Windows(), self.clock.seconds))
        self.answer: Stream | Poll = kind(self.request, self.clock, self.holder, **options)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.answer.tick(self.clock.seconds())

    @property
    def kinds(self) -> list[str]:
        return [type(frame).__name__ for frame in self.request.frames()]


KINDS = pytest.mark.parametrize("kind", [Stream, Poll])


@KINDS
def test_an_answer_that_is_over_says_no_more(kind: Any) -> None:
    held = Held(kind)
    held.answer.begin(AT)
    held.answer.finish(END)
    said = held.request.written
    held.answer.finish(END)
    held.answer.greeted()
    held.answer.proved()
    held.pass_time(STREAM_MAX_S)

    assert said.endswith(END)
    assert held.request.written == said
    assert held.holder.over == [held.answer]
    assert not held.answer.writable
    assert not held.clock.getDelayedCalls()


@KINDS
def test_a_lost_connection_is_told_once_and_leaves_no_timer(kind: Any) -> None:
    held = Held(kind)
    held.answer.begin(AT)
    held.answer.send(DATA)
    held.request.lose()
    held.answer.finish(END)
    held.answer.abort()

    assert held.holder.over == [held.answer]
    assert not held.answer.writable
    assert not held.clock.getDelayedCalls()


@KINDS
def test_a_cut_takes_the_connection(kind: Any) -> None:
    held = Held(kind)
    held.answer.begin(AT)
    held.answer.abort()

    assert held.request.aborted
    assert held.holder.over == [held.answer]


@KINDS
def test_a_connection_that_is_gone_needs_no_cut(kind: Any) -> None:
    held = Held(kind)
    held.request.channel = None
    held.answer.abort()

    assert not held.request.aborted


def test_a_stream_begins_with_what_shows_a_path_that_holds_bytes_back() -> None:
    held = Held(Stream)
    held.answer.begin(AT)
    assert held.kinds == ["At", "Ping", "Pad"]
    assert len(held.request.written) > PAD_BYTES
    held.clock.advance(SECOND_PING_S)
    held.clock.advance(SECOND_PING_S)

    assert held.kinds == ["At", "Ping", "Pad", "Ping"]
    assert held.request.headers[b"content-type"] == b"text/event-stream"


def test_a_stream_says_each_byte_at_once() -> None:
    held = Held(Stream)
    held.answer.begin(AT)
    before = held.request.written
    held.answer.send(DATA)

    assert held.request.written == before + DATA


def test_a_stream_without_a_sign_of_the_page_advises_polls() -> None:
    held = Held(Stream)
    held.answer.begin(AT)
    held.pass_time(PROVED_WITHIN_S - 0.1)
    assert not held.answer.over
    held.pass_time(0.1)

    assert held.request.frames()[-1].code == Code.POLL_ADVISED
    assert held.holder.over == [held.answer]


def test_a_stream_that_the_page_hears_lasts_300_s() -> None:
    held = Held(Stream)
    held.answer.begin(AT)
    held.answer.proved()
    held.pass_time(STREAM_MAX_S - 0.1)
    assert not held.answer.over
    held.pass_time(0.1)

    assert held.kinds[-1] == "Ping", "it ends without a word"
    assert held.request.finished


def test_a_full_transport_is_full_until_it_drains() -> None:
    held = Held(Stream)
    assert held.answer.writable
    held.request.producer.pauseProducing()
    assert not held.answer.writable
    held.request.producer.resumeProducing()

    assert held.answer.writable
    assert held.holder.room == 1


def test_room_behind_the_end_is_nobodys() -> None:
    held = Held(Stream)
    producer = held.request.producer
    producer.pauseProducing()
    held.answer.finish()
    producer.resumeProducing()
    producer.stopProducing()

    assert held.holder.room == 0
    assert not held.answer.writable


def test_a_poll_gathers_for_a_moment_and_says_how_long_it_is() -> None:
    held = Held(Poll)
    held.answer.begin(AT)
    held.answer.send(DATA)
    held.clock.advance(GATHER_S / 2)
    held.answer.send(DATA)
    assert held.request.written == b""
    held.clock.advance(GATHER_S / 2)

    assert held.request.written == AT + DATA + DATA
    assert held.request.headers[b"content-length"] == b"%d" % len(held.request.written)
    assert held.request.headers[b"content-type"] == b"application/octet-stream"
    assert held.holder.over == [held.answer]


def test_a_poll_that_welcomes_is_answered_at_once() -> None:
    held = Held(Poll)
    held.answer.send(DATA)
    held.answer.greeted()

    assert held.request.written == DATA
    assert not held.clock.getDelayedCalls()


def test_a_poll_without_news_is_answered_after_25_s() -> None:
    held = Held(Poll)
    held.answer.begin(AT)
    held.pass_time(POLL_MAX_S - 0.1)
    assert not held.answer.over
    held.pass_time(0.1)

    assert held.request.written == AT


def test_a_poll_takes_no_more_than_it_may_hold() -> None:
    held = Held(Poll)
    held.answer.begin(AT)
    held.answer.send(bytes(POLL_FULL_BYTES - 1))
    assert held.answer.writable
    held.answer.send(bytes(64 * 1024))

    assert not held.answer.writable
    held.answer.finish()
    assert len(held.request.written) <= 256 * 1024


def test_a_brief_poll_waits_for_a_moment_only() -> None:
    held = Held(Poll, brief=True)
    held.answer.begin(AT)
    held.clock.advance(GATHER_S)

    assert held.request.written == AT


@KINDS
@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_each_byte_is_said_once_and_the_end_told_once(
    kind: Any, seed: int
) -> None:
    """PlainRequest fails what is written or finished behind the end."""
    draw, held = random.Random(seed), Held(kind)
    acts = (
        lambda: None if held.answer.over else held.answer.send(DATA),
        lambda: held.pass_time(draw.choice([0.001, 0.01, 1.0, 5.0])),
        held.answer.proved,
        lambda: held.answer.finish(END),
        held.request.lose,
    )
    held.answer.begin(AT)
    for _ in range(20):
        draw.choices(acts, (8, 6, 2, 1, 1))[0]()
    held.answer.finish(END)

    assert held.holder.over == [held.answer]
    assert held.request.written.count(END) <= 1
    assert not held.clock.getDelayedCalls()
