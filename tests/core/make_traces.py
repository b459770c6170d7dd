"""What does the Python client say, step by step, in 300 sessions? (tests/vectors/traces.json)

Each trace is a random session of the Python client core against the Python server core: the
steps that the client took, what it received, and every message it gave (a long one as its
SHA-256). The JavaScript client takes the same steps and must give the same bytes.
`python -m tests.core.make_traces` writes the file again; the same core gives the same file.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from sockproxy.codes import Code, WelcomeTlv
from sockproxy.core import events, frames
from sockproxy.core.attach import ClientAttach, ServerAttach
from sockproxy.core.session import Role, Session, Windows
from sockproxy.core.stream import State

FILE = Path(__file__).parent.parent / "vectors" / "traces.json"
TRACES = 300
STEPS = (40, 80, 120)
BULK_STEPS = 700
TINY = Windows(stream=512, stream_max=2048, streams_total=4096, session=2048)
ROOMS = (64 * 1024, 64 * 1024, 700, 60)
SIZES = (1, 20, 63, 64, 300, 900)
BULK_SIZES = (1, 1500, 20_000)
EARLIEST_S = 1000.0
STREAMS = 12
QUEUED_BYTES = 40_000
LONG_BYTES = 256
LIVE = (State.OPENING, State.OPEN)


class Trace:
    """One client, the server it talks to, and the steps so far."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        # Now and then whole quanta and a full log, which tiny windows never see.
        self.bulk = seed % 100 == 0
        self.windows = Windows() if self.bulk else TINY
        # Now and then more streams than may open before WELCOME.
        self.burst = STREAMS if seed % 10 == 1 else 0
        self.now_s = EARLIEST_S
        self.secrets = [self.random.randbytes(16), self.random.randbytes(32)]
        drawn = iter(self.secrets)
        self.client = Session(Role.CLIENT, self.windows, lambda: self.now_s)
        self.attach = ClientAttach(self.client, lambda _: next(drawn))
        self.server = Session(Role.SERVER, self.windows, lambda: self.now_s)
        self.door = ServerAttach(self.server, self.attach.sid)
        self.held: dict[int, int] = {}
        self.steps: list[list[Any]] = []
        self.hello()

    def note(self, *step: Any) -> None:
        self.steps.append(list(step))

    # What the client does.

    def hello(self) -> None:
        self.link = self.attach.hello()
        self.server_pipes: Any = None
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self.note("hello")

    def open(self) -> None:
        if len(self.client.streams) < STREAMS:
            host, port = self.random.choice((("echo", 0), ("irc.example", 6667), ("ü", 65535)))
            self.note("open", host, port, self.client.open(host, port))

    def write(self) -> None:
        stream = self.some_sender()
        if stream is not None and self.client.queued(stream) < QUEUED_BYTES:
            size, byte = (
                self.random.choice(BULK_SIZES if self.bulk else SIZES),
                self.random.randrange(256),
            )
            self.client.write(stream, bytes([byte]) * size)
            self.note("write", stream, size, byte)

    def write_eof(self) -> None:
        stream = self.some_sender()
        if stream is not None:
            self.client.write_eof(stream)
            self.note("writeEof", stream)

    def some_sender(self) -> int | None:
        live = [s.id for s in self.client.streams.values() if s.up in LIVE and not s.eof]
        return self.random.choice(live) if live else None

    def reset(self) -> None:
        if self.client.streams:
            stream = self.random.choice(list(self.client.streams))
            text = "wörd " * self.random.choice((0, 1, 60))
            if self.client.reset(stream, Code.ABORTED, text):
                self.held.pop(stream, None)
            self.note("reset", stream, int(Code.ABORTED), text)

    def stop(self) -> None:
        if self.client.streams:
            stream = self.random.choice(list(self.client.streams))
            self.client.stop(stream)
            self.note("stop", stream)

    def consume(self) -> None:
        if self.held:
            stream = self.random.choice(list(self.held))
            count = self.random.randint(0, self.held[stream])
            self.held[stream] -= count
            self.client.consume(stream, count)
            self.note("consume", stream, count)

    def wait(self) -> None:
        self.now_s += self.random.choice((0.0, 0.01, 0.1, 0.3))
        self.note("clock", self.now_s)

    def speak(self) -> None:
        room = self.random.choice(ROOMS)
        message = self.client.next_message(self.link[1], room)
        long = len(message) > LONG_BYTES
        self.note("nextMessage", room, sha256(message).hexdigest() if long else message.hex())
        if message:
            self.up.append(message)

    def listen(self) -> None:
        if self.down:
            message = self.down.pop(0)
            self.note("receive", message.hex())
            for event in self.client.receive_message(self.link[0], message):
                self.felt(event)

    def felt(self, event: events.Event) -> None:
        if isinstance(event, events.DataReceived):
            self.held[event.stream] = self.held.get(event.stream, 0) + len(event.data)
        elif isinstance(event, events.StreamClosed):
            self.held.pop(event.stream, None)

    # What the server does.

    def serve(self) -> None:
        if self.up:
            message = self.up.pop(0)
            if self.server_pipes is None:
                message = self.welcome(message)
            for event in self.server.receive_message(self.server_pipes[0], message):
                self.answer(event)
        if self.server_pipes is not None:
            message = self.server.next_message(self.server_pipes[1])
            if message:
                self.down.append(message)

    def welcome(self, message: bytes) -> bytes:
        raw = frames.first(message, frames.MAX_CLIENT_DATA_BYTES)
        assert raw is not None
        hello = frames.parse(raw)
        assert isinstance(hello, frames.Hello)
        assert self.door.judge(hello) is None
        tlvs = {
            WelcomeTlv.STREAM_WINDOW: 16 * 1024,
            WelcomeTlv.SESSION_WINDOW_UP: 4 * 1024 * 1024 if self.bulk else 2048,
            WelcomeTlv.PING_MS: 25_000,
            WelcomeTlv.LINGER_S: 120,
        }
        self.server_pipes = self.door.admit(hello, self.random.randbytes(32), tlvs)
        return message[raw.size :]

    def answer(self, event: events.Event) -> None:
        """Echo, and end as the client ends."""
        match event:
            case events.OpenRequested():
                self.server.opened(event.stream, ("192.0.2.1", 7), ("", 0))
            case events.DataReceived():
                self.server.consume(event.stream, len(event.data))
                stream = self.server.streams[event.stream]
                echoes = not self.bulk or self.random.random() < 0.1
                if echoes and stream.sending in LIVE and not stream.eof:
                    self.server.write(event.stream, event.data)
            case events.EofReceived():
                self.server.write_eof(event.stream)
                self.server.finish(event.stream, Code.CLEAN)
            case events.ResetReceived():
                self.server.finish(event.stream, Code.ABORTED, event.text, abort=True)

    def run(self) -> dict[str, Any]:
        chances = {
            self.open: 6, self.write: 16, self.write_eof: 2, self.reset: 2, self.stop: 2,
            self.consume: 10, self.wait: 8, self.hello: 3, self.speak: 20, self.listen: 20,
            self.serve: 20,
        }  # fmt: skip
        acts, weights = list(chances), list(chances.values())
        for _ in range(self.burst):
            self.open()
        steps = BULK_STEPS if self.bulk else self.random.choice(STEPS)
        for act in self.random.choices(acts, weights, k=steps):
            act()
        windows = self.windows
        return {
            "windows": {
                "stream": windows.stream,
                "streamMax": windows.stream_max,
                "streamsTotal": windows.streams_total,
                "session": windows.session,
            },
            "clock": EARLIEST_S,
            "random": [drawn.hex() for drawn in self.secrets],
            "steps": self.steps,
            "end": [self.client.rx, self.client.log.base, self.client.log.next],
        }


def text() -> str:
    traces = [json.dumps(Trace(seed).run(), ensure_ascii=False) for seed in range(TRACES)]
    return "[\n" + ",\n".join(traces) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
