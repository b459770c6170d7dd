"""Is a visitor read only from what two parsers cannot read in two ways?"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.http import Request
from twisted.web.test.requesthelper import DummyChannel

from sockproxy.front import Visitor, one_header, visitor
from sockproxy.head import BadHead
from sockproxy.policy.access import Asker


def request(
    *lines: tuple[str, bytes], peer: Any = None, at: Any = None, tls: bool = False
) -> Request:
    channel: Any = DummyChannel()
    channel.isSecure = lambda: tls
    made = Request(channel, False)
    made.client = peer or IPv4Address("TCP", "192.0.2.1", 50_000)
    made.host = at or IPv4Address("TCP", "198.51.100.1", 8080)
    for name, value in (("Host", b"gw.example"), *lines):
        made.requestHeaders.addRawHeader(name.encode(), value)
    return made


def test_a_visitor_is_what_the_head_says() -> None:
    found = visitor(
        request(
            ("Origin", b"https://app.example"),
            ("Sec-WebSocket-Protocol", b"binary, mqtt"),
            ("Sec-WebSocket-Protocol", b"irc"),
            ("X-Forwarded-For", b"198.51.100.1"),
        )
    )

    assert found == Visitor(
        origin="https://app.example",
        host="gw.example",
        peer="192.0.2.1",
        offered=("binary", "mqtt", "irc"),
        peer_port=50_000,
        server="198.51.100.1",
        server_port=8080,
    )


def test_an_origin_is_as_long_as_a_name_may_be() -> None:
    longest = b"https://" + b"a" * 292
    assert visitor(request(("Origin", longest))).origin == longest.decode()
    with pytest.raises(BadHead, match="an Origin of 301 bytes is above 300"):
        visitor(request(("Origin", longest + b"a")))


def test_what_is_not_there_is_none() -> None:
    made = request(peer=UNIXAddress("/run/gw.sock"), at=UNIXAddress("/run/gw.sock"))

    assert visitor(made) == Visitor(None, "gw.example", "unix", ())


def test_a_visitor_is_secure_only_where_nobody_stands_between() -> None:
    direct = IPv4Address("TCP", "192.0.2.1", 50_000)
    behind = IPv4Address("TCP", "192.0.2.1", 0)
    found = {
        (peer.port, tls): visitor(request(peer=peer, tls=tls)).secure
        for peer in (direct, behind)
        for tls in (True, False)
    }

    assert [case for case, secure in found.items() if secure] == [(50_000, True)]


def test_a_visitor_asks_with_all_that_is_known_of_it() -> None:
    known = Visitor(
        "https://a.example", "gw.example", "192.0.2.1", (), "", (), 1, "192.0.2.2", 2, True
    )

    asked = Asker("https://a.example", None, "192.0.2.1", 1, "192.0.2.2", 2, secure=True)
    assert known.asker() == asked


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        (IPv6Address("TCP", "2001:db8::1", 50_000), "2001:db8::1"),
        (UNIXAddress("/run/gw.sock"), "unix"),
    ],
)
def test_a_peer_is_an_address_or_the_unix_socket(peer: Any, shown: str) -> None:
    assert visitor(request(peer=peer)).peer == shown


@pytest.mark.parametrize("host", [b"gw.example:8080", b"GW.example", b"127.0.0.1", b"[::1]:8080"])
def test_a_host_may_have_a_port(host: bytes) -> None:
    made = request()
    made.requestHeaders.setRawHeaders(b"Host", [host])

    assert visitor(made).host == host.decode()


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b"gw.example", b"gw.example"],
        [b""],
        [b"a b"],
        [b"gw.example:port"],
        [b"gw.example/path"],
        [b"user@gw.example"],
        [b"[::1"],
        [b"gw.example\x0b"],
    ],
)
def test_exactly_one_valid_host_is_needed(hosts: list[bytes]) -> None:
    made = request()
    made.requestHeaders.setRawHeaders(b"Host", hosts)

    with pytest.raises(BadHead) as bad:
        visitor(made)
    assert bad.value.status == 400


@pytest.mark.parametrize("odd", [b"\x00", b"\x0b", b"\x0c", b"\x1c", b"\x1e", b"\x7f", b"\x85"])
@pytest.mark.parametrize("name", ["Origin", "Sec-WebSocket-Protocol"])
def test_a_byte_that_another_parser_may_split_at_is_refused(name: str, odd: bytes) -> None:
    with pytest.raises(BadHead) as bad:
        visitor(request((name, b"https://app.example" + odd + b"Origin: https://evil.example")))

    assert bad.value.text == f"{name.lower()} holds a byte outside 20..7e"


def test_a_second_origin_is_refused_even_if_it_is_the_same() -> None:
    twice = ("Origin", b"https://app.example")

    with pytest.raises(BadHead, match="origin stands 2 times"):
        visitor(request(twice, twice))


@pytest.mark.parametrize("offered", [b"", b"a,,b", b"a b", b"a/b", b'"a"'])
def test_an_offered_subprotocol_is_a_token(offered: bytes) -> None:
    with pytest.raises(BadHead, match="is no token"):
        visitor(request(("Sec-WebSocket-Protocol", offered)))


def test_a_header_that_is_not_read_may_hold_what_it_likes() -> None:
    made = request(("Cookie", b"name=\xc3\xa9\x85"))

    assert visitor(made).origin is None
    assert one_header(made, "x-missing") is None


def test_a_ticket_among_the_subprotocols_is_none_of_them() -> None:
    found = visitor(request(("Sec-WebSocket-Protocol", b"binary, ticket.a.b.c, mqtt")))

    assert (found.offered, found.ticket) == (("binary", "mqtt"), "a.b.c")
    assert "a.b.c" not in repr(found)


def test_two_tickets_are_one_too_many() -> None:
    with pytest.raises(BadHead, match="2 tickets, one is enough"):
        visitor(request(("Sec-WebSocket-Protocol", b"ticket.a, ticket.b")))


def test_a_subprotocol_that_is_none_is_not_repeated() -> None:
    with pytest.raises(BadHead, match="subprotocol 2 is no token"):
        visitor(request(("Sec-WebSocket-Protocol", b"binary, ticket.secret/x")))


def test_cookies_that_can_be_handed_on_are_kept_in_order() -> None:
    found = visitor(
        request(
            ("Cookie", b"a=1; b=2=3;c; =4; \tbad=x\x09y; a=5"),
            ("Cookie", b"d=\xff; e=6"),
        )
    )

    assert found.cookies == (("a", "1"), ("b", "2=3"), ("", "4"), ("a", "5"), ("e", "6"))
    assert "2=3" not in repr(found)
