"""Is the tree as CONTRIBUTING says: small files, one test file for each module?"""

from __future__ import annotations

import ast
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sockproxy"
TESTS = ROOT / "tests"

FILE_BUDGET_LINES = 300
TEST_BUDGET_LINES = 400
FUNCTION_BUDGET_LINES = 30

# Driven whole, by tests that start a process or need more than one module.
TESTED_ELSEWHERE = {"__main__.py"}
TESTS_OF_THE_WHOLE = {
    "core/test_model_bites.py",
    "core/test_session_model.py",
    "demo/test_pages.py",
    "test_conftest_guard.py",
    "test_layout.py",
    "test_packaging.py",
    "test_security_doc.py",
}
FOLDERS_OF_THE_WHOLE = {"browser", "faults", "fuzz", "integration"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
TEST_FILES = sorted(
    path
    for path in TESTS.rglob("test_*.py")
    if path.relative_to(TESTS).as_posix() not in TESTS_OF_THE_WHOLE
    and path.relative_to(TESTS).parts[0] not in FOLDERS_OF_THE_WHOLE
)
SOURCES = sorted([*PACKAGE.rglob("*.py"), *TESTS.rglob("*.py"), *ROOT.glob("benchmarks/**/*.py")])


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def code_lines(path: Path) -> set[int]:
    """Lines that hold code: neither blank, nor comment, nor docstring."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    silent |= {tokenize.ENCODING, tokenize.ENDMARKER}
    with path.open("rb") as file:
        lines = {
            line
            for token in tokenize.tokenize(file.readline)
            if token.type not in silent
            for line in range(token.start[0], token.end[0] + 1)
        }
    return lines - set(docstring_lines(ast.parse(path.read_bytes())))


def docstring_lines(tree: ast.Module) -> Iterator[int]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            first = node.body[0]
            yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def tracked() -> list[Path]:
    """What git knows, or nothing where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("module", named(MODULES))
def test_each_module_has_its_test_file(module: Path) -> None:
    within = module.relative_to(PACKAGE)
    if within.name not in TESTED_ELSEWHERE:
        assert (TESTS / within.with_name(f"test_{within.name}")).exists()


@pytest.mark.parametrize("test_file", named(TEST_FILES))
def test_each_test_file_has_its_module(test_file: Path) -> None:
    within = test_file.relative_to(TESTS)
    assert (PACKAGE / within.with_name(within.name.removeprefix("test_"))).exists()


@pytest.mark.parametrize("source", named(SOURCES))
def test_each_file_opens_with_the_question_it_answers(source: Path) -> None:
    if source.name == "__init__.py":
        return
    docstring = ast.get_docstring(ast.parse(source.read_bytes()))
    assert docstring is not None
    assert "?" in docstring.partition("\n")[0]


@pytest.mark.parametrize("source", named(SOURCES))
def test_files_and_functions_stay_small(source: Path) -> None:
    lines = code_lines(source)
    assert len(lines) <= (TEST_BUDGET_LINES if TESTS in source.parents else FILE_BUDGET_LINES)
    for function in functions(source):
        own = lines & set(range(function.lineno, (function.end_lineno or 0) + 1))
        assert len(own) <= FUNCTION_BUDGET_LINES, function.name


def test_nothing_of_twisted_is_ours_but_the_plugin() -> None:
    ours = [path for path in (ROOT / "twisted").rglob("*.py*") if "__pycache__" not in path.parts]
    assert ours == [ROOT / "twisted/plugins/sockproxy_plugin.py"]


def test_the_plugin_imports_nothing_but_service_maker() -> None:
    tree = ast.parse((ROOT / "twisted/plugins/sockproxy_plugin.py").read_bytes())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == [
        "from twisted.application.service import ServiceMaker"
    ]


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    here = re.compile(rb"%s\b|(?<![\w.:/])/(?:home|root|Users)/\w" % re.escape(bytes(ROOT)))
    offenders = [path for path in tracked() if here.search(path.read_bytes())]
    assert offenders == []
