"""How do frames look on the wire? (docs/protocol.md section 2.)

`LAYOUT` is the whole wire format: one row per frame, the fields in wire order. Encoder,
parser, the JavaScript twin and the shared vectors all follow it. A DATA frame is the
exception, because it is nearly every byte that we carry: its type bit, stream id and
length come in 2 or 3 bytes.

Guarantees: `Decoder.feed` gives the same frames however the bytes are cut; it never
holds more than one incomplete frame; a length is checked against its limit before a
byte of it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum, auto
from typing import NamedTuple

from sockproxy.codes import Code
from sockproxy.core import varint
from sockproxy.core.errors import PeerError

DATA = 0x80
FIRST_NUMBERED, FIRST_SKIPPABLE = 0x10, 0x40

MAX_BODY_BYTES = 16 * 1024
MAX_CLIENT_DATA_BYTES = 16 * 1024
MAX_SERVER_DATA_BYTES = 65_535
MAX_TEXT_BYTES = 200

SID_BYTES = 16
SECRET_BYTES = 32

FLAG_CREATE = 1
FLAG_PROBE = 2
FLAG_RESUMED = 1

_LONG_STREAM = 0x7F

Tlvs = dict[int, bytes]


class Kind(Enum):
    """How one field is written."""

    INT = auto()
    TEXT = auto()
    SID = auto()
    SECRET = auto()
    TLVS = auto()
    REST = auto()


@dataclass(slots=True)
class Pad:
    filler: bytes


@dataclass(slots=True)
class Ack:
    rx: int


@dataclass(slots=True)
class Ping:
    token: int


@dataclass(slots=True)
class Pong:
    token: int
    rx: int


@dataclass(slots=True)
class At:
    offset: int


@dataclass(slots=True)
class Hello:
    version: int
    flags: int
    link: int
    request: int
    rx: int
    sid: bytes
    secret: bytes = field(repr=False)
    tlvs: Tlvs = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Welcome:
    link: int
    rx: int
    flags: int
    next_secret: bytes = field(repr=False)
    tlvs: Tlvs = field(default_factory=dict)


@dataclass(slots=True)
class Refuse:
    code: int
    retry_ms: int
    text: str


@dataclass(slots=True)
class End:
    code: int
    text: str


@dataclass(slots=True)
class Auth:
    ticket: str = field(repr=False)


@dataclass(slots=True)
class AuthResult:
    code: int
    expires_s: int


@dataclass(slots=True)
class Bye:
    code: int
    text: str


@dataclass(slots=True)
class Open:
    stream: int
    window: int
    port: int
    host: str
    tlvs: Tlvs = field(default_factory=dict)


@dataclass(slots=True)
class Opened:
    stream: int
    window: int
    remote_host: str
    remote_port: int
    local_host: str
    local_port: int


@dataclass(slots=True)
class Eof:
    stream: int
    total: int


@dataclass(slots=True)
class Reset:
    stream: int
    code: int
    text: str


@dataclass(slots=True)
class Stop:
    stream: int


@dataclass(slots=True)
class Window:
    stream: int
    max: int


@dataclass(slots=True)
class Closed:
    stream: int
    code: int
    in_total: int
    out_total: int
    text: str


@dataclass(slots=True)
class GoAway:
    code: int
    deadline_ms: int


# fmt: off
Frame = (
    Pad | Ack | Ping | Pong | At | Hello | Welcome | Refuse | End | Auth | AuthResult | Bye
    | Open | Opened | Eof | Reset | Stop | Window | Closed | GoAway
)
# fmt: on

_INT, _TEXT, _TLVS = Kind.INT, Kind.TEXT, Kind.TLVS

LAYOUT: dict[int, tuple[type[Frame], tuple[Kind, ...]]] = {
    0x00: (Pad, (Kind.REST,)),
    0x01: (Ack, (_INT,)),
    0x02: (Ping, (_INT,)),
    0x03: (Pong, (_INT, _INT)),
    0x04: (At, (_INT,)),
    0x05: (Hello, (_INT, _INT, _INT, _INT, _INT, Kind.SID, Kind.SECRET, _TLVS)),
    0x06: (Welcome, (_INT, _INT, _INT, Kind.SECRET, _TLVS)),
    0x07: (Refuse, (_INT, _INT, _TEXT)),
    0x08: (End, (_INT, _TEXT)),
    0x09: (Auth, (_TEXT,)),
    0x0A: (AuthResult, (_INT, _INT)),
    0x0B: (Bye, (_INT, _TEXT)),
    0x10: (Open, (_INT, _INT, _INT, _TEXT, _TLVS)),
    0x11: (Opened, (_INT, _INT, _TEXT, _INT, _TEXT, _INT)),
    0x12: (Eof, (_INT, _INT)),
    0x13: (Reset, (_INT, _INT, _TEXT)),
    0x14: (Stop, (_INT,)),
    0x15: (Window, (_INT, _INT)),
    0x16: (Closed, (_INT, _INT, _INT, _INT, _TEXT)),
    0x17: (GoAway, (_INT, _INT)),
}

TYPE_OF: dict[type[Frame], int] = {cls: number for number, (cls, _) in LAYOUT.items()}

# How a link, a later DOWN and the answer to an UP begin; all else comes from somebody else.
OPENS_LINK = frozenset((TYPE_OF[Pad], TYPE_OF[Welcome], TYPE_OF[Refuse], TYPE_OF[End]))
OPENS_DOWN = frozenset((TYPE_OF[At], TYPE_OF[Refuse], TYPE_OF[End]))
OPENS_REPLY = frozenset((TYPE_OF[Ack], TYPE_OF[Refuse]))


class Raw(NamedTuple):
    """One frame as it was cut out of the bytes; `kind` is DATA or the type byte."""

    kind: int
    stream: int
    body: bytes
    size: int


def encode(frame: Frame) -> bytes:
    """Return the whole frame as bytes."""
    number = TYPE_OF[type(frame)]
    body = b"".join(
        _encode_field(kind, getattr(frame, slot.name))
        for kind, slot in zip(LAYOUT[number][1], fields(frame), strict=True)
    )
    return bytes((number,)) + varint.encode(len(body)) + body


def encode_data(stream: int, payload: bytes) -> bytes:
    """Return a DATA frame."""
    return data_header(stream, len(payload)) + payload


def data_header(stream: int, length: int) -> bytes:
    """Return what stands before a DATA payload of `length` bytes."""
    if stream < _LONG_STREAM:
        return bytes((DATA | stream,)) + varint.encode(length)
    return b"\xff" + varint.encode(stream) + varint.encode(length)


def clip(text: str) -> str:
    """Return `text` cut to what a reason may take, never inside a character."""
    return text.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore")


def _encode_field(kind: Kind, value: object) -> bytes:
    if isinstance(value, int):
        return varint.encode(value)
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, dict):
        return b"".join(
            varint.encode(number) + _prefixed(content) for number, content in value.items()
        )
    assert isinstance(value, bytes)
    return value if kind is Kind.REST else _prefixed(value)


def _prefixed(content: bytes) -> bytes:
    return varint.encode(len(content)) + content


def parse(raw: Raw) -> Frame | None:
    """Return the typed frame, or None for a type that this version does not know.

    Raises `PeerError` for a body that does not fit its layout.
    """
    row = LAYOUT.get(raw.kind)
    if row is None:
        return None
    cls, kinds = row
    values: list[object] = []
    at = 0
    try:
        for kind in kinds:
            value, at = _PARSERS[kind](raw.body, at)
            values.append(value)
    except varint.CutError:
        raise PeerError(
            Code.PROTOCOL, f"frame {raw.kind:#04x}: body of {len(raw.body)} bytes is too short"
        ) from None
    if at != len(raw.body):
        raise PeerError(
            Code.PROTOCOL, f"frame {raw.kind:#04x}: {len(raw.body) - at} bytes behind its fields"
        )
    return cls(*values)  # type: ignore[arg-type]  # the layout row fits the class


def _parse_bytes(body: bytes, at: int) -> tuple[bytes, int]:
    length, at = varint.decode(body, at)
    end = at + length
    if end > len(body):
        raise varint.CutError
    return body[at:end], end


def _parse_text(body: bytes, at: int) -> tuple[str, int]:
    content, end = _parse_bytes(body, at)
    try:
        return content.decode(), end
    except UnicodeDecodeError as error:
        raise PeerError(
            Code.PROTOCOL, f"text of {len(content)} bytes is not UTF-8 at byte {error.start}"
        ) from None


def _parse_sid(body: bytes, at: int) -> tuple[bytes, int]:
    return _parse_exact(body, at, SID_BYTES, "session id")


def _parse_secret(body: bytes, at: int) -> tuple[bytes, int]:
    return _parse_exact(body, at, SECRET_BYTES, "secret")


def _parse_exact(body: bytes, at: int, length: int, what: str) -> tuple[bytes, int]:
    content, end = _parse_bytes(body, at)
    if len(content) not in (0, length):
        raise PeerError(Code.PROTOCOL, f"{what} of {len(content)} bytes, not {length}")
    return content, end


def _parse_tlvs(body: bytes, at: int) -> tuple[Tlvs, int]:
    tlvs: Tlvs = {}
    while at < len(body):
        number, at = varint.decode(body, at)
        tlvs[number], at = _parse_bytes(body, at)
    return tlvs, at


def _parse_rest(body: bytes, at: int) -> tuple[bytes, int]:
    return body[at:], len(body)


_PARSERS = {
    Kind.INT: varint.decode,
    Kind.TEXT: _parse_text,
    Kind.SID: _parse_sid,
    Kind.SECRET: _parse_secret,
    Kind.TLVS: _parse_tlvs,
    Kind.REST: _parse_rest,
}


def tlv_int(tlvs: Tlvs, number: int, default: int) -> int:
    """Return the integer in TLV `number`, or `default` where it is absent.

    Raises `PeerError` when it is not one whole integer.
    """
    content = tlvs.get(number)
    if content is None:
        return default
    try:
        value, end = varint.decode(content, 0)
    except varint.CutError:
        end = -1
    if end != len(content):
        raise PeerError(Code.PROTOCOL, f"field {number}: {len(content)} bytes are no integer")
    return value


def first(data: bytes, max_data_bytes: int) -> Raw | None:
    """Return the first frame of `data`, None while it is not all there."""
    try:
        return _cut(data, 0, max_data_bytes) if data else None
    except varint.CutError:
        return None


class Decoder:
    """Cuts a byte stream into frames, however it arrives."""

    def __init__(self, max_data_bytes: int) -> None:
        self._max_data_bytes = max_data_bytes
        self._rest = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Raw]:
        """Return the frames that `data` completes.

        Raises `PeerError` at the first header that is wrong or over its limit.
        """
        if self._rest:
            data = self._rest + data
        found: list[Raw] = []
        at = 0
        try:
            while at < len(data):
                raw = _cut(data, at, self._max_data_bytes)
                found.append(raw)
                at += raw.size
        except varint.CutError:
            pass
        self._rest = data[at:]
        return found


def _cut(data: bytes, start: int, max_data_bytes: int) -> Raw:
    first = data[start]
    at = start + 1
    if first < DATA:
        kind, stream, limit = first, 0, MAX_BODY_BYTES
    else:
        kind, stream, limit = DATA, first & _LONG_STREAM, max_data_bytes
        if stream == _LONG_STREAM:
            stream, at = varint.decode(data, at)
    length, at = varint.decode(data, at)
    if length > limit:
        raise PeerError(Code.TOO_BIG, f"frame {kind:#04x}: {length} bytes above {limit}")
    if kind == DATA and length == 0:
        raise PeerError(Code.PROTOCOL, f"stream {stream}: DATA without a byte")
    end = at + length
    if end > len(data):
        raise varint.CutError
    return Raw(kind, stream, data[at:end], end - start)
