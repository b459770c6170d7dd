"""Is a ticket good only for whom it names, by the key that it names, as long as it says?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.codes import Code
from sockproxy.policy.ticket import TICKET_MAX_BYTES, BadTicket, Ticket, verify
from sockproxy.settings import Tickets
from tests.tickets import NEW, NOW, OLD, OPTIONS, PRIVATE, PUBLIC, SHARED, claims, mint


def refusal(ticket: str, options: Tickets = OPTIONS, now: float = NOW) -> str:
    with pytest.raises(BadTicket) as caught:
        verify(ticket, options, now)
    assert caught.value.code is Code.TICKET_REFUSED
    return caught.value.text


def test_a_ticket_says_who_and_what_of_his_rights() -> None:
    ticket = mint(origin="https://app.example", backends=["irc"], streams=2, bytes=1000)

    assert verify(ticket, OPTIONS, NOW) == Ticket(
        principal="alice",
        good_for_s=65.0,
        ticket_id="one",
        origins=("https://app.example",),
        backends=("irc",),
        streams=2,
        byte_quota=1000,
    )


def test_a_ticket_may_be_signed_by_any_of_the_keys() -> None:
    by_new = mint(kid="new", key=PRIVATE, alg="EdDSA")

    assert verify(by_new, OPTIONS, NOW).principal == "alice"
    assert verify(mint(), OPTIONS, NOW).principal == "alice"


def test_the_only_key_need_not_be_named() -> None:
    alone = Tickets(keys=(OLD,))

    assert verify(mint(kid=None), alone, NOW).principal == "alice"
    assert refusal(mint(kid=None)) == "the ticket names a key that is not known here"


def test_a_key_that_was_taken_out_opens_nothing() -> None:
    assert refusal(mint(kid="old"), Tickets(keys=(NEW,))) == (
        "the ticket names a key that is not known here"
    )


def unsigned(header: dict[str, Any], signature: str = "AA") -> str:
    parts = [json.dumps(part).encode() for part in (header, claims())]
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, signature])


def test_a_public_key_is_no_shared_secret() -> None:
    head = unsigned({"alg": "HS256", "kid": "new"}).rpartition(".")[0]
    mac = hmac.new(PUBLIC, head.encode(), hashlib.sha256).digest()
    forged = f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    assert refusal(forged) == "the ticket cannot be read"


@pytest.mark.parametrize("alg", ["none", "None", "HS512", "RS256", "ES256", ""])
def test_a_ticket_does_not_choose_its_algorithm(alg: str) -> None:
    assert refusal(unsigned({"alg": alg, "kid": "old"})) == "the ticket cannot be read"


def test_a_wrong_signature_says_so() -> None:
    assert refusal(mint(key=b"x" * 32)) == "the ticket's signature is wrong"
    assert refusal(mint(kid="old", key=PRIVATE, alg="EdDSA")) == "the ticket cannot be read"


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c.d", "a.b.c ", "\u00e4.b.c", "..", "e30.e30.", "!.e30.AA"]
)
def test_what_is_no_jwt_is_no_ticket(text: str) -> None:
    assert refusal(text) == "the ticket is no JWT in its compact form"


# A head of lists in lists, deeper than anybody counts.
DEEP = f"{base64.urlsafe_b64encode(b'[' * 3000).decode()}.e30.AA"


@pytest.mark.parametrize("text", ["a.b.c", "e30.e30.AA", "AAAA.AAAA.AAAA", "W10.e30.AA", DEEP])
def test_what_has_no_sound_header_is_no_ticket(text: str) -> None:
    assert refusal(text) in (
        "the ticket's header cannot be read",
        "the ticket names a key that is not known here",
    )


def test_a_long_ticket_is_not_looked_into() -> None:
    assert refusal("a" * 5000) == f"a ticket of 5000 bytes is above {TICKET_MAX_BYTES}"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"exp": NOW - 6}, "the ticket expired 6 s ago"),
        ({"nbf": NOW + 10}, "the ticket is not good before 10 s from now"),
        ({"exp": NOW + 4000}, "the ticket is good for 4005 s, above 3600 s"),
        ({"aud": "shop"}, "the ticket is not for sockproxy, its aud names others"),
        ({"aud": ["shop", "sockproxyx"]}, "the ticket is not for sockproxy, its aud names others"),
        ({"jti": None}, "the ticket has no jti, and tickets are good for one session only"),
        ({"sub": "*"}, "sub names nobody"),
        ({"sub": ""}, "sub names nobody"),
        ({"sub": "a b"}, "sub is not 1 to 128 printable characters"),
        ({"sub": "a" * 129}, "sub is not 1 to 128 printable characters"),
        ({"sub": "a\nb"}, "sub is not 1 to 128 printable characters"),
        ({"jti": "\x1b[2J"}, "jti is not 1 to 128 printable characters"),
        ({"sub": None}, "sub: field required"),
        ({"exp": None}, "exp: field required"),
        ({"aud": None}, "aud: field required"),
        ({"sub": 7}, "sub: input should be a valid string"),
        ({"exp": "soon"}, "exp: input should be a valid number"),
        ({"exp": True}, "exp: input should be a valid number"),
        ({"streams": 0}, "streams: input should be greater than or equal to 1"),
        ({"bytes": -1}, "bytes: input should be greater than or equal to 1"),
        ({"backends": [1]}, "backends: input should be a valid string"),
        ({"backends": {"irc": 1}}, "backends: input should be a valid tuple"),
    ],
)
def test_a_claim_that_is_not_sound_is_named(more: dict[str, Any], text: str) -> None:
    assert refusal(mint(**more)) == text


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN"])
def test_a_ticket_ends(number: str) -> None:
    body = json.dumps(claims()).replace(str(NOW + 60), number)
    ticket = jwt.PyJWS().encode(body.encode(), SHARED, "HS256", {"kid": "old"})

    assert refusal(ticket) == "exp: input should be a finite number"


def test_clocks_may_differ_by_the_leeway() -> None:
    assert verify(mint(exp=NOW - 4), OPTIONS, NOW).good_for_s == 1.0
    assert verify(mint(nbf=NOW + 5), OPTIONS, NOW).principal == "alice"


def test_no_jti_is_needed_where_tickets_may_be_used_again() -> None:
    again = Tickets(keys=(OLD,), single_use=False)

    assert verify(mint(jti=None), again, NOW).ticket_id == ""


def test_one_backend_need_not_stand_in_a_list_and_other_claims_are_passed_over() -> None:
    ticket = verify(mint(backends="irc", name="Alice", iss="shop", iat=NOW - 5), OPTIONS, NOW)

    assert ticket.backends == ("irc",)


@given(st.data())
def test_no_changed_ticket_is_good(data: st.DataObject) -> None:
    sound = mint()
    at = data.draw(st.integers(0, len(sound) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    letter = data.draw(st.sampled_from(alphabet))
    changed = sound[:at] + letter + sound[at + 1 :]

    # The last letter of base64 holds bits that say nothing.
    if changed == sound or at == len(sound) - 1:
        return
    refusal(changed)


@given(st.text(max_size=200))
def test_any_text_is_a_ticket_or_none(text: str) -> None:
    refusal(text)
