"""Which IRC messages are in these bytes, however they were cut and whatever they hold?

Guarantees: never raises, never holds more than one line, never returns a control byte
that could end a line. Assumes nothing about its input: overlong lines are cut at the
limit of RFC 1459 and undecodable bytes become U+FFFD.
"""

from __future__ import annotations

from dataclasses import dataclass

LINE_BYTES = 510
"""What RFC 1459 leaves of 512 bytes after CR LF."""

_SPLIT = str.maketrans("\r\0", "  ")


@dataclass(slots=True)
class Message:
    """One command of a client, its verb in upper case."""

    verb: str
    params: list[str]


class LineCutter:
    """Cuts a byte stream into lines of at most LINE_BYTES; the tail of longer ones is dropped."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their ends."""
        *ends, rest = data.split(b"\n")
        lines = []
        for end in ends:
            lines.append(self._grown(end).rstrip(b"\r"))
            self._kept = b""
        self._kept = self._grown(rest)
        return lines

    def _grown(self, more: bytes) -> bytes:
        return self._kept + more[: LINE_BYTES - len(self._kept)]


def parse(line: bytes) -> Message | None:
    """Read one line; None when it holds no command. Tags and prefix of a client mean nothing."""
    text = line.decode("utf-8", "replace").translate(_SPLIT).lstrip(" ")
    for mark in "@:":
        if text.startswith(mark):
            text = text.partition(" ")[2].lstrip(" ")
    head, colon, trailing = text.partition(" :")
    words = head.split(" ")
    params = [word for word in words[1:] if word]
    if colon:
        params.append(trailing)
    return Message(words[0].upper(), params) if words[0] else None


def cut(text: str) -> bytes:
    """Encode one line to send, at most LINE_BYTES and never within a character."""
    line = text.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    return line.encode("utf-8", "replace")[:LINE_BYTES].decode("utf-8", "ignore").encode()
