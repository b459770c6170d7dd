"""Which requests does somebody write by hand who wants two parsers to differ?

Each has a name, its bytes, and the statuses that a strict server may answer; none of them may
be answered twice. `INNER` is the request that most of them try to smuggle in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ORIGIN = b"https://app.example"
SMUGGLED = b"/smuggled.js"
INNER = b"GET " + SMUGGLED + b" HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\n\r\n"
BAD = frozenset((400,))
SERVED = frozenset((200,))
UPGRADED = frozenset((101,))
FORBIDDEN = frozenset((400, 403))


@dataclass(frozen=True, slots=True)
class Probe:
    """One try."""

    name: str
    raw: bytes
    statuses: frozenset[int]


def get(*lines: bytes, first: bytes = b"GET /sockproxy.js HTTP/1.1", host: bool = True) -> bytes:
    """Return a request for a file, after which the connection ends."""
    own = (b"Host: gw.example",) if host else ()
    return b"\r\n".join([first, *own, *lines, b"Connection: close", b"", b""])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return get(*lines, first=b"POST /sp/_/up HTTP/1.1") + body


def upgrade(*lines: bytes, origin: bytes | None = ORIGIN) -> bytes:
    """Return the request of a page for a WebSocket."""
    head = [
        b"GET /raw/irc HTTP/1.1",
        b"Host: gw.example",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    if origin is not None:
        head.append(b"Origin: " + origin)
    return b"\r\n".join([*head, *lines, b"", b""])


def without(line: bytes, *more: bytes) -> bytes:
    """Return an upgrade without the line that begins so."""
    lines = upgrade(*more).split(b"\r\n")
    return b"\r\n".join(kept for kept in lines if not kept.startswith(line))


def odd(name: str, raw: bytes, *statuses: int) -> Probe:
    return Probe(name, raw, frozenset(statuses) or BAD)


def hosts() -> Iterator[Probe]:
    yield odd("no Host", get(host=False))
    for host in (b"", b"a b", b"u@gw.example", b"gw.example/p", b"a,b", b"gw.example:x", b"[::1"):
        yield odd(f"Host {host!r}", get(b"Host: " + host, host=False))
    yield odd("two Hosts", get(b"Host: gw.example"))
    yield odd("two Hosts that differ", get(b"Host: evil.example"))
    yield odd("Host in a folded line", get(b"X-A: b", b" Host: evil.example"))
    yield odd("an absolute target", get(first=b"GET http://evil.example/ HTTP/1.1"))
    yield odd("an absolute target of ours", get(first=b"GET http://gw.example/ HTTP/1.1"))
    yield odd("Host behind a space", get(b"Host : evil.example"))


def lengths() -> Iterator[Probe]:
    chunk = b"0\r\n\r\n" + INNER
    length = b"Content-Length: %d" % len(chunk)
    yield odd("CL and TE", post(length, b"Transfer-Encoding: chunked", body=chunk))
    yield odd("TE and CL", post(b"Transfer-Encoding: chunked", length, body=chunk))
    yield odd("CL.0", get(b"Content-Length: %d" % len(INNER)) + INNER)
    yield odd("two CL", post(b"Content-Length: 5", b"Content-Length: 5", body=b"abcde"))
    yield odd("CL that differ", post(b"Content-Length: 0", length, body=chunk))
    for value in (b"5, 5", b"+5", b"-5", b" ", b"5 5", b"0x5", b"1_0", b"5;", b"\xb2", b"5\x0b"):
        yield odd(f"CL {value!r}", post(b"Content-Length: " + value, body=b"abcde"))
    yield odd("CL of 10^12", post(b"Content-Length: 1000000000000"), 413)
    yield odd("CL of 500 digits", post(b"Content-Length: " + b"9" * 500), 413)
    yield odd("chunks", post(*CHUNKED, body=chunk), 411)
    yield odd("chunks in capitals", post(b"TRANSFER-ENCODING: CHUNKED", body=chunk), 411)
    yield odd("a body of a GET", get(b"Content-Length: 5") + b"abcde")
    yield odd("a body of an upgrade", upgrade(b"Content-Length: %d" % len(INNER)) + INNER)
    yield odd("no body for a length", get(b"Content-Length: 0"), 200)


def codings() -> Iterator[Probe]:
    chunk = b"0\r\n\r\n" + INNER
    length = b"Content-Length: %d" % len(chunk)
    codings = (b"identity", b"gzip, chunked", b"chunked, identity", b"chunked;a=b", b"xchunked")
    for value in (
        *codings,
        b"\x0bchunked",
        b"chunked,",
        b'"chunked"',
        b"",
        b"chun ked",
        b"\xffchunked",
    ):
        yield odd(f"TE {value!r}", post(b"Transfer-Encoding: " + value, body=chunk))
    for name in (b"Transfer-Encoding ", b" Transfer-Encoding", b"Transfer\x00-Encoding"):
        yield odd(f"{name!r}", post(name + b": chunked", length, body=chunk))
    yield odd("TE twice", post(*[b"Transfer-Encoding: chunked"] * 2, body=chunk))
    yield odd("TE that differ", post(b"TE: a", *CHUNKED, b"Transfer-Encoding: x", body=chunk))
    yield odd("TE folded", post(b"Transfer-Encoding:", b" chunked", length, body=chunk))
    old = post(*CHUNKED, body=chunk).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield odd("TE to HTTP/1.0", old)


CHUNKED = (b"Transfer-Encoding: chunked",)


def fields() -> Iterator[Probe]:
    folded = (b"X-A: b", b" c"), (b"X-A: b", b"\tc"), (b" X-A: b",), (b"X-A:", b" b")
    for lines in folded:
        yield odd(f"folded {lines!r}", get(*lines))
    for line in (b"X-A : b", b"X-A\t: b", b"X-A", b": b", b":", b"X A: b", b"X(A): b", b"X\xe9: b"):
        yield odd(f"line {line!r}", get(line))
    for line in (b"X-A: b\rX-B: c", b"X-A: b\nX-B: c", b"X-A: b\x00c", b"\x00", b"X-A: b\x7f"):
        yield odd(f"line {line!r}", get(line))
    yield odd("LF for CRLF", get().replace(b"\r\n", b"\n"))
    yield odd("one LF for CRLF", get(b"X-A: b\nX-B: c"))
    yield odd("CR for CRLF", get(b"X-A: b\rX-B: c"))
    yield odd("17 KiB", get(b"X-A: " + b"b" * 17_000), 431)
    yield odd("no end of 17 KiB", b"GET / HTTP/1.1\r\nX-A: " + b"b" * 17_000, 431)
    yield odd("101 headers", get(*[b"X-A: b"] * 101), 431)
    yield odd("an empty value", get(b"X-A:"), 200)
    yield odd("a tab", get(b"X-A: b\tc"), 200)


FIRST_LINES = {
    b"GET": 400,
    b"GET /sockproxy.js": 400,
    b"GET  /sockproxy.js HTTP/1.1": 400,
    b"GET\t/sockproxy.js HTTP/1.1": 400,
    b"GET /sockproxy.js\tHTTP/1.1": 400,
    b" GET /sockproxy.js HTTP/1.1": 400,
    b"GET /sockproxy.js HTTP/1.1 ": 400,
    b"GET /sockproxy.js HTTP/1.1 HTTP/1.1": 400,
    b"GET /sockproxy.js http/1.1": 400,
    b"GET /sockproxy.js HTTP/01.1": 400,
    b"GET /sockproxy.js HTTP/1.": 400,
    b"GET /sockproxy.js HTTP/0.9": 505,
    b"GET /sockproxy.js HTTP/1.2": 505,
    b"GET /sockproxy.js HTTP/3.0": 505,
    b"PRI * HTTP/2.0": 505,
    b"get /sockproxy.js HTTP/1.1": 400,
    b"G\x00T /sockproxy.js HTTP/1.1": 400,
    b"G\xc3\x89T /sockproxy.js HTTP/1.1": 400,
    b"GET /\x00 HTTP/1.1": 400,
    b"GET /\x85 HTTP/1.1": 400,
    b"GET /\xc3\xa9 HTTP/1.1": 400,
    b"GET /sockproxy.js#a HTTP/1.1": 400,
    b"GET sockproxy.js HTTP/1.1": 400,
    b"GET * HTTP/1.1": 400,
    b"OPTIONS * HTTP/1.1": 400,
    b"CONNECT gw.example:22 HTTP/1.1": 405,
    b"TRACE / HTTP/1.1": 405,
    b"GET /" + b"a" * 9_000 + b" HTTP/1.1": 414,
    b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1": 404,
    b"GET //evil.example/%2F.. HTTP/1.1": 404,
    b"GET /sockproxy.js?a=%0d%0aX HTTP/1.1": 200,
}


def first_lines() -> Iterator[Probe]:
    for line, status in FIRST_LINES.items():
        yield odd(f"{line[:40]!r}", get(first=line), status)
    yield odd("an empty line before", b"\r\n" + get(), 200)
    yield odd("two empty lines before", b"\r\n\r\n" + get())
    yield odd("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    yield odd("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def upgrades() -> Iterator[Probe]:
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    yield odd("two keys", upgrade(key))
    yield odd("no key", without(b"Sec-WebSocket-Key"))
    yield odd("a short key", without(b"Sec-WebSocket-Key", b"Sec-WebSocket-Key: YQ=="))
    yield odd("a key of odd bytes", without(b"Sec-WebSocket-Key", key.replace(b"=", b"\xff")))
    yield odd("two versions", upgrade(b"Sec-WebSocket-Version: 8"))
    version = without(b"Sec-WebSocket-Version", b"Sec-WebSocket-Version: 12")
    yield odd("version 12", version, 426)
    yield odd("no Connection", without(b"Connection"), 426)
    yield odd("no Upgrade", without(b"Upgrade"), 426)
    yield odd("an upgrade to h2c", get(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"), 200)
    yield odd("an upgrade of HTTP/1.0", upgrade().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    yield odd("no Origin", upgrade(origin=None), 403)
    yield odd("two Origins", upgrade(b"Origin: " + ORIGIN))
    yield odd(
        "a foreign Origin first", upgrade(b"Origin: " + ORIGIN, origin=b"https://evil.example")
    )
    yield odd("a foreign Origin behind", upgrade(b"Origin: https://evil.example"))
    for byte in (0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x85):
        hidden = b"X-A: v" + bytes((byte,)) + b"Origin: " + ORIGIN
        yield odd(f"Origin behind {byte:02x}", upgrade(hidden, origin=None), 400, 403)
    hidden = "X-A: v\u0085Origin: https://app.example".encode()
    yield odd("Origin behind c2 85", upgrade(hidden, origin=None), 400, 403)
    yield odd("a good one", upgrade(), 101)
    yield odd("a cookie in UTF-8", upgrade("Cookie: name=J\u00fcrgen \u2713".encode()), 101)


def bytes_of_headers() -> Iterator[Probe]:
    """Every byte in five headers of an upgrade."""
    for byte in range(256):
        value = b"a" + bytes((byte,)) + b"b"
        printable = 0x20 <= byte < 0x7F
        for name in (b"Cookie", b"X-A", b"User-Agent"):
            good = printable or byte == 0x09 or byte >= 0x80
            yield odd(
                f"{byte:02x} in {name!r}", upgrade(name + b": " + value), 101 if good else 400
            )
        origin = FORBIDDEN if printable else BAD
        yield Probe(f"{byte:02x} in Origin", upgrade(origin=ORIGIN + bytes((byte,)) + b"b"), origin)
        offered = upgrade(b"Sec-WebSocket-Protocol: " + value)
        token = chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "!#$%&'*+.^_`|~-,")
        yield odd(f"{byte:02x} in a subprotocol", offered, 101 if token else 400)


def all_probes() -> list[Probe]:
    return [*hosts(), *lengths(), *codings(), *fields(), *first_lines(), *upgrades()]
