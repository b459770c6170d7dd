"""Is a PROXY header read in its one spelling, wherever it is cut, and anything else refused?"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.proxy_header import (
    V1_MAX_BYTES,
    V2_MAX_BYTES,
    BadProxyHeader,
    ProxyHeader,
    parse,
)
from tests.helpers import chunkings

MARK = b"\r\n\r\n\0\r\nQUIT\n"
V4 = IPv4Address("192.0.2.7")
V6 = IPv6Address("2001:db8::7")
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"

ports = st.integers(0, 65_535)


def binary(kind: int, block: bytes, *, command: int = 0x21, size: int | None = None) -> bytes:
    """Return a header of version 2."""
    return MARK + struct.pack("!BBH", command, kind, len(block) if size is None else size) + block


def tcp(source: IPv4Address | IPv6Address, port: int, tlvs: bytes = b"") -> bytes:
    target = V4 if source.version == 4 else V6
    addresses = source.packed + target.packed + struct.pack("!HH", port, 443)
    return binary(0x11 if source.version == 4 else 0x21, addresses + tlvs)


def line(source: IPv4Address | IPv6Address, port: int) -> bytes:
    """Return a header of version 1."""
    target = V4 if source.version == 4 else V6
    return f"PROXY TCP{source.version} {source} {target} {port} 443\r\n".encode()


def read(chunks: list[bytes]) -> ProxyHeader | type[BadProxyHeader] | None:
    """Return the answer to a header in pieces; what is kept meanwhile is bounded."""
    kept = b""
    for chunk in chunks:
        kept += chunk
        try:
            header = parse(kept)
        except BadProxyHeader:
            return BadProxyHeader
        if header is not None:
            return header
        assert len(kept) < (V1_MAX_BYTES if kept.startswith(b"P") else V2_MAX_BYTES)
    return None


@given(
    source=st.ip_addresses(),
    port=ports,
    write=st.sampled_from([line, tcp]),
    rest=st.binary(max_size=300),
)
def test_a_header_names_its_client_wherever_it_is_cut(
    source: IPv4Address | IPv6Address, port: int, write: type, rest: bytes
) -> None:
    header = write(source, port)
    plain = getattr(source, "ipv4_mapped", None) or source

    for chunks in chunkings(header + rest):
        assert read(chunks) == ProxyHeader(len(header), plain, port)
    assert [parse(header[:end]) for end in range(len(header))] == [None] * len(header)


@given(
    header=st.sampled_from(
        [LINE, line(V6, 1), b"PROXY UNKNOWN\r\n", tcp(V4, 1), tcp(V6, 2, b"\x04\0\1x")]
    ),
    places=st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=2)), max_size=3),
)
def test_a_header_with_other_bytes_in_it_is_refused_or_one_that_says_so(
    header: bytes, places: list[tuple[int, bytes]]
) -> None:
    for at, byte in places:
        header = header[:at] + byte + header[at + 1 :]
    answers = {read(chunks) for chunks in chunkings(header)}

    assert len(answers) == 1
    (found,) = answers
    if isinstance(found, ProxyHeader) and found.address is not None:
        said = header[: found.size_bytes]
        assert parse(said) == found
        if said.startswith(b"PROXY TCP4"):
            fields = said[:-2].decode().split(" ")
            target, port = IPv4Address(fields[3]), int(fields[5])
            canonical = f"PROXY TCP4 {found.address} {target} {found.port} {port}\r\n"
            assert said.decode() == canonical


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", MARK, MARK + b"!"])
)
def test_no_bytes_do_harm_and_few_are_kept(data: bytes, mark: bytes) -> None:
    assert len({read(chunks) for chunks in chunkings(mark + data)}) == 1


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\0", b"proxy TCP4 "])
def test_what_is_no_header_is_refused_at_its_first_byte(first: bytes) -> None:
    with pytest.raises(BadProxyHeader, match="begins no PROXY header"):
        parse(first[:1])


@pytest.mark.parametrize(
    "fields",
    [
        "TCP4 192.0.2.7 198.51.100.1 56324",
        "TCP4 192.0.2.7 198.51.100.1 56324 443 ",
        "TCP4 192.0.2.7 198.51.100.1  56324 443",
        "TCP4 192.0.2.07 198.51.100.1 56324 443",
        "TCP4 192.0.2.256 198.51.100.1 56324 443",
        "TCP4 3221225991 198.51.100.1 56324 443",
        "TCP4 2001:db8::7 2001:db8::1 56324 443",
        "TCP4 192.0.2.7 nowhere 56324 443",
        "TCP4 192.0.2.7 198.51.100.1 056324 443",
        "TCP4 192.0.2.7 198.51.100.1 65536 443",
        "TCP4 192.0.2.7 198.51.100.1 1 65536",
        "TCP4 192.0.2.7 198.51.100.1 -1 443",
        "TCP4 192.0.2.7 198.51.100.1 1_0 443",
        "TCP4\t192.0.2.7 198.51.100.1 56324 443",
        "TCP6 192.0.2.7 198.51.100.1 56324 443",
        "TCP6 fe80::1%lo 2001:db8::1 56324 443",
        "TCP6 ::1:: 2001:db8::1 56324 443",
        "TCP6 [2001:db8::7] 2001:db8::1 56324 443",
        "tcp4 192.0.2.7 198.51.100.1 56324 443",
        "UDP4 192.0.2.7 198.51.100.1 56324 443",
        "UNKNOWNED",
        "UNKNOWN\tx",
        "UNKNOWN a\rb",
        "UNKNOWN a\nb",
        "",
    ],
)
def test_a_line_in_another_spelling_is_refused(fields: str) -> None:
    with pytest.raises(BadProxyHeader):
        parse(b"PROXY " + fields.encode() + b"\r\n")


def test_what_a_line_says_is_told_with_its_fault() -> None:
    with pytest.raises(
        BadProxyHeader, match=r"^b'PROXY TCP4 1.2.3.4 2.3.4.5 65536 443': port 65536"
    ):
        parse(b"PROXY TCP4 1.2.3.4 2.3.4.5 65536 443\r\n")


def test_a_line_ends_within_107_bytes() -> None:
    longest = b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n"

    assert len(longest) == V1_MAX_BYTES
    assert parse(longest + b"more") == ProxyHeader(V1_MAX_BYTES)
    assert parse(longest[:-1]) is None
    for longer in (longest[:-2] + b"f\r\n", longest[:-1] + b"f", longest[:-2] + b"\n" * 9):
        with pytest.raises(BadProxyHeader, match="above 107 bytes"):
            parse(longer)


@pytest.mark.parametrize("text", [b"", b" ", b" 192.0.2.7 198.51.100.1 1 2", b" anything"])
def test_an_unknown_client_has_no_address(text: bytes) -> None:
    said = b"PROXY UNKNOWN" + text + b"\r\n"

    assert parse(said + LINE) == ProxyHeader(len(said))


@pytest.mark.parametrize(
    ("kind", "size"), [(0x00, 0), (0x00, 7), (0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216)]
)
def test_a_client_that_did_not_come_by_tcp_has_no_address(kind: int, size: int) -> None:
    said = binary(kind, b"\x01" * size)

    assert parse(said + b"more") == ProxyHeader(len(said))


@pytest.mark.parametrize("kind", [0x00, 0x11, 0xFF])
@pytest.mark.parametrize("block", [b"", b"\x7f\0\0\1" * 3, b"x" * 500])
def test_a_proxy_may_speak_for_itself(kind: int, block: bytes) -> None:
    said = binary(kind, block, command=0x20)

    assert parse(said + b"more") == ProxyHeader(len(said), is_local=True)


def test_what_follows_the_addresses_is_passed_over() -> None:
    said = tcp(V6, 8, tlvs=b"\x02\0\x0agw.example" + b"\x04\x01\0" + bytes(256))

    assert parse(said + b"GET ") == ProxyHeader(len(said), V6, 8)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (binary(0x11, bytes(12), command=0x11), "version and command 0x11"),
        (binary(0x11, bytes(12), command=0x22), "version and command 0x22"),
        (binary(0x13, bytes(12)), "family and protocol 0x13"),
        (binary(0x10, bytes(12)), "family and protocol 0x10"),
        (binary(0x41, bytes(12)), "family and protocol 0x41"),
        (binary(0x11, bytes(11)), "27 bytes holds no addresses of 0x11"),
        (binary(0x21, bytes(12)), "28 bytes holds no addresses of 0x21"),
        (binary(0x31, bytes(36)), "52 bytes holds no addresses of 0x31"),
        (binary(0x11, b"", size=2033), "2049 bytes is above 2048"),
        (binary(0x00, b"", size=65_535, command=0x20), "65551 bytes is above 2048"),
    ],
)
def test_a_bad_binary_header_is_refused_from_its_first_16_bytes(said: bytes, why: str) -> None:
    assert parse(said[:15]) is None
    with pytest.raises(BadProxyHeader, match=why):
        parse(said[:16])
