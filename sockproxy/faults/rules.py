"""How is a fault asked for? `VERB key=value key=value`, one rule a line.

Every verb takes the selectors, which say which requests it is for, besides its own options.
A WebSocket is one request, and so is a connection that speaks no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sockproxy.faults import values
from sockproxy.faults.kinds import (
    BOTH,
    DOWN,
    REDIRECTS,
    REQUEST,
    RESPONSE,
    STATUSES,
    UP,
    Answer,
    Buffer,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Fault,
    Reorder,
    Replay,
    Stall,
    Strip,
    Throttle,
)
from sockproxy.faults.values import BadValue, Reads, Value

WS = "ws"
HTTP = "http"
TCP = "tcp"
ANY = "any"


class BadRule(ValueError):
    """The text is no rule; names the value and says what is allowed."""


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a verb: the field it sets, what reads it, its default as one would write it."""

    sets: str
    read: Reads
    default: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Verb:
    """What makes a fault, and of which options; `one_of` names those of which one must stand."""

    make: Callable[..., Fault]
    options: Mapping[str, Option]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which requests a rule is for."""

    where: str | None = None
    method: str | None = None
    link: str = ANY
    chance: float = 1.0
    every: int = 1
    first: int | None = None
    skip: int = 0
    times: int | None = None

    def matches(self, method: str, path: str, link: str) -> bool:
        """Return whether a request is one of those that are counted."""
        return (
            self.link in (ANY, link)
            and self.method in (None, method)
            and (self.where is None or _at(self.where, path.partition("?")[0]))
        )

    def scheduled(self, matched: int, applied: int) -> bool:
        """Return whether the `matched`-th such request is one for the rule, but for chance."""
        turn = matched - self.skip
        return (
            turn > 0
            and (self.first is None or turn <= self.first)
            and turn % self.every == 0
            and (self.times is None or applied < self.times)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, read."""

    text: str
    verb: str
    selector: Selector
    values: Mapping[str, Value | None]

    def __str__(self) -> str:
        return self.text


def _direction(default: str) -> Option:
    return Option("direction", values.words(UP, DOWN, BOTH), default)


_WHAT = Option("what", values.words(REQUEST, RESPONSE), REQUEST)
_OF = Option("body", values.words("all", "body"), "all")
_AFTER = Option("after_bytes", values.size)
_CUT = {
    "after": _AFTER,
    "step": Option("step_bytes", values.size, "0"),
    "age": Option("age_s", values.duration),
    "direction": _direction(DOWN),
    "of": _OF,
}
_REDIRECT = {
    "status": Option("status", values.one_of(dict.fromkeys(REDIRECTS, "")), "302"),
    "to": Option("location", values.url, "http://login.invalid/"),
}
VERBS: Mapping[str, Verb] = {
    "cut": Verb(Cut, _CUT, {"reset": False}, one_of=("after", "step", "age")),
    "reset": Verb(Cut, _CUT, {"reset": True}, one_of=("after", "step", "age")),
    "stall": Verb(
        Stall,
        {
            "after": Option("after_bytes", values.size, "0"),
            "for": Option("for_s", values.duration),
            "direction": _direction(BOTH),
            "of": _OF,
        },
    ),
    "delay": Verb(
        Delay,
        {
            "for": Option("for_s", values.duration, required=True),
            "jitter": Option("jitter_s", values.duration, "0s"),
            "direction": _direction(BOTH),
        },
    ),
    "throttle": Verb(
        Throttle,
        {
            "rate": Option("rate_bytes_per_s", values.some, required=True),
            "direction": _direction(BOTH),
        },
    ),
    "buffer": Verb(Buffer, {"until": Option("until", values.until, required=True)}),
    "drop": Verb(Drop, {"what": _WHAT}),
    "duplicate": Verb(Duplicate, {"what": _WHAT}),
    "reorder": Verb(Reorder, {"what": _WHAT, "within": Option("within_s", values.duration, "1s")}),
    "replay": Verb(Replay, {}),
    "strip": Verb(
        Strip,
        {
            "header": Option("header", values.token, required=True),
            "direction": Option("direction", values.words(UP, DOWN), UP),
        },
    ),
    "answer": Verb(
        Answer,
        {
            "status": Option("status", values.one_of(STATUSES), required=True),
            "retry": Option("retry_after_s", values.count),
        },
        {"verb": "answer"},
    ),
    "redirect": Verb(Answer, _REDIRECT, {"verb": "redirect"}),
    "login": Verb(Answer, {}, {"verb": "login", "status": 200}),
}
SELECTORS: Mapping[str, Reads] = {
    "where": values.path,
    "method": values.token,
    "link": values.words(WS, HTTP, TCP, ANY),
    "chance": values.chance,
    "every": values.count,
    "first": values.count,
    "skip": values.count,
    "times": values.count,
}


def parse(text: str) -> Rule:
    """Return what a line asks for. Raises `BadRule`."""
    name, *parts = text.split() or [""]
    verb = VERBS.get(name)
    if verb is None:
        raise BadRule(f"fault {text!r}: no fault {name!r}; there are {', '.join(VERBS)}")
    found: dict[str, Value] = {}
    for part in parts:
        key, value = _pair(text, name, verb, part)
        if key in found:
            raise BadRule(f"fault {text!r}: {key} stands twice")
        found[key] = value
    for wanted in ([k for k, option in verb.options.items() if option.required], verb.one_of):
        if wanted and not found.keys() & set(wanted):
            raise BadRule(f"fault {text!r}: {name} needs {' or '.join(f'{k}=' for k in wanted)}")
    selector = Selector(**{key: found[key] for key in SELECTORS if key in found})  # type: ignore[arg-type]
    return Rule(" ".join(text.split()), name, selector, _values(verb, found))


def make(rule: Rule, drawn: Mapping[str, Any], seed: str) -> Fault:
    """Return the fault of one request, from the numbers drawn for it."""
    verb = VERBS[rule.verb]
    whole: dict[str, Any] = {**verb.fixed, **drawn}
    if "body" in whole:
        whole["body"] = whole["body"] == "body"
    if verb.make is Delay:
        whole["seed"] = seed
    return verb.make(**whole)


def _pair(text: str, name: str, verb: Verb, part: str) -> tuple[str, Value]:
    key, sign, value = part.partition("=")
    option = verb.options.get(key)
    read = option.read if option is not None else SELECTORS.get(key)
    if read is None:
        keys = ", ".join([*verb.options, *SELECTORS])
        raise BadRule(f"fault {text!r}: {name} takes no {key!r}; it takes {keys}")
    try:
        return key, read(value)
    except BadValue as error:
        given = f"{key}={value!r}" if sign else f"{key} has no value"
        raise BadRule(f"fault {text!r}: {given}; write {error}") from None


def _values(verb: Verb, found: Mapping[str, Value]) -> dict[str, Value | None]:
    """Return the fields of the fault; ranges are still to be drawn."""
    fields: dict[str, Value | None] = {}
    for key, option in verb.options.items():
        default = None if option.default is None else option.read(option.default)
        fields[option.sets] = found.get(key, default)
    return fields


def _at(where: str, path: str) -> bool:
    return fnmatchcase(path, where) if "*" in where else path.endswith(where)
