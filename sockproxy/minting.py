"""How is a ticket minted, and what does one say? `python -m sockproxy ticket mint|inspect`.

For trying things out and for scripts: an application mints its own, with any JWT library
(docs/tickets.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import jwt

from sockproxy import ini, secret
from sockproxy.policy import origin
from sockproxy.policy.ticket import TICKET_MAX_BYTES, BadTicket, verify
from sockproxy.settings import Limits, Settings, TicketKey, Tickets
from sockproxy.values import convert

TICKET_ID_BYTES = 16


class CannotMint(Exception):
    """Says what is missing."""


def options(parser: argparse.ArgumentParser) -> None:
    """Declare what `ticket` takes."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    mint = verbs.add_parser("mint", help="print a ticket that the file's keys accept")
    inspect = verbs.add_parser("inspect", help="read a ticket from standard input, say what it is")
    for verb in (mint, inspect):
        verb.add_argument(
            "--config", default="proxy.ini", metavar="FILE", help="the file with [tickets]"
        )
    mint.add_argument("principal", help="who the user is: sub")
    mint.add_argument("--kid", help="which of the file's keys signs; the first one unless said")
    mint.add_argument(
        "--private-key", metavar="file:PATH", help="the private half of an EdDSA key, in PEM"
    )
    mint.add_argument("--good-for", default="60s", metavar="TIME", help="60s unless said")
    mint.add_argument("--origin", action="append", help="for pages of this origin only")
    mint.add_argument("--backend", action="append", help="for this section only")
    mint.add_argument("--streams", type=int, help="how many at once")
    mint.add_argument("--bytes", metavar="SIZE", help="how much in all, such as 10MiB")


def run(chosen: argparse.Namespace, now: float, random: Callable[[int], bytes]) -> int:
    """Do what was asked for, at `now` by the wall clock, and return the exit status."""
    try:
        settings = ini.load(chosen.config)
        tickets = settings.tickets
        if not tickets.keys:
            raise CannotMint(f"{chosen.config} has no [tickets] keys")
        if chosen.verb == "inspect":
            return _inspect(sys.stdin.read(TICKET_MAX_BYTES + 1).strip(), tickets, now)
        _check(chosen, settings)
        print(_mint(chosen, tickets, now, random))
    except (ini.SettingsError, CannotMint, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _check(chosen: argparse.Namespace, settings: Settings) -> None:
    """Raise `CannotMint` for what no page could have, by this file or by any."""
    for section in chosen.backend or ():
        if section not in settings.backends and section not in settings.access:
            raise CannotMint(f"{chosen.config} has no [backend {section}] or [access {section}]")
    for page in chosen.origin or ():
        complaint = origin.problem(page)
        if complaint or "*" in page:
            raise CannotMint(f"--origin {page}: {complaint or 'name one page'}")


def _mint(
    chosen: argparse.Namespace, tickets: Tickets, now: float, random: Callable[[int], bytes]
) -> str:
    """Return a ticket. Raises `CannotMint`, or `ValueError` for what cannot be read."""
    key = _key(chosen.kid, tickets.keys)
    claims = {
        "sub": chosen.principal,
        "aud": tickets.audience,
        "exp": int(now + convert(Tickets, "longest", chosen.good_for)),
        "jti": random(TICKET_ID_BYTES).hex(),
        "origin": chosen.origin,
        "backends": chosen.backend,
        "streams": chosen.streams,
        "bytes": chosen.bytes and convert(Limits, "max_post", chosen.bytes),
    }
    said = {name: value for name, value in claims.items() if value is not None}
    try:
        shown = jwt.encode(said, _signing(key, chosen), key.algorithm, headers={"kid": key.kid})
        verify(shown, tickets, now)
    except (jwt.InvalidKeyError, BadTicket) as error:
        raise CannotMint(f"the file would refuse it: {error}") from None
    return shown


def _key(kid: str | None, keys: tuple[TicketKey, ...]) -> TicketKey:
    for key in keys:
        if kid in (None, key.kid):
            return key
    raise CannotMint(f"no key {kid}; there are {', '.join(key.kid for key in keys)}")


def _signing(key: TicketKey, chosen: argparse.Namespace) -> bytes:
    if key.algorithm == "HS256":
        return key.material.get_secret_value()
    if chosen.private_key is None:
        raise CannotMint(f"key {key.kid} is public; add --private-key file:PATH")
    return secret.read(chosen.private_key).get_secret_value()


def _inspect(shown: str, tickets: Tickets, now: float) -> int:
    """Print what a ticket says, and whether it is good."""
    try:
        header: dict[str, Any] = jwt.get_unverified_header(shown)
        claims = jwt.decode(shown, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        print("no ticket: three parts in base64, with points between", file=sys.stderr)
        return 1
    print(json.dumps({"header": header, "claims": claims}, indent=2, sort_keys=True))
    try:
        ticket = verify(shown, tickets, now)
    except BadTicket as bad:
        print(f"refused: {bad.text}")
        return 1
    print(f"good for {ticket.good_for_s:.0f} s, leeway included")
    return 0
