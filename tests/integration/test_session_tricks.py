"""Does no trick with an id, an offset or a number get into a session, or out of its own?

The list is tests/data/session_tricks.md; what of it is not here is in test_bad_input.py and
test_http_bad_input.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from sockproxy.codes import Code
from sockproxy.core import events, frames, varint
from tests import loopback
from tests.integration.native import NativeClient
from tests.integration.posts import DOWN, ORIGIN, UP, PostingPage, post, posts, request
from tests.integration.test_http_bad_input import House, house, page, said
from tests.loopback import head, masked

OTHER = "https://other.example"
SUBPROTOCOL = "Sec-WebSocket-Protocol: sockproxy.v1"
MARK = 12_345_678
PADS = 100_000

# Eight bytes hold at most 2^62-1, so 2^63 and 2^64-1 can be said only as what is cut of them.
TOO_FAR = {
    "2^53": b"\xc0\x20" + bytes(6),
    "2^62-1, as -1 or 2^64-1 would be cut": b"\xff" * 8,
    "2^61, as 2^63 would be cut": b"\xe0" + bytes(7),
}


def at(hello: frames.Hello, rx: bytes) -> bytes:
    """Return a HELLO whose offset is written so."""
    raw = frames.first(said(hello, rx=MARK), frames.MAX_CLIENT_DATA_BYTES)
    assert raw is not None
    body = raw.body.replace(varint.encode(MARK), rx)
    return bytes((raw.kind,)) + varint.encode(len(body)) + body


def tricks(hello: frames.Hello) -> Iterator[tuple[str, bytes, Code]]:
    """Yield changes of a HELLO that would attach, at the end of what the server has sent."""
    sid = hello.sid
    for odd in (b"", sid[:1], sid + b"\0", sid.hex().encode(), b"%" + sid.hex().encode()):
        yield f"id {odd!r}", said(hello, sid=odd), Code.PROTOCOL
    letter = bytes((sid[0] ^ 0x20,)) + sid[1:]
    yield "id with its case flipped", said(hello, sid=letter), Code.SESSION_UNKNOWN
    yield "behind the buffer", said(hello, rx=0), Code.SESSION_UNKNOWN
    yield "inside a frame", said(hello, rx=hello.rx - 1), Code.SESSION_UNKNOWN
    yield "ahead of sent", said(hello, rx=hello.rx + 1), Code.SESSION_UNKNOWN
    yield "2^53-1", said(hello, rx=varint.MAX_VALUE), Code.SESSION_UNKNOWN
    for name, rx in TOO_FAR.items():
        yield name, at(hello, rx), Code.PROTOCOL


async def socket_refusal(port: int, first: bytes, origin: str = ORIGIN) -> int:
    """Say HELLO on a WebSocket and return the code of its refusal, which closes it too."""
    async with loopback.wire(port) as wire:
        wire.send(head("/sp/_/ws", f"Origin: {origin}", SUBPROTOCOL) + masked(2, first))
        assert (await wire.answer())[0] == 101
        refuse = frames.parse(frames.Decoder(1000).feed((await wire.frame()).payload)[0])
        assert isinstance(refuse, frames.Refuse)
        assert (await wire.frame()).close_code == 4000 + refuse.code
        return refuse.code


async def post_refusal(port: int, first: bytes, origin: str = ORIGIN) -> int:
    async with posts(port) as way:
        (reply,) = await way.ask(post(DOWN, first, origin))
        (refuse,) = reply.frames
        assert isinstance(refuse, frames.Refuse)
        return refuse.code


WAYS = {"WebSocket": socket_refusal, "HTTP": post_refusal}


async def victim_of(there: House) -> tuple[NativeClient, int]:
    """Return a session whose server has forgotten the beginning of its log."""
    client = NativeClient(loopback.reactor, there.port)
    await client.connect()
    stream = client.open("there")
    await echoed(client, stream, b"begins")
    client.core.ack_owed = True
    client.flush()
    await echoed(client, stream, b"goes on")
    return client, stream


async def echoed(client: NativeClient, stream: int, data: bytes) -> None:
    before = len(client.data.get(stream, b""))
    client.write(stream, data)
    await client.until(lambda: len(client.data.get(stream, b"")) >= before + len(data))
    assert client.data[stream][before:] == data


def next_hello(client: NativeClient) -> frames.Hello:
    """Return what would attach the next link of a session."""
    attach = client.attach
    return frames.Hello(1, 0, attach.link + 1, 1, client.core.rx, attach.sid, attach._secret)


def numbered(client: NativeClient, data: bytes) -> None:
    """Say frames that count, behind the client's back."""
    client.core.log.append(data)
    client.send_raw(data)
    assert client._outbound is not None
    client._outbound.position = client.core.log.next
    client._outbound.cursor = client.core.log.end


@pytest.mark.parametrize("way", WAYS)
@pytest_twisted.ensureDeferred
async def test_an_odd_id_or_offset_attaches_nothing_and_changes_nothing(
    tmp_path: Path, way: str
) -> None:
    async with house(tmp_path) as there:
        client, stream = await victim_of(there)
        hello = next_hello(client)
        for name, first, code in tricks(hello):
            assert await WAYS[way](there.port, first) == code, name
        assert await WAYS[way](there.port, said(hello), OTHER) == Code.SESSION_UNKNOWN
        await echoed(client, stream, b"nobody got in")
        assert len(client.of(events.Welcomed)) == 1
        client.close()


@pytest_twisted.ensureDeferred
async def test_an_id_in_the_url_is_none(tmp_path: Path) -> None:
    async with house(tmp_path) as there, page(there) as victim:
        stream = await victim.open("there")
        sid = victim.attach.sid.hex()
        for path in (f"{UP}?sid={sid}", f"{DOWN}?sid={sid}", f"/sp/{sid}/up", f"/sp/{sid}/down"):
            (reply,) = await victim.way.ask(request(path, b"", f"Origin: {ORIGIN}"))
            assert reply.frames[0].code == Code.PROTOCOL, path
        assert await victim.echoed(stream, b"not even disturbed")


HARMLESS: dict[str, bytes] = {
    "an ack that goes backwards": frames.encode(frames.Ack(0)),
    "a pong that does": frames.encode(frames.Pong(7, 0)),
    "PADs of no bytes": b"\0\0" * PADS,
}
HARMLESS_NUMBERED: dict[str, Callable[[int], bytes]] = {
    "credit of 2^32": lambda stream: frames.encode(frames.Window(stream, 2**32)),
    "credit of 2^53-1": lambda stream: frames.encode(frames.Window(stream, varint.MAX_VALUE)),
    "credit taken back": lambda stream: frames.encode(frames.Window(stream, 0)),
    "a type to be skipped": lambda stream: b"\x7f\x02ab",
}


@pytest_twisted.ensureDeferred
async def test_what_has_no_meaning_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        client, stream = await victim_of(there)
        for what in HARMLESS.values():
            client.send_raw(what)
            await echoed(client, stream, b"goes on")
        for count in HARMLESS_NUMBERED.values():
            numbered(client, count(stream))
            await echoed(client, stream, b"goes on")
        client.close()


@pytest_twisted.ensureDeferred
async def test_frames_for_a_stream_that_has_ended_mean_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        client, stream = await victim_of(there)
        ended = client.open("there")
        await client.until(lambda: len(client.of(events.StreamOpened)) == 2)
        client.core.reset(ended, Code.ABORTED)
        client.flush()
        await client.until(lambda: bool(client.of(events.StreamClosed)))
        for late in (
            frames.encode_data(ended, b"late"),
            frames.encode(frames.Eof(ended, 4)),
            frames.encode(frames.Window(ended, 2**32)),
            frames.encode(frames.Reset(ended, 1, "again")),
            frames.encode(frames.Stop(ended)),
        ):
            numbered(client, late)
            await echoed(client, stream, b"goes on")
        client.close()


FATAL: dict[str, tuple[bytes, Code]] = {
    "credit of 2^53": (b"\x15\x09\x02" + TOO_FAR["2^53"], Code.PROTOCOL),
    "type 255, of an odd stream": (b"\xff\x40\xff\x01x", Code.PROTOCOL),
    "type 255, of a stream that never was": (b"\xff\x43\xe8\x01x", Code.PROTOCOL),
    "type 255, of a stream above 2^53": (b"\xff" + TOO_FAR["2^53"] + b"\x01x", Code.PROTOCOL),
    "DATA of no bytes": (b"\x82\x00", Code.PROTOCOL),
    "an ack of 2^53": (b"\x01\x08" + TOO_FAR["2^53"], Code.PROTOCOL),
    "an ack of 2^53-1": (frames.encode(frames.Ack(varint.MAX_VALUE)), Code.PROTOCOL),
    "AT 2^53": (b"\x04\x08" + TOO_FAR["2^53"], Code.PROTOCOL),
}


@pytest_twisted.ensureDeferred
async def test_what_can_be_meant_by_nobody_ends_the_session_that_said_it(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        for why, (lie, code) in FATAL.items():
            client, _ = await victim_of(there)
            client.send_raw(lie)
            await client.until(lambda client=client: client.close_code is not None)  # type: ignore[misc]
            assert client.close_code == 4000 + code, why
            client.close()


@pytest_twisted.ensureDeferred
async def test_at_the_end_of_all_numbers_only_the_link_ends(tmp_path: Path) -> None:
    """A frame there is behind a hole, which another link may not have."""
    async with house(tmp_path) as there:
        client, stream = await victim_of(there)
        client.send_raw(frames.encode(frames.At(varint.MAX_VALUE)) + frames.encode_data(2, b"x"))
        await client.until(lambda: client.close_code is not None)
        assert not client.of(events.SessionEnded)
        await client.connect()
        await echoed(client, stream, b"goes on")
        client.close()


@pytest_twisted.ensureDeferred
async def test_two_connections_that_post_the_same_number_say_it_once(tmp_path: Path) -> None:
    async with house(tmp_path) as there, page(there) as twin:
        stream = await twin.open("there")
        twin.core.write(stream, b"said once")
        body = twin.short_up() + twin.unacked()

        async def say() -> None:
            async with posts(there.port) as way:
                (reply,) = await way.ask(post(UP, body))
                assert isinstance(reply.frames[0], frames.Ack)

        await gatherResults([Deferred.fromCoroutine(say()) for _ in range(10)])
        while not twin.received():
            await twin.down()
        assert await twin.echoed(stream, b", and then more")
        assert twin.received() == b"said once, and then more"


@pytest_twisted.ensureDeferred
async def test_numbers_of_requests_that_are_skipped_are_not_waited_for(tmp_path: Path) -> None:
    async with house(tmp_path) as there, page(there) as skipping:
        stream = await skipping.open("there")
        for skipped in (1, 2**32, varint.MAX_VALUE - 2**33):
            skipping.ups += skipped
            assert await skipping.echoed(stream, b"heard")
        hello = replace(_short(skipping), request=1)
        (reply,) = await skipping.way.ask(post(UP, said(hello) + frames.encode_data(stream, b"x")))
        assert isinstance(reply.frames[0], frames.Ack)
        assert await skipping.echoed(stream, b"heard")


def _short(page_: PostingPage) -> frames.Hello:
    attach = page_.attach
    return frames.Hello(1, 0, attach.link, 1, 0, attach.sid, attach._attaching)
