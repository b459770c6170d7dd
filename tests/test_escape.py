"""Does escaped text stay one printable line of bounded length, and mean one text?"""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.escape import SHOWN_MAX_BYTES, escaped

# What turns, hides or breaks a line, by the name of the code point.
CONTROLS = (
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u2028\u2029\u061c\u200b\u200e\u200f\ufeff",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    "\ud800",
    "\udc85",
    "\U000e0041",
)

ANYTHING = st.text(st.characters(codec=None) | st.sampled_from(CONTROLS), max_size=300)


@pytest.mark.parametrize("character", CONTROLS, ids=ascii)
def test_nothing_that_acts_on_a_terminal_or_a_line_gets_out(character: str) -> None:
    shown = escaped(f"a{character}b")

    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.endswith("b")


@pytest.mark.parametrize("text", ["", "irc.example.org:6667", "Jürgen 漢字 🙂", "it's 100 %"])
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert escaped(text) == text


def test_a_quote_or_a_backslash_cannot_end_what_is_quoted() -> None:
    assert escaped('a" 200 "b\\') == 'a\\" 200 \\"b\\\\'


@pytest.mark.parametrize("character", ["a", "\x1b", "é", "🙂", "\u202e", '"'])
def test_a_long_text_is_cut_between_characters_and_says_so(character: str) -> None:
    shown = escaped(character * 1000)
    one = escaped(character)

    assert SHOWN_MAX_BYTES - len(one.encode()) < len(shown.encode()) <= SHOWN_MAX_BYTES
    assert shown.removesuffix("...") == one * shown.count(one)


def test_a_text_of_the_very_length_is_whole() -> None:
    assert escaped("a" * SHOWN_MAX_BYTES) == "a" * SHOWN_MAX_BYTES
    assert escaped("a" * SHOWN_MAX_BYTES + "b") == "a" * (SHOWN_MAX_BYTES - 3) + "..."
    assert escaped("\n\n", max_bytes=4) == "\\n\\n"


@given(ANYTHING, st.integers(10, 300))
def test_every_text_becomes_one_bounded_line(text: str, max_bytes: int) -> None:
    shown = escaped(text, max_bytes)

    assert shown.isprintable()
    assert len(shown.encode()) <= max_bytes


@given(ANYTHING)
def test_what_is_not_cut_can_be_read_back(text: str) -> None:
    shown = escaped(text, max_bytes=10_000)

    assert ast.literal_eval(f'"{shown}"') == text
