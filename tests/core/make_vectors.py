"""Which bytes stand for which frames? Writes tests/vectors/frames.json.

`python -m tests.core.make_vectors`, after a change of the wire that is meant; the tests of
both languages read the file, so that neither can drift from the other.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from sockproxy.core import frames, varint

FILE = Path(__file__).parent.parent / "vectors" / "frames.json"

SID = bytes(range(16))
SECRET = bytes(range(32))

GOOD: list[frames.Frame] = [
    frames.Pad(b""),
    frames.Pad(b"\x00\xff"),
    frames.Ack(0),
    frames.Ack(63),
    frames.Ack(64),
    frames.Ack(16_383),
    frames.Ack(16_384),
    frames.Ack(2**30 - 1),
    frames.Ack(2**30),
    frames.Ack(2**32 + 1),
    frames.Ack(varint.MAX_VALUE),
    frames.Ping(2**30 - 1),
    frames.Pong(7, 2**31),
    frames.At(2**40),
    frames.Hello(1, frames.FLAG_CREATE, 1, 0, 0, SID, SECRET),
    frames.Hello(1, 0, 300, 70_000, 2**33, SID, SECRET, {1: b"ticket", 99: b""}),
    frames.Hello(1, frames.FLAG_PROBE, 0, 0, 0, b"", b""),
    frames.Welcome(1, 5, 0, SECRET),
    frames.Welcome(2, 70_000, frames.FLAG_RESUMED, SECRET, {2: b"\x50\x00", 7: b"\x40\x78"}),
    frames.Refuse(0x23, 0, "origin https://a.example is not listed"),
    frames.End(0x26, ""),
    frames.Auth("ticket"),
    frames.AuthResult(0, 3600),
    frames.Bye(0, "größe"),
    frames.Open(2, 65_536, 0, "irc"),
    frames.Open(128, 65_536, 6667, "irc.example.org", {1: b"\x01", 200: b"x"}),
    frames.Opened(2, 65_536, "irc", 6667, "", 0),
    frames.Eof(2, 2**35),
    frames.Reset(4, 1, "enough"),
    frames.Stop(126),
    frames.Window(2, varint.MAX_VALUE),
    frames.Closed(2, 8, 10, 20, "reset"),
    frames.GoAway(0x29, 10_000),
]

DATA = [(2, 1), (2, 63), (2, 64), (126, 16_383), (128, 5), (16_384, 65), (2**40, 16_384)]

BAD: list[tuple[str, str, str]] = [
    ("an integer above 2^53-1", "0108c020000000000000", "PROTOCOL"),
    ("DATA without a byte", "8200", "PROTOCOL"),
    ("DATA above 16 KiB", "8280004001" + "00" * 4, "TOO_BIG"),
    ("a body above 16 KiB", "0080004001", "TOO_BIG"),
    ("an empty ACK", "0100", "PROTOCOL"),
    ("an ACK with a byte behind", "01020000", "PROTOCOL"),
    ("an ACK cut inside its integer", "010140", "PROTOCOL"),
    ("a session id of 15 bytes", "052601000100000f" + "00" * 15 + "10" + "00" * 16, "PROTOCOL"),
    ("a secret of 1 byte", "051801000100001000" + "00" * 15 + "0100", "PROTOCOL"),
    ("text that is not UTF-8", "080500030aff20", "PROTOCOL"),
    ("text longer than its body", "080300056f", "PROTOCOL"),
    ("a TLV cut inside its value", "100a02800040000000010561", "PROTOCOL"),
]

LONG = [
    ("ACK 5 in two bytes", "01024005", {"rx": 5}),
    ("ACK 5 in eight bytes", "0108c000000000000005", {"rx": 5}),
]


def plain(value: Any) -> Any:
    """Return a field as JSON has it: bytes as hex, TLVs by number."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(number): content.hex() for number, content in value.items()}
    return value


def good(frame: frames.Frame) -> dict[str, Any]:
    values = asdict(frame)
    return {
        "frame": type(frame).__name__,
        "fields": {slot.name: plain(values[slot.name]) for slot in fields(frame)},
        "hex": frames.encode(frame).hex(),
    }


def data(stream: int, length: int) -> dict[str, Any]:
    header = frames.data_header(stream, length)
    return {"stream": stream, "length": length, "header": header.hex()}


def vectors() -> dict[str, Any]:
    return {
        "good": [good(frame) for frame in GOOD],
        "data": [data(*item) for item in DATA],
        "bad": [{"why": why, "hex": hexed, "code": code} for why, hexed, code in BAD],
        "long": [{"why": why, "hex": hexed, "fields": read} for why, hexed, read in LONG],
    }


def text() -> str:
    return json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
