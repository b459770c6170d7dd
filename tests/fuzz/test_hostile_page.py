"""Does a server's end of a session stay within its bounds, whatever a page says to it?

Bytes out of nowhere, honest frames that were mutated and frames with any fields, in any
portions, while the backends answer, end and are slow. Only the two errors of a peer may come
out, and what is held is bounded after every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.codes import Code
from sockproxy.core import events
from sockproxy.core.errors import LinkError, PeerError
from sockproxy.core.frames import MAX_CLIENT_DATA_BYTES
from sockproxy.core.inward import MAX_BUSY_IDS
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.session import Role, Session, Windows
from tests.fuzz.conversations import Talk
from tests.fuzz.mutations import mutated

WINDOWS = Windows(stream=16_384, stream_max=65_536, streams_total=2**20, session=65_536)
ANSWER = bytes(3000)
ROUNDS = 12


class Backends:
    """What stands behind a session: it connects, answers, ends and dawdles as it is drawn."""

    def __init__(self, draw: Random, core: Session) -> None:
        self.draw = draw
        self.core = core
        self.open: set[int] = set()
        self.unconsumed: dict[int, int] = {}

    def act(self, happened: list[events.Event]) -> None:
        for event in happened:
            match event:
                case events.OpenRequested() if self.draw.random() < 0.2:
                    self.core.finish(event.stream, Code.BUSY, "not now", abort=True)
                case events.OpenRequested():
                    self.open.add(event.stream)
                    self.core.opened(event.stream, ("there", 1), ("", 0))
                case events.DataReceived():
                    self._data(event)
                case events.EofReceived() if event.stream in self.open:
                    self._end(event.stream, Code.CLEAN)
                case events.ResetReceived() if event.stream in self.open:
                    self._end(event.stream, Code.ABORTED)

    def go_on(self) -> None:
        """Let the slow ones read, and one of them end."""
        for stream in sorted(self.unconsumed):
            self.core.consume(stream, self.unconsumed.pop(stream))
        if self.open and self.draw.random() < 0.3:
            self._end(self.draw.choice(sorted(self.open)), Code.CLEAN)

    def _data(self, event: events.DataReceived) -> None:
        if event.stream not in self.open:
            return
        if self.draw.random() < 0.5:
            self.core.consume(event.stream, len(event.data))
        else:
            before = self.unconsumed.get(event.stream, 0)
            self.unconsumed[event.stream] = before + len(event.data)
        if not self.core.queued(event.stream):
            self.core.write(event.stream, ANSWER)

    def _end(self, stream: int, code: Code) -> None:
        self.open.discard(stream)
        self.unconsumed.pop(stream, None)
        self.core.finish(stream, code)


def said(draw: Random) -> Iterator[bytes]:
    """Yield what a page says, portion by portion."""
    talk = Talk.drawn(draw)
    for _ in range(ROUNDS):
        pieces = talk.said(draw.randint(1, 12))
        data = b"".join(mutated(draw, pieces, draw.choice((0, 0, 0, 1, 3))))
        if draw.random() < 0.1:
            data = draw.randbytes(draw.randint(1, 80))
        while data:
            end = draw.randint(1, len(data))
            yield data[:end]
            data = data[end:]


def check_bounds(core: Session, backends: Backends) -> None:
    assert len(core.streams) + len(core.busy) <= MAX_BUSY_IDS
    assert core.window_total == sum(stream.window.size for stream in core.streams.values())
    assert core.window_total <= MAX_BUSY_IDS * WINDOWS.stream + WINDOWS.streams_total
    assert core.log.charged <= WINDOWS.session + 2**16 + 128
    assert core.log.base <= core.log.next
    assert set(core.attention) <= set(core.streams)
    assert backends.open <= set(core.streams)
    for stream in core.streams.values():
        assert 0 <= stream.window.held <= stream.window.size <= WINDOWS.stream_max
        assert stream.credit.sent <= stream.credit.max
        assert stream.queue.size <= len(ANSWER)
    assert len(core.local) <= 4
    assert core.events == []


def played(draw: Random, portions: Iterator[bytes]) -> tuple[int, str]:
    """Play a page to a server until it is found out; return how far it came, and why no more."""
    core = Session(Role.SERVER, WINDOWS, lambda: 0.0)
    core.may_number = True
    backends = Backends(draw, core)
    pipe, out = Inbound(MAX_CLIENT_DATA_BYTES), Outbound(0, 0)
    for portion in portions:
        try:
            backends.act(core.receive(pipe, portion))
        except (PeerError, LinkError) as fault:
            backends.act(core.take_events())
            check_bounds(core, backends)
            return core.rx, type(fault).__name__
        backends.go_on()
        core.next_message(out)
        check_bounds(core, backends)
    return core.rx, ""


@given(st.integers(0, 2**48))
def test_no_mutated_page_takes_a_session_out_of_its_bounds(seed: int) -> None:
    draw = Random(seed)
    played(draw, said(draw))


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_whatever_take_a_session_out_of_its_bounds(portions: list[bytes]) -> None:
    played(Random(1), iter(portions))


@pytest.mark.soak
def test_nor_do_very_many() -> None:
    for seed in range(20_000):
        draw = Random(seed)
        played(draw, said(draw))


def test_pages_get_far_before_they_are_found_out_and_end_in_both_ways() -> None:
    found = [played(draw, said(draw)) for draw in map(Random, range(200))]

    assert {why for _, why in found} == {"", "PeerError", "LinkError"}
    assert sorted(rx for rx, _ in found)[100] > 10_000
