"""Are lines told apart as configparser does, and found again?"""

from __future__ import annotations

import configparser

from hypothesis import example, given
from hypothesis import strategies as st

from sockproxy.lines import Lines

LIST = """\
# allow = a:1
[access chat]
allow =
    a:1
    b:2
deny = b:2
    c:3
"""


@given(st.text("[]=:#; \n\tab", max_size=80))
@example("[a]\nb = a\n  = a\n  b = a")
@example("[a]\n  b = a\n b\n  a = b\n# a\n   a")
def test_lines_are_told_apart_as_configparser_does(text: str) -> None:
    text = f"[a]\n{text}"
    parser = configparser.ConfigParser(interpolation=None, default_section="", strict=False)
    broken: list[int] = []
    try:
        parser.read_string(text)
    except configparser.ParsingError as error:
        broken = [line for line, _ in error.errors]

    lines = Lines(text)

    assert [line for line, *_, told in lines.faults if told.endswith("`key = value`")] == broken
    for section in parser.sections():
        stands = text.split("\n")[lines.of(section) - 1]
        assert f"[{section}]" in stands
        for key in filter(None, parser.options(section)):
            assert text.split("\n")[lines.of(section, key) - 1].strip().startswith(key)


def test_an_item_of_a_list_is_found_behind_its_key() -> None:
    lines = Lines(LIST)

    found = [
        lines.item("access chat", key, item)
        for key, item in [("allow", "b:2"), ("deny", "b:2"), ("deny", "c:3"), ("allow", "")]
    ]
    assert found == [5, 6, 7, 3]
    assert lines.item("access chat", "deny", "no such") == 6


def test_what_stands_nowhere_is_said_of_its_section_or_the_beginning() -> None:
    lines = Lines(LIST)

    assert lines.of("access chat", "origins") == 2
    assert lines.of("absent", "origins") == 1


def test_every_header_is_told_also_of_a_section_that_comes_again() -> None:
    assert Lines("[a]\n[b]\n[a]\n").headers == [(1, "a"), (2, "b"), (3, "a")]
