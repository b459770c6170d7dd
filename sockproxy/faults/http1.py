"""Where does an HTTP/1.1 message end? Cuts one direction into heads, pieces and ends.

The bytes of every event are those that came: what passes through is not written anew. A piece
ends where a chunk of the message ends, if all of the chunk is there. What is no HTTP raises
`NotHttp`, and `rest` has the bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_MAX_BYTES = 64 * 1024
LINE_MAX_BYTES = 8 * 1024
CHUNK_DIGITS = 12
NO_BODY = (204, 304)
SWITCHING = 101

_REQUEST = re.compile(r"([A-Z]{1,20}) (\S+) HTTP/1\.[01]", re.ASCII)
_REQUEST_BEGINS = re.compile(rb"[A-Z]{1,20}(?: [^ \r\n]*(?: [HTP/1.0]*\r?)?)?")
_STATUS = re.compile(r"HTTP/1\.[01] ([0-9]{3})(?: .*)?", re.ASCII)
_HEX = re.compile(rb"[0-9A-Fa-f]+")


class NotHttp(ValueError):
    """The bytes are no HTTP/1 message."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line and the headers."""

    line: str
    headers: tuple[tuple[str, str], ...]

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.line.split(" ")[1])

    def get(self, name: str) -> str:
        """Return the values of a header, joined as RFC 9110 section 5.3 has it."""
        wanted = name.lower()
        return ", ".join(value for key, value in self.headers if key.lower() == wanted)

    def has(self, name: str, word: str) -> bool:
        """Return whether a header lists a word."""
        return word in (item.strip().lower() for item in self.get(name).split(","))

    def without(self, name: str) -> Head:
        """Return the head less a header, and less its name in Connection."""
        wanted, kept = name.lower(), []
        for key, value in self.headers:
            if key.lower() == "connection":
                options = [word.strip() for word in value.split(",")]
                value = ", ".join(word for word in options if word.lower() != wanted)
            if key.lower() != wanted and (value or key.lower() != "connection"):
                kept.append((key, value))
        return Head(self.line, tuple(kept))

    def encoded(self) -> bytes:
        lines = [self.line, *(f"{key}: {value}" for key, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


@dataclass(frozen=True, slots=True)
class HeadCut:
    """A head, and its bytes as they came."""

    head: Head
    raw: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the body, its framing included."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The message is whole."""


Event = HeadCut | Piece | End


class Cutter:
    """The messages of one direction; `receive`, then `next` until there is nothing more."""

    def __init__(self, *, requests: bool) -> None:
        self._requests = requests
        self._buffer = bytearray()
        self._left: int | None = None  # bytes to come of the body or of the chunk; None: no end
        self._phase = "head"
        self._seen = 0  # of the head or the line, looked at before
        self.methods: list[str] = []  # of the requests that are not answered yet

    @property
    def waiting(self) -> int:
        """How many bytes are not cut yet."""
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        self._buffer += data

    def rest(self) -> bytes:
        """Take what was not cut."""
        left = bytes(self._buffer)
        self._buffer.clear()
        return left

    def next(self) -> Event | None:
        """Return what comes next, or None until more bytes are there. Raises `NotHttp`."""
        if self._phase == "head":
            return self._head()
        if self._phase == "end":
            self._phase = "head"
            return End()
        if self._phase == "body":
            return self._body()
        return self._chunked()

    def finish(self) -> Event | None:
        """The sender has ended: return `End` if that was the end of a message."""
        if self._phase == "body" and self._left is None:
            self._phase = "head"
            return End()
        return None

    def _head(self) -> HeadCut | None:
        found = self._buffer.find(b"\r\n\r\n", max(0, self._seen - 3))
        self._seen = len(self._buffer)
        if found < 0 and len(self._buffer) <= HEAD_MAX_BYTES:
            self._look()
            return None
        if not 0 <= found <= HEAD_MAX_BYTES:
            raise NotHttp(f"a head of more than {HEAD_MAX_BYTES} bytes")
        raw = bytes(self._buffer[: found + 4])
        head = _parsed(raw, _REQUEST if self._requests else _STATUS)
        del self._buffer[: found + 4]
        self._seen = 0
        self._expect(head)
        return HeadCut(head, raw)

    def _look(self) -> None:
        """Tell early what is no request: who speaks another protocol waits for an answer."""
        line, whole, _ = bytes(self._buffer[:LINE_MAX_BYTES]).partition(b"\r\n")
        fits = _REQUEST.fullmatch(line.decode("latin-1")) or (
            not whole and _REQUEST_BEGINS.fullmatch(line)
        )
        if self._requests and self._buffer and not fits:
            raise NotHttp("no HTTP request")

    def _expect(self, head: Head) -> None:
        """Say what follows a head (RFC 9112 section 6.3)."""
        if not self._requests and self._bodiless(head):
            self._phase = "head" if head.status < 200 else "end"
        elif head.has("Transfer-Encoding", "chunked"):
            self._phase = "size"
        elif head.get("Content-Length"):
            self._phase, self._left = "body", _length(head.get("Content-Length"))
        elif self._requests:
            self._phase = "end"
        else:
            self._phase, self._left = "body", None
        if self._left == 0 and self._phase == "body":
            self._phase = "end"

    def _bodiless(self, head: Head) -> bool:
        if head.status < 200:
            return True
        method = self.methods.pop(0) if self.methods else ""
        return method == "HEAD" or head.status in NO_BODY

    def _body(self) -> Piece | None:
        if not self._buffer:
            return None
        if self._left is None:
            return Piece(self.rest())
        return self._take(self._left, "end")

    def _take(self, most: int, then: str) -> Piece:
        raw = bytes(self._buffer[:most])
        del self._buffer[:most]
        self._left = most - len(raw)
        if not self._left:
            self._phase = then
        return Piece(raw)

    def _chunked(self) -> Piece | None:
        if self._phase == "chunk":
            return self._take(self._left or 0, "size") if self._buffer else None
        line = self._line()
        if line is None:
            return None
        if self._phase == "trailer":
            return self._trailer(line)
        digits = line.partition(b";")[0].strip()
        if not _HEX.fullmatch(digits) or len(digits) > CHUNK_DIGITS:
            raise NotHttp(f"a chunk of size {digits[:20]!r}")
        length = int(digits, 16)
        if not length:
            self._phase = "trailer"
            return self._taken(line)
        self._phase = "chunk"
        return self._take(len(line) + 2 + length + 2, "size")

    def _trailer(self, line: bytes) -> Piece:
        if not line:
            self._phase = "end"
        return self._taken(line)

    def _taken(self, line: bytes) -> Piece:
        del self._buffer[: len(line) + 2]
        return Piece(line + b"\r\n")

    def _line(self) -> bytes | None:
        found = self._buffer.find(b"\r\n", 0, LINE_MAX_BYTES)
        if found < 0 and len(self._buffer) >= LINE_MAX_BYTES:
            raise NotHttp(f"a line of more than {LINE_MAX_BYTES} bytes in a chunked body")
        return None if found < 0 else bytes(self._buffer[:found])


def _parsed(raw: bytes, first: re.Pattern[str]) -> Head:
    line, *lines = raw[:-4].decode("latin-1").split("\r\n")
    if not first.fullmatch(line):
        raise NotHttp(f"the first line is {line[:60]!r}")
    headers = []
    for text in lines:
        name, colon, value = text.partition(":")
        if not colon or name != name.strip() or not name:
            raise NotHttp(f"a header {text[:60]!r}")
        headers.append((name, value.strip(" \t")))
    return Head(line, tuple(headers))


def _length(text: str) -> int:
    lengths = {item.strip() for item in text.split(",")}
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()) or len(length) > CHUNK_DIGITS:
        raise NotHttp(f"a Content-Length of {text[:40]!r}")
    return int(length)
