"""Are IRC lines found however the bytes were cut, and never longer than the limit?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.demo.lines import LINE_BYTES, LineCutter, Message, cut, parse


@given(st.lists(st.binary(max_size=700)), st.integers(1, 9))
def test_lines_do_not_depend_on_chunk_edges(lines: list[bytes], step: int) -> None:
    stream = b"\n".join(lines)
    whole = LineCutter().feed(stream)
    cutter = LineCutter()
    pieces = [stream[i : i + step] for i in range(0, len(stream), step)]
    assert [line for piece in pieces for line in cutter.feed(piece)] == whole
    assert all(len(line) <= LINE_BYTES for line in whole)


def test_an_overlong_line_is_cut_and_the_next_one_is_whole() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"A" * 2000) == []
    assert cutter.feed(b"A\r\nPING x\r\n") == [b"A" * LINE_BYTES, b"PING x"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"nick ada", Message("NICK", ["ada"])),
        (b":old!u@h PRIVMSG  #a  :hi  there", Message("PRIVMSG", ["#a", "hi  there"])),
        (b"@time=1;x :me QUIT :", Message("QUIT", [""])),
        (b"USER a 0 * :Ada :Lovelace", Message("USER", ["a", "0", "*", "Ada :Lovelace"])),
        (b"PRIVMSG #a :\xff\xfe", Message("PRIVMSG", ["#a", "\ufffd\ufffd"])),
        (b"PRIVMSG #a :a\0b\rc", Message("PRIVMSG", ["#a", "a b c"])),
        (b"", None),
        (b":", None),
        (b"   ", None),
        (b"@tags-only", None),
    ],
)
def test_a_line_is_parsed(line: bytes, message: Message | None) -> None:
    assert parse(line) == message


@given(st.binary())
def test_no_line_raises(line: bytes) -> None:
    parse(line)


@given(st.text())
def test_a_sent_line_is_one_short_valid_line(text: str) -> None:
    line = cut(text)
    assert len(line) <= LINE_BYTES
    assert not set(line) & set(b"\r\n\0")
    line.decode("utf-8")
