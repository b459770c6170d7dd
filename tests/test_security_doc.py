"""Does docs/security.md name tests and options that are there, and is each threat in it?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sockproxy import ini
from tests.pems import made, written

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
THREATS = [f"T{number}" for number in range(1, 33)]

SECTIONS = {**ini.SINGLE, **{kind: model for kind, (_, model) in ini.NAMED.items()}}
OPTIONS = {name for model in SECTIONS.values() for name in model.model_fields}
# What stands between backticks and looks like an option: claims, words of HTTP and Python.
OTHER_WORDS = {"aud", "backends", "bytes", "exp", "https", "jti", "nosniff", "null", "origin"}
OTHER_WORDS |= {"repr"}

_QUOTED = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"(?P<file>(?:tests|js)/[\w/.]+)(?:::(?P<name>.+))?")
_BENCHMARK = re.compile(r"python -m benchmarks\.(\w+)")
_SECTION = re.compile(r"\[(\w+)\]")
_OPTION = re.compile(r"([a-z][a-z_]*)(?: = .*)?")
_ROW = re.compile(r"\| (T\d+) \|")


def quoted(text: str) -> list[str]:
    return _QUOTED.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def rows(text: str) -> dict[str, str]:
    return {match[1]: line for line in text.split("\n") if (match := _ROW.match(line))}


@cache
def names_in(file: Path) -> set[str]:
    defined = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_bytes())
    return {node.name for node in ast.walk(tree) if isinstance(node, defined)}


def is_there(shown: str) -> bool:
    """Return whether what is named as a test or a figure is one."""
    benchmark = _BENCHMARK.fullmatch(shown)
    if benchmark is not None:
        return (ROOT / "benchmarks" / f"{benchmark[1]}.py").is_file()
    match = _TEST.fullmatch(shown)
    if match is None:
        return False
    file, name = ROOT / match["file"], match["name"]
    if not file.is_file():
        return False
    if name is None:
        return file.name.startswith("test_")
    return name in (names_in(file) if file.suffix == ".py" else file.read_text(encoding="utf-8"))


def is_evidence(shown: str) -> bool:
    return bool(_BENCHMARK.fullmatch(shown) or _TEST.fullmatch(shown))


def unknown(text: str) -> Iterator[str]:
    """Yield what is written as an option or a section, and is none."""
    for shown in quoted(text):
        section, option = _SECTION.fullmatch(shown), _OPTION.fullmatch(shown)
        if section is not None and section[1] not in SECTIONS:
            yield shown
        if option is not None and option[1] not in OPTIONS | OTHER_WORDS:
            yield shown


def test_each_threat_has_one_row_and_each_row_something_that_shows_it() -> None:
    found = rows(DOC)

    assert re.findall(r"^\| (T\d+) \|", DOC, re.MULTILINE) == THREATS
    bare = [threat for threat, row in found.items() if not any(map(is_evidence, quoted(row)))]
    assert bare == []


def test_each_test_that_is_named_is_there() -> None:
    assert [shown for shown in quoted(DOC) if is_evidence(shown) and not is_there(shown)] == []


def test_each_option_that_is_named_is_one() -> None:
    assert list(unknown(DOC)) == []


@pytest.mark.parametrize(
    "shown",
    [
        "tests/test_none.py",
        "tests/test_none.py::test_x",
        "tests/test_layout.py::test_nothing_of_the_kind",
        "tests/conftest.py",
        "js/test/tickets.test.mjs::a title of no test",
        "python -m benchmarks.none",
        "tests/test_layout.py and more",
    ],
)
def test_what_is_not_there_is_seen(shown: str) -> None:
    assert not is_there(shown)


def test_an_option_that_is_none_is_seen() -> None:
    text = "`origins = *`, `orgins`, `[limits]`, `[limit]`, `Policy.decide`\n```\n`x`\n```"
    assert list(unknown(text)) == ["orgins", "[limit]"]


def test_the_file_for_the_internet_loads(tmp_path: Path) -> None:
    (text,) = re.findall(r"```ini\n(.*?)```", DOC, re.DOTALL)
    own = made("gw.example")
    written(tmp_path / "fullchain.pem", own.public)
    written(tmp_path / "privkey.pem", own.private)
    written(tmp_path / "2026a.key", bytes(range(1, 33)))

    loaded = ini.loads(text.replace("/etc/sockproxy", str(tmp_path)))
    assert loaded.settings.backends["irc"].principals == ("*",)
