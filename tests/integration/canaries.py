"""What does a stranger write wherever it might be logged, and what is in the log of it?

`scrawl` writes characters that turn, hide or break lines into every field that a client has,
and hands back the secrets that it wrote where secrets stand. `flaws` and `leaks` say what a
log made of either. A test with secrets of its own gives them to `leaks` as well.
"""

from __future__ import annotations

import re
import socket
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from itertools import count
from urllib.parse import quote_from_bytes

from sockproxy.codes import Code
from sockproxy.core import events, frames
from tests import loopback
from tests.integration.native import NativeClient
from tests.loopback import head, masked

ORIGIN = "https://app.example"
ODD = (
    *("\x1b[31m", "\x1b]0;title\x07", "\r\n", "\n", "\r", "\t", "\x00", "\x08", "\x7f"),
    *("\x85", "\x9b31m", "\u061c", "\u200e", "\u200f", "\u2028", "\u2029"),
    *("\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"),
    *("%0a", "%1b[31m", "%E2%80%AE", '"', "\\", "{peer}", "x" * 5000),
)
ODD_BYTES = (*(text.encode() for text in ODD), b"\x85", b"\xff", b"\xed\xa0\x80")
FORGED = "2026-01-01T00:00:00+0000 [sockproxy.hub.Hub#info] forged"

HEADERS = (
    *(b"Host", b"Origin", b"User-Agent", b"X-Forwarded-For", b"Forwarded"),
    *(b"Sec-WebSocket-Protocol", b"X-Odd"),
)
SECRET_HEADERS = (b"Cookie", b"Authorization", b"Referer")

PATIENCE_S = 5.0
TOGETHER = 3

_EVENT = re.compile(r"[0-9-]{10}T[0-9:]{8}[+-][0-9]{4} \[[\w.#-]+\] .*")


def flaws(said: bytes) -> list[str]:
    """Return the lines of a twistd's log that are not one printable line of one event."""
    lines = said.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    return [
        ascii(line)
        for line in lines
        if not line.isprintable() or not _EVENT.fullmatch(line) or line.startswith(FORGED)
    ]


def leaks(said: bytes, secrets: Iterable[bytes]) -> list[bytes]:
    """Return the secrets that occur in a log, in whatever spelling."""
    return [secret for secret in secrets if any(spelling in said for spelling in spellings(secret))]


def spellings(secret: bytes) -> Iterator[bytes]:
    """Yield how a secret could have been written."""
    yield secret
    yield secret.hex().encode()
    yield b64encode(secret).rstrip(b"=")
    yield urlsafe_b64encode(secret).rstrip(b"=")
    yield quote_from_bytes(secret).encode()
    yield ascii(secret)[2:-1].encode()


async def scrawl(port: int, backend: str) -> list[bytes]:
    """Write odd text wherever a client of `backend` may; return the secrets on the way.

    Each try has an address of its own, so that the log leaves out none.
    """
    own = _addresses()
    secrets = list(_ask(port, own))
    for number, odd in enumerate(ODD_BYTES):
        await _close(port, next(own), f"/raw/{backend}", (), b"", odd)
        hello = frames.Hello(1, 1, 1, 0, 0, b"%016d" % number, bytes(32), {4: odd, 5: odd})
        protocol = ("Sec-WebSocket-Protocol: sockproxy.v1",)
        await _close(port, next(own), "/sp/_/ws", protocol, frames.encode(hello), odd)
    return [*secrets, *await _open(port, backend)]


def _addresses() -> Iterator[str]:
    return (f"127.1.{number // 250}.{number % 250 + 1}" for number in count())


def _ask(port: int, own: Iterator[str]) -> Iterator[bytes]:
    for number, odd in enumerate(ODD_BYTES):
        yield (secret := b"secret-of-a-query-%d" % number)
        _request(port, next(own), b"GET /sockproxy.js?ticket=" + secret + odd + b" HTTP/1.1")
        _request(port, next(own), b"GET /" + odd + b"?ticket=" + secret + b" HTTP/1.1")
        for name in HEADERS:
            line = name + b": " + odd
            _request(port, next(own), b"GET /odd HTTP/1.1", line)
            _request(port, next(own), b"GET /odd HTTP/1.1", line + b"\r\n" + FORGED.encode())
        for name in SECRET_HEADERS:
            yield (secret := b"secret-of-%s-%d" % (name, number))
            _request(port, next(own), b"GET /odd HTTP/1.1", name + b": " + secret)


def _request(port: int, own: str, first: bytes, *lines: bytes) -> None:
    host = () if any(line.startswith(b"Host") for line in lines) else (b"Host: 127.0.0.1",)
    raw = b"\r\n".join([first, *host, *lines, b"Connection: close", b"", b""])
    with socket.create_connection(
        ("127.0.0.1", port), timeout=PATIENCE_S, source_address=(own, 0)
    ) as connection:
        connection.sendall(raw)
        while connection.recv(65_536):
            pass


async def _close(
    port: int, own: str, path: str, lines: tuple[str, ...], first: bytes, reason: bytes
) -> None:
    """Open a WebSocket, say the first message if there is one, and close it for a reason."""
    async with loopback.wire(port, own) as wire:
        wire.send(head(path, f"Origin: {ORIGIN}", *lines))
        assert (await wire.answer())[0] == 101
        if first:
            wire.send(masked(2, first))
        wire.send(masked(8, (4000).to_bytes(2, "big") + reason[:120]))
        await wire.gone()


async def _open(port: int, backend: str) -> list[bytes]:
    """Ask a session for odd targets and end what it has for odd reasons."""
    client = NativeClient(loopback.reactor, port, origin=ORIGIN)
    await client.connect()
    for at in range(0, len(ODD), TOGETHER):
        client.open("".join(ODD[at : at + TOGETHER])[:250])
    closed = len(range(0, len(ODD), TOGETHER))
    await client.until(lambda: len(client.of(events.StreamClosed)) == closed)
    payload = b"secret-of-a-stream"
    for text in ODD:
        stream = client.open(backend)
        client.write(stream, payload)
        await client.until(lambda stream=stream: stream in client.data)  # type: ignore[misc]
        client.core.reset(stream, Code.ABORTED, text[:50])
        client.flush()
        client.data.clear()
    client.send_raw(frames.encode(frames.Bye(Code.ABORTED, "".join(ODD)[:60])))
    await client.until(lambda: client.close_code is not None)
    client.close()
    return [payload, client.attach.sid, *client.secrets]
