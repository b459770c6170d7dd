"""What happens to this request? A function of the seed and of the requests before it.

Each rule has dice of its own, from the seed and its place in the list, and counts the
requests it is for; no rule sees what another draws. For a request that its `where`, `method`
and `link` fit it looks at `skip`, `first`, `every`, `times`, and then draws: the chance if
there is one, then each option given as a range, in the order of `rules.VERBS`. Nothing else
is drawn, and nothing depends on time or on the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

from sockproxy.faults.kinds import Cut, Fault
from sockproxy.faults.rules import HTTP, BadRule, Rule, make, parse
from sockproxy.faults.values import Span

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one request, in the order of the rules."""

    number: int
    faults: tuple[Fault, ...]

    def all(self, kind: type[F]) -> Iterator[F]:
        """Return the faults of a kind."""
        return (fault for fault in self.faults if isinstance(fault, kind))

    def first(self, kind: type[F]) -> F | None:
        """Return the fault of a kind; where two rules ask for one, the first stands."""
        return next(self.all(kind), None)


class Plan:
    """The rules and the seed; asked once for each request, in the order of their heads."""

    def __init__(self, rules: Iterable[str | Rule] = (), seed: int = 0) -> None:
        self.seed = seed
        try:
            read = [rule if isinstance(rule, Rule) else parse(rule) for rule in rules]
        except BadRule as error:
            raise BadRule(f"seed {seed}: {error}") from None
        self.rules = tuple(read)
        self._asked = [
            _Asked(rule, Random(f"{seed}/{place}"), f"{seed}/{place}")  # noqa: S311
            for place, rule in enumerate(self.rules)
        ]
        self._requests = 0

    def __str__(self) -> str:
        return f"seed {self.seed}: {'; '.join(map(str, self.rules)) or 'no faults'}"

    def decide(self, method: str = "GET", path: str = "/", link: str = HTTP) -> Decision:
        """Return what happens to the next request; `link` is ws, http or tcp."""
        self._requests += 1
        faults = (asked.decide(method, path, link) for asked in self._asked)
        return Decision(self._requests, tuple(fault for fault in faults if fault is not None))


@dataclass(slots=True)
class _Asked:
    """One rule, its dice, and how often it was asked."""

    rule: Rule
    dice: Random
    seed: str
    matched: int = 0
    applied: int = 0

    def decide(self, method: str, path: str, link: str) -> Fault | None:
        selector = self.rule.selector
        if not selector.matches(method, path, link):
            return None
        self.matched += 1
        if not selector.scheduled(self.matched, self.applied):
            return None
        if selector.chance < 1 and self.dice.random() >= selector.chance:
            return None
        self.applied += 1
        return self._drawn()

    def _drawn(self) -> Fault:
        drawn: dict[str, Any] = {
            name: value.draw(self.dice) if isinstance(value, Span) else value
            for name, value in self.rule.values.items()
        }
        fault = make(self.rule, drawn, f"{self.seed}/{self.matched}")
        if isinstance(fault, Cut) and fault.step_bytes:
            further = (self.applied - 1) * fault.step_bytes
            return replace(fault, after_bytes=(fault.after_bytes or 0) + further)
        return fault
