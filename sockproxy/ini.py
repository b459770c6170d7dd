"""How does proxy.ini become settings?

All problems are reported at once, each with its line, section and key, and the nearest
known name where one was mistyped. What would be unsafe does not load, and the message
says what to write instead.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sockproxy import legs
from sockproxy.certificate import BadCertificate, Files, context
from sockproxy.policy import destination
from sockproxy.policy.access import Rule
from sockproxy.settings import (
    NAME_PATTERN,
    Access,
    Backend,
    ForwardAuth,
    Limits,
    Listener,
    Service,
    Settings,
    Tickets,
)
from sockproxy.sources import BadFile, Problem, Sources, read_text
from sockproxy.values import convert, written

SINGLE: dict[str, type[BaseModel]] = {
    "sockproxy": Service,
    "limits": Limits,
    "tickets": Tickets,
    "forward_auth": ForwardAuth,
}
NAMED: dict[str, tuple[str, type[BaseModel]]] = {
    "listen": ("listeners", Listener),
    "backend": ("backends", Backend),
    "access": ("access", Access),
}

_RISING = ("stream_window", "stream_window_max", "session_stream_windows")

_BEYOND = {
    "greater_than": ("gt", "not above"),
    "greater_than_equal": ("ge", "below"),
    "less_than_equal": ("le", "above"),
}


class SettingsError(Exception):
    """The file does not load; `problems` says all that is wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """Files that loaded, and where their sections and keys stand."""

    settings: Settings
    sources: Sources

    def problem(self, section: str, key: str, text: str) -> Problem:
        """Say something about one line of a file."""
        return self.sources.problem(section, key, text)

    def place(self, rule: Rule) -> str:
        """Return where a rule that decided stands, and what it says."""
        return f"{self.sources.place(rule.section, rule.key, rule.item)}: {rule}"


def load(path: str) -> Settings:
    """Return the settings in a file. Raises `SettingsError`."""
    return read(path).settings


def read(path: str) -> Loaded:
    """`load`, and where everything stands. Raises `SettingsError`."""
    try:
        text = read_text(path)
    except BadFile as bad:
        raise SettingsError([Problem(path, 0, "", "", str(bad))]) from None
    return loads(text, path)


def loads(text: str, file: str = "proxy.ini") -> Loaded:
    """`read` for a text. Raises `SettingsError`."""
    sources = Sources(text, file)
    reader = _Reader(sources)
    settings = reader.settings()
    if settings is None or reader.problems:
        raise SettingsError(sorted(reader.problems, key=sources.order))
    return Loaded(settings, sources)


class _Reader:
    """Reads what files say and collects what is wrong with it."""

    def __init__(self, sources: Sources) -> None:
        self.problems = list(sources.problems)
        self._sources = sources

    def settings(self) -> Settings | None:
        found: dict[str, Any] = {"listeners": {}, "backends": {}, "access": {}}
        for section in self._sources.sections:
            kind, _, name = section.partition(" ")
            if section in SINGLE:
                found[section] = self._section(section, SINGLE[section])
            elif kind in NAMED and re.fullmatch(NAME_PATTERN, name):
                place, model = NAMED[kind]
                found[place][name] = self._section(section, model)
            else:
                self._unknown_section(section, kind)
        self._check(found)
        return None if self.problems else Settings(**found)

    def _add(self, section: str, key: str, text: str) -> None:
        self.problems.append(self._sources.problem(section, key, text))

    def _excused(self, section: str, key: str) -> bool:
        """Return whether a problem that is told already is why an option is absent."""
        told = any((said.section, said.key) == (section, key) for said in self.problems)
        return told or self._sources.torn(section)

    def _unknown_section(self, section: str, kind: str) -> None:
        if kind in NAMED:
            self._add(section, "", f"write [{kind} NAME], a name of 1 to 32 of a-z 0-9 _ -")
        else:
            self._add(section, "", "unknown section" + _nearest(kind, [*SINGLE, *NAMED]))

    def _section(self, section: str, model: type[BaseModel]) -> BaseModel | None:
        texts, values = self._sources.sections[section], dict[str, Any]()
        for key, text in texts.items():
            if key not in model.model_fields:
                hint = _nearest(key, list(model.model_fields))
                self._add(section, key, f"unknown option{hint}")
                continue
            try:
                values[key] = convert(model, key, text)
            except ValueError as error:
                self._add(section, key, str(error))
        try:
            return model(**values)
        except ValidationError as error:
            for fault in error.errors():
                key = str(fault["loc"][0])
                if fault["type"] != "missing":
                    complaint = _complaint(fault, model.model_fields[key])
                    self._add(section, key, f"{texts[key]!r}{complaint}")
                elif not self._excused(section, key):
                    self._add(section, key, "is missing")
            return None

    def _check(self, found: dict[str, Any]) -> None:
        """Look for what is valid piece by piece and still must not start."""
        if not found["listeners"]:
            self._add("", "", "nobody could connect; add [listen web] with endpoint = tcp:8080")
        believes = self._believes(found.get("sockproxy", Service()))
        for name, listener in found["listeners"].items():
            if listener is not None:
                self._check_listener(f"listen {name}", listener, believes)
        if found.get("limits"):
            self._check_limits(found["limits"])
        self._check_ways(found, self._check_users(found))

    def _believes(self, service: Service | None) -> bool:
        """Return whether any proxy is believed, or why that is not known is told already."""
        told = service is None or self._excused("sockproxy", "trusted_proxies")
        return told or bool(service and service.trusted_proxies)

    def _check_ways(self, found: dict[str, Any], knows_users: bool) -> None:
        for kind in ("backend", "access"):
            for name, way in found[NAMED[kind][0]].items():
                if way is not None:
                    self._check_way(f"{kind} {name}", way)
                if way is not None and way.principals and not knows_users:
                    text = "nobody can say who he is; add [tickets] keys or [forward_auth] url"
                    self._add(f"{kind} {name}", "principals", text)
        if None not in (*found["backends"].values(), *found["access"].values()):
            for problem in legs.ways_round(found["backends"], found["access"]):
                self._add(*problem)

    def _check_users(self, found: dict[str, Any]) -> bool:
        """Return whether pages can show who their users are, or why that is not known."""
        tickets, forward = found.get("tickets", Tickets()), found.get("forward_auth", ForwardAuth())
        if tickets is None or forward is None or self._excused("tickets", "keys"):
            return True
        if len({key.kid for key in tickets.keys}) < len(tickets.keys):
            self._add("tickets", "keys", "two keys have the same KID")
        return bool(tickets.keys or forward.url)

    def _check_listener(self, section: str, listener: Listener, believes: bool) -> None:
        if listener.private_key and not listener.certificate:
            self._add(section, "private_key", "opens nothing; add certificate = FILE")
        if listener.certificate:
            try:
                context(Files(listener.certificate, listener.private_key))
            except BadCertificate as bad:
                self._add(section, bad.option, str(bad))
        if listener.proxy_protocol and not believes:
            text = "nobody is believed; add trusted_proxies = ADDRESS to [sockproxy]"
            self._add(section, "proxy_protocol", text)

    def _check_limits(self, limits: Limits) -> None:
        for low, high in pairwise(_RISING):
            value, bound = getattr(limits, low), getattr(limits, high)
            if value > bound:
                field = Limits.model_fields[low]
                text = f"{written(field, value)} is above {high} = {written(field, bound)}"
                self._add("limits", low, text)

    def _check_way(self, section: str, way: Backend | Access) -> None:
        served = way.origins or way.allow_no_origin
        if not served and not self._excused(section, "origins"):
            self._add(section, "", "no page may use it; add origins = https://app.example")
        if isinstance(way, Access) and not way.allow and not self._excused(section, "allow"):
            self._add(section, "", "it opens nothing; add allow = HOST:PORT, one per line")
        if isinstance(way, Access):
            complaints = [destination.problem(rule, way.forced_ports) for rule in way.allow]
            if any(complaints):
                self._add(section, "allow", "; ".join(filter(None, complaints)))
        if isinstance(way, Backend):
            for key, complaint in legs.problems(way):
                self._add(section, key, complaint)


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f', did you mean "{close[0]}"?' if close else f"; known are {', '.join(known)}"


def _complaint(fault: Any, field: FieldInfo) -> str:
    beyond = _BEYOND.get(fault["type"])
    if beyond is None:
        return f": {fault['msg'].lower()}"
    bound, relation = beyond
    return f" is {relation} {written(field, fault['ctx'][bound])}"
