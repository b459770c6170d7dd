"""What does an honest client say, from its first byte to its last?

A conversation is made of *pieces*: a head, a WebSocket frame, a frame of ours. They are what
`mutations` takes apart; all that is drawn comes from the generator that is passed in, so that
the same seed says the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from sockproxy.codes import Code, HelloTlv, Mode
from sockproxy.core import frames, varint
from tests.loopback import head, masked

ORIGIN = "Origin: https://app.example"
NATIVE = "Sec-WebSocket-Protocol: sockproxy.v1"
HOSTS = ("echo", "text", "refused", "unknown", "127.0.0.1", "::1", "a.example")
CREDIT_BYTES = 64 * 1024
# A code that a server does not know is none of its business.
CODES = (Code.ABORTED, Code.CLEAN, 63, 2**30)
SIZES = (1, 2, 63, 64, 126, 1000, 16_383, 16_384)

Pieces = list[bytes]
# What is done to the pieces of an inner layer before the next one wraps them.
Change = Callable[[Pieces], Pieces]


def unchanged(pieces: Pieces) -> Pieces:
    return pieces


# HTTP.


def post(path: str, body: bytes, *lines: str) -> bytes:
    """Return what a page posts."""
    first = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", ORIGIN, f"Content-Length: {len(body)}")
    return "\r\n".join([*first, *lines, "", ""]).encode() + body


def asked(draw: Random, change: Change) -> list[Pieces]:
    """Return a conversation of requests that carry nothing."""
    hosts = ("127.0.0.1", "localhost:80", "[::1]", "gw.example")
    paths = ("/", "/sockproxy.js", "/sp/_/ws", "/raw/echo", "/no/such?a=b", "/%2e%2e/")
    more = ("Cookie: a=b; c=d", "Accept: */*", "X-Forwarded-For: 192.0.2.1, ::1", "TE: trailers")
    pieces: Pieces = []
    for _ in range(draw.randint(1, 4)):
        lines = [f"GET {draw.choice(paths)} HTTP/1.{draw.choice('0111')}"]
        lines += [f"Host: {draw.choice(hosts)}", *draw.sample(more, draw.randint(0, 4))]
        pieces += [f"{line}\r\n".encode() for line in lines]
        pieces.append(b"\r\n")
    return [pieces]


def posted(draw: Random, change: Change) -> list[Pieces]:
    """Return a session over HTTP: a DOWN that attaches, then UPs, on one connection or two."""
    talk = Talk.drawn(draw)
    mode = varint.encode(draw.choice((Mode.STREAM, Mode.POLL, Mode.BRIEF)))
    hello = replace(talk.hello, request=1, tlvs={HelloTlv.MODE: mode})
    early = talk.said(draw.randint(0, 4))
    downs = [post("/sp/_/down", b"".join(change([frames.encode(hello), *early])))]
    ups = []
    for number in range(1, draw.randint(2, 5)):
        said = [frames.encode(frames.At(talk.offset)), *talk.said(draw.randint(1, 6))]
        short = frames.encode(replace(talk.hello, flags=0, request=number))
        ups.append(post("/sp/_/up", b"".join(change([short, *said]))))
    again = frames.encode(replace(hello, flags=0, request=2))
    downs.append(post("/sp/_/down", again))
    return [downs, ups]


# WebSockets.


def raw(draw: Random, change: Change) -> list[Pieces]:
    """Return a WebSocket that is one TCP stream."""
    path = draw.choice(("/raw/echo", "/raw/text", "/raw/refused"))
    protocols = draw.choice(((), ("Sec-WebSocket-Protocol: binary, base64",)))
    pieces = [head(path, ORIGIN, *protocols)]
    for _ in range(draw.randint(1, 12)):
        pieces += _message(draw, draw.choice((1, 2)), _text(draw))
        if draw.random() < 0.3:
            control = draw.choice((9, 10))
            pieces.append(masked(control, draw.randbytes(draw.randint(0, 125)), key=_key(draw)))
    if draw.random() < 0.5:
        pieces.append(masked(8, (1000).to_bytes(2, "big") + b"done", key=_key(draw)))
    return [pieces]


def native(draw: Random, change: Change) -> list[Pieces]:
    """Return a session over a WebSocket: HELLO, and what goes on then."""
    talk = Talk.drawn(draw)
    said = [frames.encode(talk.hello), *talk.said(draw.randint(1, 40))]
    return [_websocket(draw, change(said))]


def resumed(draw: Random, change: Change) -> list[Pieces]:
    """Return a session whose first link is lost before WELCOME is heard, and its next link."""
    talk = Talk.drawn(draw)
    first = [frames.encode(talk.hello), *talk.said(draw.randint(1, 10))]
    link = frames.encode(replace(talk.hello, link=2))
    # The page cannot know what arrived: it says all again, from the beginning.
    second = [link, frames.encode(frames.At(0)), *talk.numbered, *talk.said(draw.randint(1, 20))]
    return [_websocket(draw, change(first)), _websocket(draw, change(second))]


def probed(draw: Random, change: Change) -> list[Pieces]:
    """Return a WebSocket that is only looked at, and then maybe used."""
    talk = Talk.drawn(draw)
    hello = replace(talk.hello, flags=frames.FLAG_PROBE)
    said = [frames.encode(hello), frames.encode(frames.Ping(7)), frames.encode(frames.Pad(b"ab"))]
    if draw.random() < 0.5:
        said += [frames.encode(talk.hello), *talk.said(draw.randint(1, 9))]
    return [_websocket(draw, change(said), most=1)]


KINDS: tuple[Callable[[Random, Change], list[Pieces]], ...] = (
    asked,
    posted,
    raw,
    native,
    resumed,
    probed,
)


def _websocket(draw: Random, said: Pieces, most: int = 5) -> Pieces:
    """Return an upgrade and messages that each hold some of the frames."""
    pieces, at = [head("/sp/_/ws", ORIGIN, NATIVE)], 0
    while at < len(said):
        end = at + draw.randint(1, most)
        pieces += _message(draw, 2, b"".join(said[at:end]))
        at = end
    return pieces


def _message(draw: Random, opcode: int, payload: bytes) -> Iterator[bytes]:
    """Yield a message in one frame or some."""
    parts = 1 if draw.random() < 0.8 else draw.randint(2, 5)
    cuts = sorted(draw.randint(0, len(payload)) for _ in range(parts - 1))
    for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True):
        final = end == len(payload) and start == ([0, *cuts])[-1]
        yield masked(opcode, payload[start:end], final=final, key=_key(draw))
        if final:
            return
        opcode = 0


def _text(draw: Random) -> bytes:
    return ("größe" * draw.randint(0, 300)).encode() if draw.random() < 0.7 else b"a"


def _key(draw: Random) -> bytes:
    return draw.randbytes(3) + b"k"


# Our protocol.


@dataclass(slots=True)
class Talk:
    """A page's side of one session, as far as it goes without listening."""

    draw: Random
    hello: frames.Hello
    numbered: Pieces
    sent: dict[int, int]
    next_id: int = 2

    @classmethod
    def drawn(cls, draw: Random) -> Talk:
        sid, secret = draw.randbytes(frames.SID_BYTES), draw.randbytes(frames.SECRET_BYTES)
        return cls(draw, frames.Hello(1, frames.FLAG_CREATE, 1, 0, 0, sid, secret), [], {})

    @property
    def offset(self) -> int:
        return sum(map(len, self.numbered))

    def said(self, count: int) -> Pieces:
        """Return so many frames that the session is ready for."""
        pieces = []
        for _ in range(count):
            piece, is_numbered = self._any()
            pieces.append(piece)
            if is_numbered:
                self.numbered.append(piece)
        return pieces

    def _any(self) -> tuple[bytes, bool]:
        draw = self.draw
        if not self.sent or (len(self.sent) < 20 and draw.random() < 0.2):
            return self._open(), True
        if draw.random() < 0.25:
            return self._link_local(), False
        stream = draw.choice(list(self.sent))
        left = CREDIT_BYTES - self.sent[stream]
        if left and draw.random() < 0.6:
            payload = draw.randbytes(min(left, draw.choice(SIZES)))
            self.sent[stream] += len(payload)
            return frames.encode_data(stream, payload), True
        kinds = (
            lambda: frames.encode(frames.Window(stream, draw.choice((0, 70_000, 2**40)))),
            lambda: self._last(stream, frames.Eof(stream, self.sent[stream])),
            lambda: self._last(stream, frames.Reset(stream, draw.choice(CODES), "enough")),
            lambda: frames.encode(frames.Stop(stream)),
            lambda: bytes((0x40 + draw.randint(0, 60), 3)) + draw.randbytes(3),
        )
        return draw.choices(kinds, (4, 1, 1, 1, 1))[0](), True

    def _last(self, stream: int, frame: frames.Frame) -> bytes:
        del self.sent[stream]
        return frames.encode(frame)

    def _open(self) -> bytes:
        stream, self.next_id = self.next_id, self.next_id + 2
        self.sent[stream] = 0
        host = "echo" if self.draw.random() < 0.6 else self.draw.choice(HOSTS)
        port = 0 if host.isalpha() else self.draw.choice((0, 1, 80, 65_535))
        return frames.encode(frames.Open(stream, self.draw.choice((0, 65_536)), port, host))

    def _link_local(self) -> bytes:
        draw = self.draw
        kinds: tuple[frames.Frame, ...] = (
            frames.Pad(draw.randbytes(draw.randint(0, 40))),
            frames.Ack(0),
            frames.Ping(draw.randint(0, 2**30)),
            frames.Pong(draw.randint(0, 2**30), 0),
            frames.At(self.offset),
            frames.Auth("a.b.c"),
        )
        return frames.encode(draw.choice(kinds))
