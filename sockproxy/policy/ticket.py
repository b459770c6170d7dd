"""Who is the page's user, and what may he use?

A ticket is a JWT (RFC 7519) that the application signs for its own user. Each key has one
algorithm of its own, whatever the ticket's header says, so that no public key can be taken
for a shared secret (RFC 8725 section 3.1). The times are the wall clock's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import jwt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sockproxy.codes import Code
from sockproxy.settings import TicketKey, Tickets

TICKET_MAX_BYTES = 4096
NAME_MAX_CHARACTERS = 128
ANYBODY = "*"

_NAME = re.compile(rf"[\x21-\x7e]{{1,{NAME_MAX_CHARACTERS}}}", re.ASCII)
_COMPACT = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}", re.ASCII)
# What is looked at here, by one clock and for one service, not by the library.
_SIGNATURE_ONLY: Any = {
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}
# The second of lists in lists, which older releases of the library let through.
_UNREAD = (jwt.InvalidTokenError, RecursionError)


class BadTicket(Exception):
    """Nobody is known by this; `text` is for the page, and never quotes the ticket."""

    def __init__(self, text: str, code: Code = Code.TICKET_REFUSED) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a page has shown: a principal, until when, and what of his rights it narrows.

    `good_for_s` counts from when it was shown. `bearer`: the page said it itself, no browser
    added it to the request of some other page.
    """

    principal: str
    good_for_s: float
    ticket_id: str = ""
    origins: tuple[str, ...] = ()
    backends: tuple[str, ...] | None = None
    streams: int | None = None
    byte_quota: int | None = None
    bearer: bool = True


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
_Time = Annotated[float, Field(allow_inf_nan=False)]


class Rights(BaseModel):
    """The claims that say who, and what of it; others are not ours and passed over."""

    model_config = ConfigDict(strict=True, frozen=True)

    sub: str
    jti: str = ""
    origin: Annotated[_Names, Field(strict=False)] = ()
    backends: Annotated[_Names, Field(strict=False)] | None = None
    streams: int | None = Field(default=None, ge=1)
    bytes: int | None = Field(default=None, ge=1)

    def ticket(self, good_for_s: float, *, bearer: bool) -> Ticket:
        """Return what these claims grant. Raises `BadTicket`."""
        for what, name in (("sub", self.sub), ("jti", self.jti)):
            if name and not _NAME.fullmatch(name):
                raise BadTicket(f"{what} is not 1 to {NAME_MAX_CHARACTERS} printable characters")
        if not self.sub or self.sub == ANYBODY:
            raise BadTicket("sub names nobody")
        return Ticket(
            principal=self.sub,
            good_for_s=good_for_s,
            ticket_id=self.jti,
            origins=self.origin,
            backends=self.backends,
            streams=self.streams,
            byte_quota=self.bytes,
            bearer=bearer,
        )


class _Claims(Rights):
    exp: _Time
    nbf: _Time | None = None
    aud: Annotated[_Names, Field(strict=False)]


Claimed = TypeVar("Claimed", bound=Rights)


def verify(shown: str, options: Tickets, now: float) -> Ticket:
    """Return what a ticket says, at `now` by the wall clock. Raises `BadTicket`."""
    key = _key(shown, options.keys)
    try:
        said = jwt.decode(
            shown,
            key.material.get_secret_value(),
            algorithms=[key.algorithm],
            options=_SIGNATURE_ONLY,
        )
    except jwt.InvalidSignatureError:
        raise BadTicket("the ticket's signature is wrong") from None
    except _UNREAD:
        raise BadTicket("the ticket cannot be read") from None
    claims = read(_Claims, said)
    if options.audience not in claims.aud:
        raise BadTicket(f"the ticket is not for {options.audience}, its aud names others")
    if options.single_use and not claims.jti:
        raise BadTicket("the ticket has no jti, and tickets are good for one session only")
    return claims.ticket(_good_for_s(claims, options, now), bearer=True)


def read(model: type[Claimed], said: Any) -> Claimed:
    """Return claims in their shape. Raises `BadTicket`, naming the first that has none."""
    try:
        return model.model_validate(said)
    except ValidationError as error:
        fault = error.errors()[0]
        claim = fault["loc"][0] if fault["loc"] else "claims"
        raise BadTicket(f"{claim}: {fault['msg'].lower()}") from None


def _good_for_s(claims: _Claims, options: Tickets, now: float) -> float:
    left_s = claims.exp + options.leeway - now
    if left_s <= 0:
        raise BadTicket(f"the ticket expired {now - claims.exp:.0f} s ago")
    if claims.nbf is not None and claims.nbf - options.leeway > now:
        raise BadTicket(f"the ticket is not good before {claims.nbf - now:.0f} s from now")
    if left_s > options.longest + options.leeway:
        text = f"the ticket is good for {left_s:.0f} s, above {options.longest:g} s"
        raise BadTicket(text)
    return left_s


def _key(shown: str, keys: tuple[TicketKey, ...]) -> TicketKey:
    """Return the key that a ticket names; the only one where it names none."""
    if len(shown) > TICKET_MAX_BYTES:
        raise BadTicket(f"a ticket of {len(shown)} bytes is above {TICKET_MAX_BYTES}")
    if not _COMPACT.fullmatch(shown):
        raise BadTicket("the ticket is no JWT in its compact form")
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(shown)
    except _UNREAD:
        raise BadTicket("the ticket's header cannot be read") from None
    kid = header.get("kid")
    if kid is None and len(keys) == 1:
        return keys[0]
    for key in keys:
        if key.kid == kid:
            return key
    raise BadTicket("the ticket names a key that is not known here")
