"""May this page reach this target?

The one question that every way in asks, and the one answer that opens a backend: a
connector takes an `Allow`, never a host. What no section names is denied.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from sockproxy.codes import Code
from sockproxy.policy import destination, networks, preamble
from sockproxy.policy import origin as origins
from sockproxy.policy.preamble import Preamble
from sockproxy.policy.quota import UNBOUNDED, UNCAPPED, Bounds, Caps
from sockproxy.policy.target import HostTarget, NamedTarget, is_literal
from sockproxy.policy.ticket import ANYBODY, Ticket
from sockproxy.settings import Access, Backend, Destination, Settings, Target, TcpTarget, Way

UNTOLD = "not allowed or not reachable"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the page's origin, who the ticket says it is, where it comes from.

    `server` and its port are the address it came in at, `secure` that it is known to have come
    by TLS; a port of 0 is not known. `ticket` narrows what its principal may do.
    """

    origin: str | None
    principal: str | None
    peer: str
    peer_port: int = 0
    server: str = ""
    server_port: int = 0
    secure: bool = False
    ticket: Ticket | None = None

    def known_by(self, ticket: Ticket) -> Asker:
        """Return the same asker, who has shown a ticket."""
        return replace(self, principal=ticket.principal, ticket=ticket)

    @property
    def is_bearer(self) -> bool:
        """Whether he has shown a ticket himself, so that no foreign page can be behind it."""
        return self.ticket is not None and self.ticket.bearer

    @property
    def caps(self) -> Caps:
        """What he may take at most, where that is less than the file says."""
        if self.ticket is None:
            return UNCAPPED
        return Caps(self.ticket.streams or 0, self.ticket.byte_quota or 0)


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
    those that are `barred` are never connected to. `preamble` is what the backend hears first.
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
    preamble: Preamble = field(default_factory=Preamble)
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
        self._ways: tuple[Way, ...] = (*settings.backends.values(), *settings.access.values())
        self._has_tickets = bool(settings.tickets.keys or settings.forward_auth.url)
        self._by_address: dict[tuple[str, int], list[str]] = {}
        for name, backend in settings.backends.items():
            if isinstance(backend.target, TcpTarget):
                address = (backend.target.host, backend.target.port)
                self._by_address.setdefault(address, []).append(name)

    def decide(self, asker: Asker, target: NamedTarget | HostTarget) -> Allow | Deny:
        """Return the answer to `asker` wanting `target`."""
        if isinstance(target, NamedTarget):
            return self._named(asker, target.name)
        refused = _untold(f"no [access] allows {target.host}:{target.port}", None)
        for name in self._by_address.get((target.host, target.port), ()):
            answer = self._named(asker, name)
            if isinstance(answer, Allow):
                return answer
            refused = _untold(answer.reason, answer.rule)
        return self._chosen(asker, target, refused)

    def origin_known(self, origin: str | None) -> bool:
        """Return whether any section serves pages of this origin, perhaps with a ticket.

        Who sends no Origin is no browser, and may still show a ticket.
        """
        if origin is None and self._has_tickets and any(way.principals for way in self._ways):
            return True
        return any(_serves_page(way, origin, bearer=False) for way in self._ways)

    def foreign(self, origin: str | None) -> Deny | None:
        """Return why no page of an origin has any business here, None where one may have."""
        if self.origin_known(origin):
            return None
        return Deny(Code.ORIGIN, self.origin_hint(origin))

    def admit(self, asker: Asker) -> Deny | None:
        """Return why nothing at all is open to `asker`, None where something may be.

        Asked when he has shown his ticket, before a session is looked for.
        """
        foreign = self.foreign(asker.origin)
        if foreign is not None:
            return foreign
        if asker.ticket is not None:
            if asker.ticket.origins and asker.origin not in asker.ticket.origins:
                text = f"the ticket is not for origin {asker.origin}"
                return Deny(Code.TICKET_REFUSED, text)
            return None
        fitting = (way for way in self._ways if _serves_page(way, asker.origin, bearer=False))
        if any(not way.principals for way in fitting):
            return None
        return Deny(Code.TICKET_REQUIRED, "a ticket is needed")

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
        refusal = self._refusal(f"backend {name}", backend, asker)
        if refusal is not None:
            return refusal
        said = _preamble(backend, asker)
        if said is None:
            reason = f"backend {name}: WEBIRC says who the client is, and this one has no address"
            return Deny(Code.DENIED, reason, rule=Rule(f"backend {name}", "webirc_password"))
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
            preamble=said,
            bounds=Bounds.of(f"backend {name}", backend),
        )

    def _chosen(self, asker: Asker, target: HostTarget, answer: Deny) -> Allow | Deny:
        """Return the first section's leave, or the last one's reason; `answer` without any."""
        for name, access in self._access.items():
            listed = _rule(access.allow, target)
            if listed is None:
                continue
            refusal = self._refusal(f"access {name}", access, asker)
            if refusal is not None:
                answer = _untold(refusal.reason, refusal.rule)
                continue
            permitted = _permit(name, access, target, listed)
            if isinstance(permitted, Allow):
                return permitted
            answer = permitted
        return answer

    def _refusal(self, section: str, way: Way, asker: Asker) -> Deny | None:
        """Return why a section does not serve an asker, None where it does."""
        if not _serves_page(way, asker.origin, bearer=asker.is_bearer):
            text, key = self.origin_hint(asker.origin), "origins"
        elif way.principals and asker.principal is None:
            text, key = "a ticket is needed", "principals"
        elif way.principals and not {ANYBODY, asker.principal} & set(way.principals):
            text, key = f"not open to {asker.principal}", "principals"
        elif not _names_section(asker.ticket, section):
            text, key = f"the ticket of {asker.principal} is for other backends", "principals"
        else:
            return None
        return Deny(Code.DENIED, f"{section}: {text}", rule=Rule(section, key))


def _preamble(backend: Backend, asker: Asker) -> Preamble | None:
    """Return what a backend hears first, None where it would have to be a lie."""
    client, server = preamble.address(asker.peer), preamble.address(asker.server)
    clear = inside = b""
    if backend.proxy_protocol != "none":
        version, ports = backend.proxy_protocol, (asker.peer_port, asker.server_port)
        clear = preamble.proxy(version, client, ports[0], server, ports[1])
    if backend.webirc_password is not None:
        if client is None:
            return None
        password = backend.webirc_password.get_secret_value()
        inside = preamble.webirc(password, backend.webirc_gateway, client, secure=asker.secure)
    return Preamble(clear, inside)


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


def _serves_page(way: Way, origin: str | None, *, bearer: bool) -> bool:
    """Return whether a section serves pages of an origin; a bearer's needs none."""
    if origin is None:
        return way.allow_no_origin or (bearer and bool(way.principals))
    return origins.allowed(origin, way.origins)


def _names_section(ticket: Ticket | None, section: str) -> bool:
    """Return whether a ticket leaves its bearer a section, called by its name alone."""
    if ticket is None or ticket.backends is None:
        return True
    return section.partition(" ")[2] in ticket.backends
