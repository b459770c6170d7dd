"""Does each lie end one stream or session, by name, and disturb nobody else?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest_twisted

from sockproxy.codes import Code
from sockproxy.core import events, frames
from tests import loopback
from tests.integration.native import NativeClient
from tests.integration.test_native import World, world
from tests.loopback import head, masked

SESSION_FAULTS: dict[str, tuple[Callable[[int], bytes], Code]] = {
    "random bytes": (lambda stream: bytes(range(16, 200)), Code.PROTOCOL),
    "cut frame": (lambda stream: frames.encode_data(stream, b"xyz")[:-1], Code.PROTOCOL),
    "oversize length": (lambda stream: b"\x82\x80\x01\x00\x00" + bytes(65_536), Code.TOO_BIG),
    "integer above 2^53-1": (lambda stream: b"\x01\x08" + b"\xff" * 8, Code.PROTOCOL),
    "ack beyond sent": (lambda stream: frames.encode(frames.Ack(2**40)), Code.PROTOCOL),
    "ack inside a frame": (lambda stream: frames.encode(frames.Ack(1)), Code.PROTOCOL),
    "AT backwards": (lambda stream: frames.encode(frames.At(0)), Code.PROTOCOL),
    "stream 0": (lambda stream: frames.encode_data(0, b"x"), Code.PROTOCOL),
    "odd stream": (lambda stream: frames.encode_data(3, b"x"), Code.PROTOCOL),
    "stream never opened": (lambda stream: frames.encode_data(200, b"x"), Code.PROTOCOL),
    "OPEN twice": (lambda stream: frames.encode(frames.Open(stream, 0, 0, "x")), Code.PROTOCOL),
    "bad UTF-8": (lambda stream: b"\x10\x06\x04\x00\x00\x02\xff\xfe", Code.PROTOCOL),
    "a server's frame": (lambda stream: frames.encode(frames.GoAway(0, 0)), Code.PROTOCOL),
    "unknown frame": (lambda stream: b"\x30\x00", Code.PROTOCOL),
}

STREAM_FAULTS: dict[str, tuple[Callable[[int], bytes], Code]] = {
    "credit exceeded": (
        lambda stream: frames.encode_data(stream, bytes(16_384)) * 5,
        Code.FLOW,
    ),
    "wrong total": (lambda stream: frames.encode(frames.Eof(stream, 9)), Code.STREAM_PROTOCOL),
    "DATA behind EOF": (
        lambda stream: frames.encode(frames.Eof(stream, 0)) + frames.encode_data(stream, b"x"),
        Code.STREAM_PROTOCOL,
    ),
}


async def bystander(there: World) -> Callable[[], Any]:
    """Open a session of somebody else and return how to ask whether it still echoes."""
    client, stream, _ = await there.open()

    async def ask() -> None:
        before = len(client.data.get(stream, b""))
        client.write(stream, b"still there?")
        await client.until(lambda: len(client.data.get(stream, b"")) == before + 12)

    return ask


@pytest_twisted.ensureDeferred
async def test_a_lie_ends_its_session_by_name_and_nobody_elses(tmp_path: Path) -> None:
    async with world(tmp_path, echoes=True) as there:
        ask = await bystander(there)
        for why, (lie, code) in SESSION_FAULTS.items():
            client, stream, backend = await there.open()
            client.send_raw(lie(stream))
            await client.until(lambda client=client: client.close_code is not None)  # type: ignore[misc]
            ends = client.of(events.SessionEnded)
            assert ends, why
            assert (ends[0].code, client.close_code) == (code, 4000 + code), why
            await loopback.settle(lambda backend=backend: backend.lost is not None)  # type: ignore[misc]
            client.close()
        await ask()


@pytest_twisted.ensureDeferred
async def test_a_streams_lie_ends_that_stream_and_its_session_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path, echoes=True) as there:
        for why, (lie, code) in STREAM_FAULTS.items():
            client, stream, backend = await there.open()
            other = client.open("there")
            await client.until(lambda client=client: len(client.of(events.StreamOpened)) == 2)  # type: ignore[misc]
            numbered = lie(stream)
            # The client's own counters follow what was said behind its back.
            client.core.log.append(numbered)
            client.core.streams[stream].credit.sent = 10**9
            client.send_raw(numbered)
            assert client._outbound is not None
            client._outbound.position = client.core.log.next
            client._outbound.cursor = client.core.log.end
            await client.until(lambda client=client: bool(client.of(events.StreamClosed)))  # type: ignore[misc]
            assert client.of(events.StreamClosed)[0].code == code, why
            await loopback.settle(lambda backend=backend: backend.lost is not None)  # type: ignore[misc]
            client.write(other, b"goes on")
            await client.until(
                lambda client=client, other=other: client.data.get(other) == b"goes on"  # type: ignore[misc]
            )
            client.close()


@pytest_twisted.ensureDeferred
async def test_text_on_a_session_ends_it(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        client, _, backend = await there.open()
        client.send_raw(b"hello", binary=False)
        await client.until(lambda: client.close_code == 4045)
        await loopback.settle(lambda: backend.lost is not None)


@pytest_twisted.ensureDeferred
async def test_a_link_that_does_not_begin_with_a_good_hello_is_refused(tmp_path: Path) -> None:
    firsts = {
        b"": Code.PROTOCOL,
        b"\x05\x7f": Code.PROTOCOL,
        frames.encode(frames.Ping(1)): Code.PROTOCOL,
        frames.encode(frames.Hello(9, 1, 1, 0, 0, bytes(16), bytes(32))): Code.VERSION,
        frames.encode(frames.Hello(1, 0, 1, 0, 0, b"unknown session!", bytes(32))): Code(0x24),
        frames.encode(frames.Hello(1, 1, 1, 0, 0, bytes(16), bytes(32), {9: bytes(9000)})): Code(
            0x2C
        ),
    }
    async with world(tmp_path) as there:
        for first, code in firsts.items():
            async with loopback.wire(there.port) as wire:
                origin = "Origin: https://app.example"
                wire.send(head("/sp/_/ws", origin, "Sec-WebSocket-Protocol: sockproxy.v1"))
                assert (await wire.answer())[0] == 101
                wire.send(masked(2, first))
                (raw,) = frames.Decoder(1000).feed((await wire.frame()).payload)
                refuse = frames.parse(raw)
                assert isinstance(refuse, frames.Refuse)
                assert refuse.code == code, first
                assert (await wire.frame()).close_code == 4000 + code


@pytest_twisted.ensureDeferred
async def test_the_wrong_subprotocol_is_an_http_error(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        for offered in ((), ("Sec-WebSocket-Protocol: sockproxy.v2",)):
            async with loopback.wire(there.port) as wire:
                wire.send(head("/sp/_/ws", *offered))
                assert (await wire.answer())[0] == 400


@pytest_twisted.ensureDeferred
async def test_a_connection_cut_at_every_byte_loses_nothing(tmp_path: Path) -> None:
    """Each link dies so many bytes after its HELLO began; the session outlives them all."""
    async with world(tmp_path, echoes=True) as there:
        client = NativeClient(loopback.reactor, there.port)
        there.clients.append(client)
        stream = client.open("there")
        said = b""
        for cut_at in range(140):
            said += b"%03d" % cut_at
            client.core.write(stream, b"%03d" % cut_at)
            await client.connect(cut_at=cut_at)
            await client.until(lambda: client.carrier is None)
        await client.connect()
        await client.until(lambda: bytes(client.data.get(stream, b"")) == said)
        assert len(there.made) == 1
