"""Does a probe give back what it was sent, so much and no more, and touch no session?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sockproxy.codes import Code
from sockproxy.core import events, frames
from sockproxy.front import Visitor
from sockproxy.links.probe import ECHO_MAX_BYTES, ECHOES, PROBE_WITHIN_S, Probe
from sockproxy.links.websocket import WebSocketLink
from sockproxy.refused import Refused
from tests.links.carriers import OverHttp, PlainSocket
from tests.memory import ORIGIN, Page, Server

HELLO = frames.encode(frames.Hello(1, frames.FLAG_PROBE, 0, 0, 0, b"", b""))
PING, PAD = frames.encode(frames.Ping(7)), frames.encode(frames.Pad(b"abc"))
PONG = frames.encode(frames.Pong(7, 0))


def pad_of(size: int) -> bytes:
    """Return a PAD that is `size` bytes long in all."""
    return frames.encode(frames.Pad(bytes(size - 3)))


def refusal(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


def test_a_ping_comes_back_as_pong_and_padding_as_it_was() -> None:
    probe = Probe()

    assert probe.answer(PING) == PONG
    assert probe.answer(PAD) == PAD
    assert probe.answer(PAD + PING + PAD) == PAD + PONG + PAD
    assert probe.answer(b"") == b""


@pytest.mark.parametrize(("said", "other"), [(PING, PAD), (PAD, PING)])
def test_four_of_each_and_no_more(said: bytes, other: bytes) -> None:
    probe = Probe()
    probe.answer(said * ECHOES)

    assert refusal(lambda: probe.answer(said)).code is Code.PROTOCOL
    assert probe.answer(other * ECHOES)
    assert ECHOES == 4


def test_4_kib_of_padding_come_back_and_not_a_byte_more() -> None:
    most = pad_of(ECHO_MAX_BYTES)
    assert len(most) == ECHO_MAX_BYTES == 4096

    assert Probe().answer(most) == most
    assert refusal(lambda: Probe().answer(pad_of(ECHO_MAX_BYTES + 1))).code is Code.TOO_BIG


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frames.encode(frames.Ack(0)), Code.PROTOCOL),
        (frames.encode(frames.At(0)), Code.PROTOCOL),
        (frames.encode(frames.Bye(0, "")), Code.PROTOCOL),
        (frames.encode(frames.Open(2, 0, 0, "irc")), Code.PROTOCOL),
        (frames.encode_data(2, b"x"), Code.PROTOCOL),
        (b"\x3e\x00", Code.PROTOCOL),
        (b"\x02\x03abc", Code.PROTOCOL),
        (PING[:-1], Code.PROTOCOL),
        (b"\x00\x80\x01\x00\x00", Code.TOO_BIG),
    ],
    ids=["ack", "at", "bye", "open", "data", "unknown", "two tokens", "cut", "huge"],
)
def test_nothing_else_is_said_to_a_probe(said: bytes, code: Code) -> None:
    assert refusal(lambda: Probe().answer(said)).code is code


def probing(server: Server, first: bytes = HELLO) -> tuple[WebSocketLink, PlainSocket]:
    link, socket = opened(server)
    link.message(first, text=False)
    return link, socket


def opened(server: Server, origin: str | None = ORIGIN) -> tuple[WebSocketLink, PlainSocket]:
    visitor = Visitor(origin, "gw.example", "192.0.2.1", ("sockproxy.v1",))
    link, socket = WebSocketLink(server.hub, visitor), PlainSocket()
    link.opened(socket)
    return link, socket


def first_message(page: Page) -> bytes:
    _, outbound = page.attach.hello()
    return page.core.next_message(outbound)


def test_a_probe_is_answered_and_makes_nothing() -> None:
    server = Server()
    link, socket = probing(server, HELLO + PING)
    link.message(PAD, text=False)

    assert socket.take() == [PONG, PAD]
    assert (len(server.hub), socket.ended) == (0, None)
    link.closed(1006, "")
    assert not server.reactor.getDelayedCalls()


def test_a_probe_of_another_version_is_told_so() -> None:
    other = frames.encode(frames.Hello(9, frames.FLAG_PROBE, 0, 0, 0, b"", b""))
    link, socket = probing(Server(), other)
    refuse = socket.frames()[0]
    assert (type(refuse), refuse.code) == (frames.Refuse, Code.VERSION)
    del link


def test_an_empty_message_is_not_answered() -> None:
    """Or there would be no end to what comes back."""
    link, socket = probing(Server())
    link.message(b"", text=False)

    assert socket.sent == []
    link.closed(1006, "")


def test_the_real_hello_follows_on_the_same_socket() -> None:
    server = Server()
    page = Page(server)
    page.core.open("irc", 0)
    link, socket = probing(server)
    server.reactor.advance(PROBE_WITHIN_S - 0.1)
    link.message(first_message(page), text=False)
    server.reactor.advance(PROBE_WITHIN_S)

    assert isinstance(socket.frames()[0], frames.Welcome)
    assert (len(server.hub), socket.ended) == (1, None)
    assert len(server.reactor.tcpClients) == 1


def test_no_real_hello_within_10_s_is_late() -> None:
    server = Server()
    link, socket = probing(server, HELLO + PING)
    server.reactor.advance(PROBE_WITHIN_S - 0.1)
    link.message(PING, text=False)
    assert socket.ended is None
    server.reactor.advance(0.1)

    assert socket.frames()[-1].code == Code.TIMEOUT
    assert socket.ended == 4000 + Code.TIMEOUT
    assert not server.reactor.getDelayedCalls()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (HELLO, Code.PROTOCOL),
        (PING * (ECHOES + 1), Code.PROTOCOL),
        (PAD * (ECHOES + 1), Code.PROTOCOL),
        (pad_of(ECHO_MAX_BYTES + 1), Code.TOO_BIG),
        (frames.encode(frames.Hello(1, 0, 1, 0, 0, bytes(16), bytes(32))), Code.SESSION_UNKNOWN),
    ],
    ids=["a second probe", "pings", "pads", "big", "no session"],
)
def test_a_probe_that_goes_too_far_is_refused_and_closed(said: bytes, code: Code) -> None:
    server = Server()
    link, socket = probing(server)
    link.message(said, text=False)

    assert socket.frames()[-1].code == code
    assert socket.ended == 4000 + code
    assert len(server.hub) == 0
    assert not server.reactor.getDelayedCalls()


def test_a_probe_whose_first_message_goes_too_far_is_refused() -> None:
    server = Server()
    _, socket = probing(server, HELLO + PING * (ECHOES + 1))

    assert [frame.code for frame in socket.frames()] == [Code.PROTOCOL]
    assert not server.reactor.getDelayedCalls()


def test_text_during_a_probe_is_refused() -> None:
    link, socket = probing(Server())
    link.message(b"text", text=True)

    assert socket.frames()[-1].code == Code.PROTOCOL


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_a_foreign_page_probes_nothing(origin: str | None) -> None:
    server = Server()
    link, socket = opened(server, origin)
    link.message(HELLO + PING, text=False)

    assert [frame.code for frame in socket.frames()] == [Code.ORIGIN]
    assert socket.ended == 4000 + Code.ORIGIN
    assert not server.reactor.getDelayedCalls()


def test_the_session_goes_on_elsewhere_until_it_is_moved() -> None:
    server = Server()
    page = Page(server)
    way = OverHttp(server, page)
    stream = page.core.open("irc", 0)
    way.connect()
    backend = server.backend()
    way.exchange()
    link, socket = probing(server, HELLO + PING)
    page.core.write(stream, b"said during the probe")
    backend.protocol.dataReceived(b"heard during the probe")
    way.exchange()

    assert backend.value() == b"said during the probe"
    assert page.of(events.DataReceived)[-1].data == b"heard during the probe"
    assert page.attach.link == 1

    link.message(first_message(page), text=False)
    assert isinstance(socket.frames()[-1], frames.Welcome | frames.Ping)
    assert way.down is not None
    assert way.down.frames()[-1].code == Code.SUPERSEDED
