"""What happens to one request and its answer as messages?

The bytes of both go through the lanes, which have the faults of bytes; here a message is
kept, doubled, held or lost as a whole, or answered in place of the server. What is kept is
bounded: a message of more than 1 MiB goes on without the fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sockproxy.faults import canned
from sockproxy.faults.http1 import Head, HeadCut
from sockproxy.faults.kinds import (
    DOWN,
    REQUEST,
    RESPONSE,
    UP,
    Answer,
    Cut,
    Drop,
    Duplicate,
    Reorder,
    Replay,
    Strip,
)
from sockproxy.faults.passage import Passage
from sockproxy.faults.plan import Decision
from sockproxy.faults.shape import shape
from sockproxy.faults.successors import Successors

KEPT_MAX_BYTES = 1024 * 1024
TOO_LARGE = "too_large"


class Office(Protocol):
    """What the exchanges of all connections share."""

    @property
    def successors(self) -> Successors:
        """What waits for a later request."""

    def decide(self, method: str, path: str, link: str) -> Decision:
        """Ask the plan, once for each request."""

    def struck(self, verb: str) -> None:
        """A fault has happened."""

    def again(self, request: bytes, method: str) -> None:
        """Send a whole request on a connection of its own; its answer is thrown away."""

    def entered(self) -> None:
        """One more request waits for its answer."""

    def left(self) -> None:
        """One less."""


class Message:
    """One direction of an exchange: it goes on as it comes, is kept besides, or is held."""

    def __init__(self, write: Callable[..., None], *, held: bool, kept: bool) -> None:
        self._write = write
        self.held = held
        self.kept = bytearray() if held or kept else None
        self.ends = False  # the sender has ended behind it

    def add(self, data: bytes, *, head: bool = False, free: bool = False) -> bool:
        """Take bytes; return False when they have become too many to be kept."""
        if not self.held:
            self._write(data, head=head, free=free)
        if self.kept is None:
            return True
        self.kept += data
        if len(self.kept) <= KEPT_MAX_BYTES:
            return True
        if self.held:
            self.release()
        self.kept = None
        return False

    def release(self) -> None:
        """Let go what was held."""
        self.held = False
        self._write(bytes(self.kept or b""))


class Exchange:
    """One request, from its head to the last byte of its answer."""

    def __init__(
        self, office: Office, passage: Passage, head: Head, decision: Decision, *, counted: bool
    ) -> None:
        self._office = office
        self._passage = passage
        self._method = head.method
        self._key = (head.method, head.path.partition("?")[0])
        self._decision = decision
        self._answer = decision.first(Answer)
        self._dropped = getattr(decision.first(Drop), "what", None)
        self._doubled = getattr(decision.first(Duplicate), "what", None)
        self._reorder = decision.first(Reorder)
        self._replay = decision.first(Replay) is not None
        self._counted = counted  # as one that waits for its answer
        self._heard = False  # the answer is whole
        self.asked = self.answered = False  # the request is whole; the answer is delivered
        self.on_done: Callable[[], None] = lambda: None
        reordered = getattr(self._reorder, "what", None)
        self.request = Message(
            passage.up.write,
            held=reordered == REQUEST,
            kept=self._replay or self._doubled == REQUEST,
        )
        self.response = Message(
            passage.down.write, held=reordered == RESPONSE, kept=self._doubled == RESPONSE
        )
        if counted:
            office.entered()
        self._begin()

    @property
    def passes(self) -> bool:
        """Whether the server gets the request."""
        return self._answer is None and self._dropped != REQUEST

    def _begin(self) -> None:
        self._down = shape(self._decision, DOWN)
        self._passage.up.begin(shape(self._decision, UP))
        self._passage.down.begin(self._down)
        aged = next((cut for cut in self._decision.all(Cut) if cut.age_s is not None), None)
        if aged is not None and aged.age_s is not None:
            self._passage.cut_in(aged.age_s, verb=aged.verb, reset=aged.reset)

    def head_up(self, cut: HeadCut) -> None:
        self._add(self.request, self._stripped(cut, UP), head=True)

    def piece_up(self, data: bytes) -> None:
        self._add(self.request, data)

    def whole_up(self) -> None:
        """The request is all there."""
        self.asked = True
        if self._answer is not None:
            said = canned.answer(self._answer, head_only=self._method == "HEAD")
            self._passage.down.write(said)
            self._passage.down.finish(self._delivered)
        elif self._dropped == REQUEST:
            self._passage.cut(self._passage.down, reset=False)
        elif self.request.held and self._reorder is not None:
            self._wait(self._reorder, self._release_up)
        elif self._doubled == REQUEST and self.request.kept is not None:
            self._office.again(bytes(self.request.kept), self._method)
        self._look()

    def head_down(self, cut: HeadCut) -> None:
        status = cut.head.status
        raw = self._stripped(cut, DOWN)
        if status < 200:
            self._passage.down.write(raw, head=True, free=True)
        else:
            self._add(self.response, raw, head=True, free=self._down.hold in ("first", "next"))

    def piece_down(self, data: bytes) -> None:
        self._add(self.response, data)

    def whole_down(self) -> None:
        """The answer is all there, or the server has ended in the midst of it or behind it."""
        if self._heard:
            return
        self._heard = True
        if self._dropped == RESPONSE:
            self._passage.cut(self._passage.down, reset=False)
        elif self.response.held and self._reorder is not None:
            self._wait(self._reorder, self._release_down)
        else:
            if self._doubled == RESPONSE:
                self._passage.down.write(bytes(self.response.kept or b""))
            self._passage.down.finish(self._delivered)

    def abandon(self) -> None:
        """The connection is gone."""
        self._leave()
        if self.asked and not self.answered:
            self._play_again_later()

    def _add(
        self, message: Message, data: bytes, *, head: bool = False, free: bool = False
    ) -> None:
        lost = message is self.request and not self.passes
        if lost or (message is self.response and self._dropped == RESPONSE):
            return
        if not message.add(data, head=head, free=free):
            self._office.struck(TOO_LARGE)

    def _stripped(self, cut: HeadCut, direction: str) -> bytes:
        head = cut.head
        for strip in self._decision.all(Strip):
            if strip.direction == direction:
                head = head.without(strip.header)
        return cut.raw if head is cut.head else head.encoded()

    def _wait(self, reorder: Reorder, action: Callable[[], None]) -> None:
        self._office.successors.after(self._key, action, reorder.within_s)

    def _release_up(self) -> None:
        if self._passage.over:
            self._office.again(bytes(self.request.kept or b""), self._method)
            return
        self.request.release()
        if self.request.ends:
            self._passage.finish_up()

    def _release_down(self) -> None:
        self.response.release()
        self._passage.down.finish(self._delivered)
        if self.response.ends:
            self._passage.finish_down()

    def _delivered(self) -> None:
        self._passage.calm()
        self._leave()
        self.answered = True
        self._office.successors.answered(self._key)
        self._play_again_later()
        self._look()

    def _play_again_later(self) -> None:
        if self._replay and self.request.kept is not None:
            request = bytes(self.request.kept)
            self._office.successors.after(self._key, lambda: self._play_again(request))

    def _play_again(self, request: bytes) -> None:
        self._office.struck(Replay.verb)
        self._office.again(request, self._method)

    def _leave(self) -> None:
        if self._counted:
            self._counted = False
            self._office.left()

    def _look(self) -> None:
        if self.asked and self.answered:
            self.on_done()
