"""How does a test hold the two ends of a session, joined by one link?"""

from __future__ import annotations

import random
from typing import Any

from sockproxy.codes import WelcomeTlv
from sockproxy.core import frames
from sockproxy.core.attach import ClientAttach, ServerAttach
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.session import Role, Session, Windows

SMALL = Windows(16 * 1024, 64 * 1024, 256 * 1024, 256 * 1024)


class Ends:
    """A client, a server, and the newest link between them."""

    def __init__(self, windows: Windows = SMALL) -> None:
        self.now = 100.0
        self.client = Session(Role.CLIENT, windows, lambda: self.now)
        self.server = Session(Role.SERVER, windows, lambda: self.now)
        self.random = random.Random(5).randbytes
        self.attach = ClientAttach(self.client, self.random)
        self.gate = ServerAttach(self.server, self.attach.sid)
        self.up_events: list[Any] = []
        self.down_events: list[Any] = []
        self.client_in: Inbound
        self.client_out: Outbound
        self.server_in: Inbound
        self.server_out: Outbound

    def connect(self) -> None:
        """Start a link and carry everything on it."""
        self.hello()
        self.exchange()

    def hello(self) -> None:
        """Start a link up to the server's WELCOME, which stays under way."""
        self.client_in, self.client_out = self.attach.hello()
        message = self.client.next_message(self.client_out)
        raw = frames.first(message, frames.MAX_CLIENT_DATA_BYTES)
        assert raw is not None
        hello = frames.parse(raw)
        assert isinstance(hello, frames.Hello)
        assert self.gate.judge(hello) is None
        tlvs = {WelcomeTlv.STREAM_WINDOW: 16 * 1024, WelcomeTlv.LINGER_S: 120}
        self.server_in, self.server_out = self.gate.admit(hello, self.random(32), tlvs)
        self.up_events += self.server.receive_message(self.server_in, message[raw.size :])

    def exchange(self) -> None:
        """Carry messages both ways until nobody has any."""
        while True:
            down = self.server.next_message(self.server_out)
            if down:
                self.down_events += self.client.receive_message(self.client_in, down)
            up = self.client.next_message(self.client_out)
            if up:
                self.up_events += self.server.receive_message(self.server_in, up)
            if not up and not down:
                return

    def to_server(self, *said: frames.Frame | bytes) -> list[Any]:
        """Say to the server what no honest client would."""
        return self.server.receive_message(self.server_in, joined(said))

    def to_client(self, *said: frames.Frame | bytes) -> list[Any]:
        """Say to the client what no honest server would."""
        return self.client.receive_message(self.client_in, joined(said))

    def open(self, name: str = "irc") -> int:
        """Open a stream up to its OPENED."""
        stream = self.client.open(name, 0)
        self.exchange()
        self.server.opened(stream, (name, 1), ("", 0))
        self.exchange()
        return stream


def joined(said: tuple[frames.Frame | bytes, ...]) -> bytes:
    return b"".join(item if isinstance(item, bytes) else frames.encode(item) for item in said)


def heard(message: bytes) -> list[Any]:
    """Return the frames in a message; DATA as (stream, payload)."""
    return [
        (raw.stream, raw.body) if raw.kind == frames.DATA else frames.parse(raw)
        for raw in frames.Decoder(frames.MAX_SERVER_DATA_BYTES).feed(message)
    ]
