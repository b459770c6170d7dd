"""What does the Python client say over HTTP, step by step? (tests/vectors/posts.json)

As `make_traces`, in 100 sessions, but each link is a run of requests: bodies are lost, cut and
said again. `python -m tests.core.make_posts` writes the file again; the same core gives the
same file.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from sockproxy.codes import Code, HelloTlv, Mode
from sockproxy.core import frames, varint
from sockproxy.core.pipe import Inbound, Outbound
from tests.core.make_traces import LONG_BYTES, ROOMS, Trace

FILE = Path(__file__).parent.parent / "vectors" / "posts.json"
TRACES = 100
MODES = (Mode.STREAM, Mode.POLL, Mode.BRIEF)
LOSS = 0.1


class Posts(Trace):
    """One client over HTTP, and the server it talks to."""

    def hello(self) -> None:
        """Attach by a DOWN; its answer may be lost."""
        self.ups, self.downs = 0, 1
        self.welcomed = False
        self.answer_bytes = b""
        mode = self.random.choice(MODES)
        self.link = self.attach.hello(1, {HelloTlv.MODE: varint.encode(mode)})
        room = self.random.choice(ROOMS)
        body = self.client.next_message(self.link[1], room)
        self.note("attach", int(mode), room, shown(body))
        self.server_pipes: Any = None
        if self.random.random() < LOSS:
            return
        rest = self.welcome(body)
        self.take(rest)
        self.serve()

    def take(self, body: bytes) -> None:
        inbound = Inbound(frames.MAX_CLIENT_DATA_BYTES)
        for event in self.server.receive(inbound, body):
            self.answer(event)

    def serve(self) -> None:
        """The server says more on the DOWN that waits."""
        if self.server_pipes is not None:
            self.answer_bytes += self.server.next_message(self.server_pipes[1])

    def listen(self) -> None:
        """The client hears the answer to its DOWN, whole or cut, and asks on."""
        if not self.answer_bytes:
            return
        body, self.answer_bytes = self.answer_bytes, b""
        if self.random.random() < LOSS:
            body = body[: self.random.randrange(1, len(body) + 1)]
        self.note("heard", body.hex())
        for event in self.client.receive(self.link[0], body):
            self.felt(event)
        self.welcomed = not self.link[0].welcome_due
        if self.welcomed:
            self.ask_on()

    def ask_on(self) -> None:
        self.downs += 1
        mode = self.random.choice(MODES)
        body = self.attach.short(self.downs, {HelloTlv.MODE: varint.encode(mode)})
        self.client.acked()
        self.link = (Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_DOWN), self.link[1])
        self.note("down", self.downs, int(mode), shown(body))
        hello = self.hello_of(body)
        assert self.door.judge_request(hello) is None
        out = self.door.go_on(hello)
        self.server_pipes = (None, out)
        self.answer_bytes = frames.encode(frames.At(hello.rx))

    def speak(self) -> None:
        """The client says an UP; it, or its answer, may be lost."""
        if not self.welcomed:
            return
        self.ups += 1
        room = self.random.choice(ROOMS)
        rest = self.client.next_message(Outbound(None, self.client.log.first), room)
        body = self.attach.short(self.ups) + rest
        self.note("up", self.ups, room, shown(body))
        if self.random.random() < LOSS:
            return
        hello = self.hello_of(body)
        self.server.log.acknowledge(hello.rx)
        size = len(self.attach.short(self.ups))
        self.take(body[size:])
        reply = self.server.reply()
        if self.random.random() < LOSS:
            return
        self.note("reply", reply.hex())
        inbound = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_REPLY)
        for event in self.client.receive(inbound, reply):
            self.felt(event)

    def hello_of(self, body: bytes) -> frames.Hello:
        raw = frames.first(body, frames.MAX_CLIENT_DATA_BYTES)
        assert raw is not None
        hello = frames.parse(raw)
        assert isinstance(hello, frames.Hello)
        return hello

    def run(self) -> dict[str, Any]:
        found = super().run()
        found["farewell"] = self.attach.farewell(Code.ABORTED, "the page left").hex()
        return found


def shown(body: bytes) -> str:
    return sha256(body).hexdigest() if len(body) > LONG_BYTES else body.hex()


def text() -> str:
    traces = [json.dumps(Posts(seed).run(), ensure_ascii=False) for seed in range(TRACES)]
    return "[\n" + ",\n".join(traces) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
