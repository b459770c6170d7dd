"""Do bytes and frames mean each other, however the bytes are cut?"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.codes import Code
from sockproxy.core import frames, varint
from sockproxy.core.errors import PeerError
from tests.core import make_vectors
from tests.helpers import chunkings

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text(encoding="utf-8"))
BY_NAME = {cls.__name__: cls for cls in frames.TYPE_OF}
LIMIT = frames.MAX_CLIENT_DATA_BYTES


def decode(data: bytes) -> list[frames.Raw]:
    return frames.Decoder(LIMIT).feed(data)


def parse_all(data: bytes) -> list[frames.Frame | None]:
    return [frames.parse(raw) for raw in decode(data)]


def test_the_vectors_are_those_of_this_code() -> None:
    assert make_vectors.FILE.read_text(encoding="utf-8") == make_vectors.text()


def test_every_frame_is_in_the_vectors() -> None:
    assert {vector["frame"] for vector in VECTORS["good"]} == set(BY_NAME)


def test_every_layout_fits_its_class() -> None:
    for cls, kinds in frames.LAYOUT.values():
        assert len(fields(cls)) == len(kinds)


def test_each_vector_parses_to_its_fields_and_back() -> None:
    for vector in VECTORS["good"]:
        data = bytes.fromhex(vector["hex"])
        (raw,) = decode(data)
        frame = frames.parse(raw)
        assert type(frame).__name__ == vector["frame"]
        read = {slot.name: make_vectors.plain(getattr(frame, slot.name)) for slot in fields(frame)}  # type: ignore[arg-type]
        assert read == vector["fields"]
        assert raw.size == len(data)
        assert frames.encode(frame) == data  # type: ignore[arg-type]


def test_data_headers_are_as_short_as_promised() -> None:
    for vector in VECTORS["data"]:
        header = bytes.fromhex(vector["header"])
        assert frames.data_header(vector["stream"], vector["length"]) == header
        (raw,) = decode(header + bytes(vector["length"]))
        assert (raw.kind, raw.stream, len(raw.body)) == (
            frames.DATA,
            vector["stream"],
            vector["length"],
        )
    assert len(frames.data_header(2, 63)) == 2
    assert len(frames.data_header(126, 16_383)) == 3


def test_each_bad_vector_has_its_code() -> None:
    for vector in VECTORS["bad"]:
        with pytest.raises(PeerError) as caught:
            parse_all(bytes.fromhex(vector["hex"]))
        assert caught.value.code is Code[vector["code"]], vector["why"]


def test_longer_integers_than_needed_are_accepted() -> None:
    for vector in VECTORS["long"]:
        (raw,) = decode(bytes.fromhex(vector["hex"]))
        assert frames.parse(raw) == frames.Ack(**vector["fields"])


def test_the_cut_of_the_bytes_does_not_matter() -> None:
    whole = b"".join(bytes.fromhex(vector["hex"]) for vector in VECTORS["good"])
    whole += frames.encode_data(2, b"x" * 100) + frames.encode_data(2**20, b"y")
    expected = decode(whole)
    for chunks in chunkings(whole):
        decoder = frames.Decoder(LIMIT)
        found = [raw for chunk in chunks for raw in decoder.feed(chunk)]
        assert found == expected
        assert decoder.pending_bytes == 0


def test_a_cut_frame_waits_and_is_counted() -> None:
    decoder = frames.Decoder(LIMIT)
    assert decoder.feed(frames.encode_data(2, b"hello")[:4]) == []
    assert decoder.pending_bytes == 4


def test_a_length_is_checked_before_a_byte_of_it_came() -> None:
    with pytest.raises(PeerError) as caught:
        frames.Decoder(100).feed(b"\x82" + varint.encode(101))
    assert str(caught.value) == "frame 0x80: 101 bytes above 100"


def test_the_first_frame_is_cut_alone() -> None:
    data = frames.encode(frames.Ack(1)) + b"\xff\xff"
    raw = frames.first(data, LIMIT)
    assert raw is not None
    assert frames.parse(raw) == frames.Ack(1)
    assert frames.first(b"", LIMIT) is None
    assert frames.first(b"\x01\x05", LIMIT) is None


def test_a_type_of_a_later_version_is_no_frame_of_this_one() -> None:
    assert frames.parse(frames.Raw(0x0F, 0, b"??", 4)) is None


def test_a_reason_is_cut_between_characters() -> None:
    assert frames.clip("short") == "short"
    assert frames.clip("ö" * 300) == "ö" * 100
    assert len(frames.clip("x" + "ö" * 300).encode()) == 199


def test_an_integer_in_a_tlv_is_whole_or_an_error() -> None:
    tlvs = {1: varint.encode(70_000), 2: b"\x40", 3: b"\x01\x02"}
    assert frames.tlv_int(tlvs, 1, 5) == 70_000
    assert frames.tlv_int(tlvs, 9, 5) == 5
    for number in (2, 3):
        with pytest.raises(PeerError):
            frames.tlv_int(tlvs, number, 5)


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(frames.Hello(1, 0, 1, 0, 0, bytes(16), bytes(32)))
    assert "secret" not in repr(frames.Welcome(1, 0, 0, bytes(32)))


@given(st.binary(max_size=300))
def test_no_bytes_whatever_do_more_than_be_refused(data: bytes) -> None:
    with suppress(PeerError):
        parse_all(data)
