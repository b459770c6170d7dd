"""May this page reach this target?

The one question that every way in asks, and the one answer that opens a backend: a
connector takes an `Allow`, never a host. What no section names is denied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sockproxy.codes import Code
from sockproxy.policy import origin as origins
from sockproxy.policy.target import HostTarget, NamedTarget, is_literal
from sockproxy.settings import Settings, Target, TcpTarget, Way


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the page's origin, who the ticket says it is, where it comes from."""

    origin: str | None
    principal: str | None
    peer: str


@dataclass(frozen=True, slots=True)
class Allow:
    """Leave to reach `target`, and how; `rule` is the section that gave it.

    `chosen_by_page`: what the target's name resolves to is checked against all special
    networks. An address that a rule spells out is the operator's own choice.
    """

    name: str
    target: Target
    rule: str
    chosen_by_page: bool
    connect_timeout_s: float
    dns_timeout_s: float
    reveal_address: bool
    detail: bool
    frames: Literal["binary", "text"] = "binary"


@dataclass(frozen=True, slots=True)
class Deny:
    """No; the page is told `reason`."""

    code: Code
    reason: str


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
            return Deny(Code.DENIED, f"backend {name}: {self.origin_hint(asker.origin)}")
        return Allow(
            name=name,
            target=backend.target,
            rule=f"[backend {name}]",
            chosen_by_page=False,
            connect_timeout_s=backend.connect_timeout,
            dns_timeout_s=backend.dns_timeout,
            reveal_address=backend.reveal_address,
            detail=True,
            frames=backend.frames,
        )

    def _chosen(self, asker: Asker, target: HostTarget) -> Allow | Deny:
        for name, access in self._access.items():
            listed = any((e.host, e.port) == (target.host, target.port) for e in access.allow)
            if listed and _serves(access, asker.origin):
                return Allow(
                    name=f"{target.host}:{target.port}",
                    target=TcpTarget(host=target.host, port=target.port),
                    rule=f"[access {name}]",
                    chosen_by_page=not is_literal(target.host),
                    connect_timeout_s=access.connect_timeout,
                    dns_timeout_s=access.dns_timeout,
                    reveal_address=True,
                    detail=access.detail,
                )
        return Deny(Code.DENIED, "not allowed or not reachable")


def _serves(way: Way, origin: str | None) -> bool:
    if origin is None:
        return way.allow_no_origin
    return origins.allowed(origin, way.origins)
