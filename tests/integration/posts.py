"""How does a test post to the service by hand, and be a page that only posts?"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sockproxy.codes import HelloTlv, Mode
from sockproxy.core import events, frames, varint
from sockproxy.core.attach import ClientAttach
from sockproxy.core.pipe import Inbound, Outbound
from sockproxy.core.session import Role, Session, Windows
from tests import loopback

ORIGIN = "https://app.example"
UP, DOWN = "/sp/_/up", "/sp/_/down"
_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an HTTP request was answered."""

    status: int
    head: bytes
    body: bytes

    @property
    def frames(self) -> list[Any]:
        decoder = frames.Decoder(frames.MAX_SERVER_DATA_BYTES)
        found = decoder.feed(self.body)
        assert not decoder.pending_bytes
        return [raw if raw.kind == frames.DATA else frames.parse(raw) for raw in found]


def request(path: str, body: bytes, *lines: str, method: str = "POST") -> bytes:
    """Return a whole request with so many lines more in its head."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *lines, "", ""]).encode("latin-1") + body


def post(path: str, body: bytes, origin: str = ORIGIN) -> bytes:
    """Return what a page of this origin posts."""
    return request(path, body, f"Origin: {origin}")


class Posts:
    """One connection that is kept, and requests on it, as many at once as a test likes."""

    def __init__(self, wire: loopback.Wire) -> None:
        self.wire = wire

    async def ask(self, *requests: bytes) -> list[Reply]:
        """Send requests at once and return their answers."""
        self.wire.send(b"".join(requests))
        replies: list[Reply] = []

        def all_there() -> bool:
            replies.extend(self._cut())
            return len(replies) >= len(requests) or self.wire.lost is not None

        await self.wire.until(all_there)
        assert len(replies) == len(requests), self.wire.lost
        return replies

    def _cut(self) -> list[Reply]:
        """Take the whole answers out of what was received."""
        data, at = self.wire.received, 0
        found: list[Reply] = []
        while (end := data.find(b"\r\n\r\n", at)) >= 0:
            head = data[at : end + 2]
            length = _LENGTH.search(head)
            assert length is not None, head
            end_of_body = end + 4 + int(length[1])
            if end_of_body > len(data):
                break
            found.append(Reply(int(head[9:12]), head, data[end + 4 : end_of_body]))
            at = end_of_body
        self.wire.received = data[at:]
        return found


@asynccontextmanager
async def posts(port: int) -> AsyncIterator[Posts]:
    async with loopback.wire(port) as wire:
        yield Posts(wire)


class PostingPage:
    """A page whose session is carried by requests, brief ones: nothing waits."""

    def __init__(self, way: Posts, origin: str = ORIGIN) -> None:
        self.way = way
        self.origin = origin
        self.core = Session(Role.CLIENT, Windows(), loopback.reactor.seconds)
        self.attach = ClientAttach(self.core, os.urandom)
        self.happened: list[events.Event] = []
        self.ups = self.downs = 0

    async def connect(self) -> Reply:
        """Attach by the next link."""
        self.ups, self.downs = 0, 1
        inbound, outbound = self.attach.hello(1, _brief())
        body = self.core.next_message(outbound)
        return await self._heard(inbound, DOWN, body)

    async def down(self) -> Reply:
        self.downs += 1
        inbound = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_DOWN)
        body = self.attach.short(self.downs, _brief())
        self.core.acked()
        return await self._heard(inbound, DOWN, body)

    async def up(self, more: bytes = b"") -> Reply:
        """Say what there is to say, or just `more`, which no honest page would."""
        body = self.short_up() + (more or self.unacked())
        inbound = Inbound(frames.MAX_SERVER_DATA_BYTES, first=frames.OPENS_REPLY)
        return await self._heard(inbound, UP, body)

    def short_up(self) -> bytes:
        self.ups += 1
        return self.attach.short(self.ups)

    def unacked(self) -> bytes:
        return self.core.next_message(Outbound(None, self.core.log.first))

    async def open(self, name: str) -> int:
        """Attach, and open a stream up to its OPENED."""
        stream = self.core.open(name, 0)
        await self.connect()
        while not self.of(events.StreamOpened):
            await self.down()
        return stream

    async def echoed(self, stream: int, data: bytes) -> bool:
        """Return whether the backend gives back what is written to it."""
        before = len(self.received())
        self.core.write(stream, data)
        await self.up()
        while len(self.received()) < before + len(data):
            await self.down()
        return self.received()[before:] == data

    def received(self) -> bytes:
        return b"".join(event.data for event in self.of(events.DataReceived))

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.happened if isinstance(event, kind)]

    async def _heard(self, inbound: Inbound, path: str, body: bytes) -> Reply:
        (reply,) = await self.way.ask(post(path, body, self.origin))
        self.happened += self.core.receive(inbound, reply.body)
        return reply


def _brief() -> frames.Tlvs:
    return {HelloTlv.MODE: varint.encode(Mode.BRIEF)}
