"""May this page reach this target?

The one question that every way in asks, and the one answer that opens a backend: a
connector takes an `Allow`, never a host. What no section names is denied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sockproxy.codes import Code
from sockproxy.policy import destination, networks
from sockproxy.policy import origin as origins
from sockproxy.policy.quota import UNBOUNDED, UNCAPPED, Bounds, Caps
from sockproxy.policy.target import HostTarget, NamedTarget, is_literal
from sockproxy.settings import Access, Destination, Settings, Target, TcpTarget, Way

UNTOLD = "not allowed or not reachable"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the page's origin, who the ticket says it is, where it comes from.

    `caps`: what it may take at most, where that is less than the file says.
    """

    origin: str | None
    principal: str | None
    peer: str
    caps: Caps = UNCAPPED


@dataclass(frozen=True, slots=True)
class Rule:
    """What decided: a section, an option of it, one item of its list."""

    section: str
    key: str = ""
    item: str = ""

    def __str__(self) -> str:
        item = f" = {self.item}" if self.item else ""
        return f"[{self.section}] {self.key}{item}".rstrip()


@dataclass(frozen=True, slots=True)
class Allow:
    """Leave to reach `target`, and how; `rule` is what gave it.

    `chosen_by_page`: what the target's name resolves to is checked against all special
    networks. Addresses in a network that is `spelled` out are the operator's own choice;
    those that are `barred` are never connected to.
    """

    name: str
    target: Target
    rule: Rule
    chosen_by_page: bool
    connect_timeout_s: float
    dns_timeout_s: float
    reveal_address: bool
    detail: bool
    frames: Literal["binary", "text"] = "binary"
    spelled: tuple[Destination, ...] = ()
    barred: tuple[Destination, ...] = ()
    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Deny:
    """No; the page is told `reason`, the operator `why` and which rule said so.

    `hidden`: the page chose the host, and must not learn from the time that this takes.
    """

    code: Code
    reason: str
    why: str = ""
    rule: Rule | None = None
    hidden: bool = False


def out_of_bounds(allow: Allow, address: str) -> str | None:
    """Return why a target's address is not connected to, None where it may be."""
    port = allow.target.port if isinstance(allow.target, TcpTarget) else 0
    for rule in allow.barred:
        if networks.within(address, rule.network) and rule.first_port <= port <= rule.last_port:
            return f"{address} is in deny = {rule.text}"
    spelled = any(destination.covers(rule, address, port) for rule in allow.spelled)
    return networks.denied(address, chosen_by_page=allow.chosen_by_page and not spelled)


class Policy:
    """The decisions that a settings file makes."""

    def __init__(self, settings: Settings) -> None:
        self._backends = settings.backends
        self._access = settings.access
        self._by_address: dict[tuple[str, int], list[str]] = {}
        for name, backend in settings.backends.items():
            if isinstance(backend.target, TcpTarget):
                address = (backend.target.host, backend.target.port)
                self._by_address.setdefault(address, []).append(name)

    def decide(self, asker: Asker, target: NamedTarget | HostTarget) -> Allow | Deny:
        """Return the answer to `asker` wanting `target`."""
        if isinstance(target, NamedTarget):
            return self._named(asker, target.name)
        for name in self._by_address.get((target.host, target.port), ()):
            answer = self._named(asker, name)
            if isinstance(answer, Allow):
                return answer
        return self._chosen(asker, target)

    def origin_known(self, origin: str | None) -> bool:
        """Return whether any section serves pages of this origin."""
        ways = (*self._backends.values(), *self._access.values())
        return any(_serves(way, origin) for way in ways)

    def origin_hint(self, origin: str | None) -> str:
        """Tell the page's developer which line is missing."""
        if origin is None:
            return "no Origin; a [backend] serves such clients with allow_no_origin = yes"
        if origins.problem(origin):
            return f"origin {origin[:100]!a} cannot be listed"
        return f"origin {origin} is not listed; add to a [backend]: origins = {origin}"

    def _named(self, asker: Asker, name: str) -> Allow | Deny:
        backend = self._backends.get(name)
        if backend is None:
            return Deny(Code.DENIED, f"no backend {name}")
        if not _serves(backend, asker.origin):
            rule = Rule(f"backend {name}", "origins")
            return Deny(Code.DENIED, f"backend {name}: {self.origin_hint(asker.origin)}", rule=rule)
        return Allow(
            name=name,
            target=backend.target,
            rule=Rule(f"backend {name}", "origins", _origin_rule(backend, asker.origin)),
            chosen_by_page=False,
            connect_timeout_s=backend.connect_timeout,
            dns_timeout_s=backend.dns_timeout,
            reveal_address=backend.reveal_address,
            detail=True,
            frames=backend.frames,
            bounds=Bounds.of(f"backend {name}", backend),
        )

    def _chosen(self, asker: Asker, target: HostTarget) -> Allow | Deny:
        """Return the first section's leave, or the last one's reason."""
        answer = _untold(f"no [access] allows {target.host}:{target.port}", None)
        for name, access in self._access.items():
            listed = _rule(access.allow, target)
            if listed is None:
                continue
            if not _serves(access, asker.origin):
                hint = self.origin_hint(asker.origin)
                answer = _untold(hint, Rule(f"access {name}", "origins"))
                continue
            permitted = _permit(name, access, target, listed)
            if isinstance(permitted, Allow):
                return permitted
            answer = permitted
        return answer


def _permit(name: str, access: Access, target: HostTarget, listed: Destination) -> Allow | Deny:
    """Return what a section says to a target that it lists."""
    section = f"access {name}"
    barring = _rule(access.deny, target)
    if barring is not None:
        why = f"{target.host}:{target.port} is named by deny"
        return _untold(why, Rule(section, "deny", barring.text), access.detail)
    if target.port in destination.CLOSED_PORTS and target.port not in access.forced_ports:
        why = f"port {target.port} is closed to pages"
        return _untold(why, Rule(section, "forced_ports"), access.detail)
    allow = Allow(
        name=f"{target.host}:{target.port}",
        target=TcpTarget(host=target.host, port=target.port),
        rule=Rule(section, "allow", listed.text),
        chosen_by_page=True,
        connect_timeout_s=access.connect_timeout,
        dns_timeout_s=access.dns_timeout,
        reveal_address=True,
        detail=access.detail,
        spelled=tuple(rule for rule in access.allow if rule.network is not None),
        barred=tuple(rule for rule in access.deny if rule.network is not None),
        bounds=Bounds.of(section, access),
    )
    reason = out_of_bounds(allow, target.host) if is_literal(target.host) else None
    return _untold(reason, allow.rule, access.detail) if reason else allow


def _untold(why: str, rule: Rule | None, detail: bool = False) -> Deny:
    return Deny(Code.DENIED, why if detail else UNTOLD, why, rule, hidden=not detail)


def _rule(rules: tuple[Destination, ...], target: HostTarget) -> Destination | None:
    return next((rule for rule in rules if destination.names(rule, target.host, target.port)), None)


def _origin_rule(way: Way, origin: str | None) -> str:
    return next((rule for rule in way.origins if origins.allowed(origin, (rule,))), "")


def _serves(way: Way, origin: str | None) -> bool:
    if origin is None:
        return way.allow_no_origin
    return origins.allowed(origin, way.origins)
