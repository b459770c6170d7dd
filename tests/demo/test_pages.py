"""Do the demo's pages keep to the rules a strict content policy sets, and do their modules pass?"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "sockproxy" / "static" / "demo"
PARSER_TESTS = Path(__file__).with_name("irc_parser.test.mjs")
HTML = sorted(PAGES.glob("*.html"))
SOURCES = sorted([*PAGES.glob("*.html"), *PAGES.glob("*.js"), *PAGES.glob("*.css")])


@pytest.mark.parametrize("page", HTML, ids=lambda page: page.name)
def test_a_page_has_no_inline_code_or_style(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_nothing_is_markup_or_comes_from_elsewhere(source: Path) -> None:
    text = source.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(r"(?:src|href|url|from|import)\s*[=(]?\s*['\"(]?(?:https?:)?//\w", text)


@pytest.mark.parametrize("page", HTML, ids=lambda page: page.name)
def test_every_file_a_page_names_is_there(page: Path) -> None:
    names = set(re.findall(r"(?:src|href)=\"/([\w.-]+)\"", page.read_text())) - {"sockproxy.js"}
    assert names
    assert all((PAGES / name).is_file() for name in names)


def test_the_irc_modules_pass_their_own_tests() -> None:
    node = shutil.which("node")
    assert node, "node is needed for the tests of the pages"
    result = subprocess.run(
        [node, "--test", str(PARSER_TESTS)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
