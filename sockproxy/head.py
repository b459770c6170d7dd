"""Is this head of a request one that everybody reads in the same way?

Every parser on the way from a browser to us has its own idea of an odd head; where two
differ, a request can be smuggled in the gap. So a head is judged whole, before any other
parser sees it, and what could be read in two ways is refused (RFC 9112, stricter where it
leaves a choice). A header that we do not read may hold bytes above 7f, since browsers send
cookies in raw UTF-8: it is left out, and the rest goes on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

END = b"\r\n\r\n"
HEAD_MAX_BYTES = 16 * 1024
TARGET_MAX_BYTES = 8 * 1024
HEADERS_MAX = 100
LENGTH_MAX_DIGITS = 15
SHOWN_DIGITS = 40

BAD_REQUEST = 400
METHOD_NOT_ALLOWED = 405
LENGTH_REQUIRED = 411
CONTENT_TOO_LARGE = 413
URI_TOO_LONG = 414
MISDIRECTED = 421
FIELDS_TOO_LARGE = 431
SERVICE_UNAVAILABLE = 503
VERSION_NOT_SUPPORTED = 505

# What this server reads; a byte above 7f in one of them is never dropped in silence.
READ = frozenset(
    b"connection content-length expect forwarded host origin sec-websocket-extensions"
    b" sec-websocket-key sec-websocket-protocol sec-websocket-version te transfer-encoding"
    b" upgrade x-forwarded-for x-forwarded-host x-forwarded-proto".split()
)
# What may come once: with two of them, two parsers choose differently.
ONCE = frozenset(
    b"content-length host origin sec-websocket-key sec-websocket-version transfer-encoding".split()
)
# What proxies say of the client, line by line.
TOLD = (b"forwarded", b"x-forwarded-for")
BODILESS = frozenset((b"GET", b"HEAD", b"OPTIONS"))

_BARE_LF = re.compile(rb"(?<!\r)\n")
_REQUEST = re.compile(rb"([A-Z]{1,20}) (\S+) HTTP/([0-9]\.[0-9])")
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_PRINTABLE = re.compile(rb"[\t\x20-\x7e]*")
_HOST = re.compile(
    rb"(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
)
MAX_PORT = 65_535


class BadHead(Exception):
    """The request's head is not to be trusted, or not to be served; answer `status` and close."""

    def __init__(self, status: int, text: str, retry_s: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_s = retry_s


@dataclass(frozen=True, slots=True)
class Head:
    """A head that was judged: its bytes, with their end, and how long its body is."""

    raw: bytes
    host: str
    body_bytes: int
    forwarded: tuple[str, ...] = ()
    x_forwarded_for: tuple[str, ...] = ()
    upgrades: bool = False


def hopeless(raw: bytes) -> None:
    """Look at a head whose end is not here yet. Raises `BadHead` if nothing can mend it."""
    if len(raw) > HEAD_MAX_BYTES:
        raise BadHead(FIELDS_TOO_LARGE, f"a head above {HEAD_MAX_BYTES} bytes")
    if _BARE_LF.search(raw):
        raise BadHead(BAD_REQUEST, "a line ends without CR")


def judge(raw: bytes, body_max_bytes: int) -> Head:
    """Return what a head, without its empty line, says. Raises `BadHead`."""
    line, *lines = raw.split(b"\r\n")
    method, version = _request_line(line)
    if len(lines) > HEADERS_MAX:
        raise BadHead(FIELDS_TOO_LARGE, f"{len(lines)} headers, above {HEADERS_MAX}")
    kept = [line]
    read: dict[bytes, bytes] = {}
    told: dict[bytes, tuple[str, ...]] = {}
    for field in lines:
        name, value = _field(field)
        if name in ONCE and name in read:
            raise BadHead(BAD_REQUEST, f"{name.decode()} stands twice")
        if name in READ:
            read[name] = value
        if name in TOLD:
            told[name] = (*told.get(name, ()), value.decode())
        if _PRINTABLE.fullmatch(value):
            kept.append(field)
    host = _host(read.get(b"host"))
    body_bytes = _body_bytes(read, version, body_max_bytes)
    if body_bytes and method in BODILESS:
        raise BadHead(BAD_REQUEST, f"{method.decode()} with a body of {body_bytes} bytes")
    raw = b"\r\n".join(kept) + END
    said_forwarded, said_x = (told.get(name, ()) for name in TOLD)
    return Head(raw, host, body_bytes, said_forwarded, said_x, b"upgrade" in read)


def refusal(bad: BadHead) -> bytes:
    """Return the whole answer to a head that is refused; the connection ends behind it."""
    body = bad.text.encode() + b"\n"
    lines = [
        f"HTTP/1.1 {bad.status} {HTTPStatus(bad.status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        "X-Content-Type-Options: nosniff",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if bad.retry_s is not None:
        lines.append(f"Retry-After: {bad.retry_s}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _request_line(line: bytes) -> tuple[bytes, bytes]:
    """Return method and version."""
    match = _REQUEST.fullmatch(line)
    if match is None:
        raise BadHead(BAD_REQUEST, "the first line is no METHOD /target HTTP/1.1")
    method, target, version = match.groups()
    if version not in (b"1.0", b"1.1"):
        raise BadHead(VERSION_NOT_SUPPORTED, f"HTTP/{version.decode()}, this server speaks 1.1")
    if method in (b"CONNECT", b"TRACE"):
        raise BadHead(METHOD_NOT_ALLOWED, f"{method.decode()} is not served")
    if len(target) > TARGET_MAX_BYTES:
        raise BadHead(URI_TOO_LONG, f"a target of {len(target)} bytes is above {TARGET_MAX_BYTES}")
    if not _TARGET.fullmatch(target):
        raise BadHead(BAD_REQUEST, "the target is no path of printable ASCII")
    return method, version


def _field(line: bytes) -> tuple[bytes, bytes]:
    """Return the lower-cased name and the value of a header."""
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        raise BadHead(BAD_REQUEST, "a header line is no name, colon, value")
    name, value = name.lower(), value.strip(b" \t")
    if not _VALUE.fullmatch(value):
        raise BadHead(BAD_REQUEST, f"{name.decode()[:80]} holds a control byte")
    if name in READ and not _PRINTABLE.fullmatch(value):
        raise BadHead(BAD_REQUEST, f"{name.decode()} holds a byte above 7e")
    return name, value


def _host(value: bytes | None) -> str:
    """Return the name in Host, lower-cased, without its port."""
    match = None if value is None else _HOST.fullmatch(value)
    if match is None or int(match["port"] or 0) > MAX_PORT:
        raise BadHead(BAD_REQUEST, "exactly one valid Host is needed")
    return match["name"].decode().lower()


def _body_bytes(read: dict[bytes, bytes], version: bytes, most: int) -> int:
    coding, length = read.get(b"transfer-encoding"), read.get(b"content-length")
    if coding is not None:
        if length is None and version == b"1.1" and coding.lower() == b"chunked":
            raise BadHead(LENGTH_REQUIRED, "a body needs a Content-Length")
        raise BadHead(BAD_REQUEST, "Transfer-Encoding, where a body needs a Content-Length")
    if length is None:
        return 0
    if not length.isdigit():
        raise BadHead(BAD_REQUEST, "Content-Length is no number")
    if len(length) > LENGTH_MAX_DIGITS or int(length) > most:
        text = f"a body of {length[:SHOWN_DIGITS].decode()} bytes is above {most}"
        raise BadHead(CONTENT_TOO_LARGE, text)
    return int(length)
