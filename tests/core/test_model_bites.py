"""Would the model notice? Each bug that its first form caught is planted and found again.

The bugs are those of real systems: Orbited's uplink delivered twice what was sent twice,
Eternal Terminal forgets what it never saw acknowledged, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sockproxy.core import frames, inward, outward
from sockproxy.core.flow import ReceiveWindow
from sockproxy.core.log import Entry, Log
from sockproxy.core.pipe import Inbound
from sockproxy.core.session import Session
from tests.core.test_session_model import SessionMachine

EXAMPLES = 250

Plant = Callable[[pytest.MonkeyPatch], None]


def deliver_twice(patch: pytest.MonkeyPatch) -> None:
    """What came before is taken again."""

    def place(pipe: Inbound, size: int, rx: int) -> bool:
        pipe.position = (rx if pipe.position is None else pipe.position) + size
        return True

    patch.setattr(Inbound, "place", place)


def forget_what_was_sent(patch: pytest.MonkeyPatch) -> None:
    """The log is dropped at send, not at ack."""
    honest = outward.next_message

    def next_message(session: Session, pipe: Any, room: int) -> bytes:
        message = honest(session, pipe, room)
        session.log.acknowledge(session.log.next)
        return message

    patch.setattr(outward, "next_message", next_message)


def credit_on_receipt(patch: pytest.MonkeyPatch) -> None:
    """The window moves when bytes arrive, not when they are used."""
    honest_receive = ReceiveWindow.receive
    honest_data = inward._data

    def receive(window: ReceiveWindow, count: int) -> None:
        honest_receive(window, count)
        window.consumed += count

    def data(session: Session, stream_id: int, payload: bytes) -> None:
        honest_data(session, stream_id, payload)
        if stream_id in session.streams:
            session.attention[stream_id] = session.streams[stream_id]

    patch.setattr(ReceiveWindow, "receive", receive)
    patch.setattr(ReceiveWindow, "consume", lambda window, count: None)
    patch.setattr(inward, "_data", data)


def cut_frames_anew(patch: pytest.MonkeyPatch) -> None:
    """What is repeated is encoded again, in smaller frames."""
    honest = Session.attach

    def attach(session: Session, position: int | None) -> Any:
        entries: list[Entry] = []
        end = session.log.base
        for entry in session.log.entries:
            for part in _halves(entry):
                end += len(part)
                entries.append(Entry(end, part, None, 0))
        session.log.entries.clear()
        session.log.entries.extend(entries)
        session.log.next = end
        return honest(session, position)

    patch.setattr(Session, "attach", attach)


def _halves(entry: Entry) -> list[bytes]:
    if entry.stream is None or entry.payload_bytes < 2:
        return [entry.data]
    payload = entry.data[-entry.payload_bytes :]
    middle = len(payload) // 2
    parts = (payload[:middle], payload[middle:])
    return [frames.encode_data(entry.stream.id, part) for part in parts]


def ack_half_a_frame(patch: pytest.MonkeyPatch) -> None:
    """The ack counts bytes of a frame that is not all there."""
    honest = frames.encode

    def encode(frame: frames.Frame) -> bytes:
        if isinstance(frame, frames.Ack) and frame.rx:
            frame = frames.Ack(frame.rx - 1)
        return honest(frame)

    patch.setattr(frames, "encode", encode)


def keep_without_bound(patch: pytest.MonkeyPatch) -> None:
    """Nothing limits the unacked log."""
    patch.setattr(Log, "full", property(lambda log: False))


def end_before_the_last_byte(patch: pytest.MonkeyPatch) -> None:
    """EOF is control, and control overtakes DATA."""
    honest = outward._control_of

    def control_of(session: Session, stream: Any) -> Any:
        if stream.may_send_eof and stream.opening is None:
            stream.eof = False
            return frames.Eof(stream.id, stream.credit.sent)
        return honest(session, stream)

    patch.setattr(outward, "_control_of", control_of)


PLANTS: list[Plant] = [
    deliver_twice,
    forget_what_was_sent,
    credit_on_receipt,
    cut_frames_anew,
    ack_half_a_frame,
    keep_without_bound,
    end_before_the_last_byte,
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
@pytest.mark.timeout(300)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    with pytest.raises(BaseException) as caught:  # noqa: PT011
        run_state_machine_as_test(
            SessionMachine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=50,
                deadline=None,
                phases=[Phase.generate],
                database=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )

    print(f"{plant.__name__}: {caught.value}")
