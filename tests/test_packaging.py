"""Does what is installed hold everything, and do twistd and twist know it?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PLUGIN = "twisted/plugins/sockproxy_plugin.py"
SOURCES = ("sockproxy", "twisted")
FILES = ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
COMMANDS = ("twistd", "twist")
LISTED = "TCP sockets for web pages."


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, which a build may litter."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*build, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = out.iterdir()
    return wheel


@pytest.fixture(scope="module")
def unzipped(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unzipped")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def helped(command: str, folder: Path, *paths: Path) -> str:
    """Return what a command says of itself in `folder`.

    With `paths`, these and the installed packages are all it finds: -S passes over the
    .pth file of an editable install.
    """
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    if paths:
        installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        environment["PYTHONPATH"] = os.pathsep.join([*map(str, paths), *sorted(installed)])
    python = [sys.executable, "-S"] if paths else [sys.executable]
    script = Path(sysconfig.get_path("scripts")) / command
    return run([*python, script, "--help"], folder, environment)


def run(words: Sequence[object], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run to the end and return what was said; it must end well."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment that has only our dependencies.

    A path in a .pth file is no site folder: the .pth of the editable install around us,
    which would make every test pass, stays unread.
    """
    venv.create(tmp_path / "venv", symlinks=True)
    interpreter = tmp_path / "venv/bin/python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run([interpreter, "-c", ask], tmp_path).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return interpreter


def install(python: Path, folder: Path, *what: str | Path) -> None:
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", *what], folder)


def assert_both_list_us(python: Path, folder: Path) -> None:
    for command in COMMANDS:
        script = Path(sysconfig.get_path("scripts")) / command
        assert lists_us(run([python, script, "--help"], folder)), command


def lists_us(text: str) -> bool:
    return "sockproxy" in text and LISTED in " ".join(text.split())


def test_the_wheel_holds_one_file_under_twisted(names: list[str]) -> None:
    assert [name for name in names if name.startswith("twisted/")] == [PLUGIN]


def test_no_package_file_stands_under_twisted() -> None:
    assert list((ROOT / "twisted").rglob("__init__.py")) == []


@pytest.mark.parametrize("part", ["sockproxy/static", "sockproxy"])
def test_the_wheel_holds_every_file(part: str, names: list[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files
    assert files == {name for name in names if name.startswith(f"{part}/")}


def test_the_wheel_says_that_it_is_typed_and_licensed(names: list[str]) -> None:
    assert "sockproxy/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)


def test_the_wheel_installs_nothing_else(names: list[str]) -> None:
    tops = {name.partition("/")[0] for name in names}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"sockproxy", "twisted"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_list_what_is_installed(command: str, tmp_path: Path) -> None:
    assert lists_us(helped(command, tmp_path))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_list_a_source_tree(command: str, source: Path, tmp_path: Path) -> None:
    assert lists_us(helped(command, tmp_path, source))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_list_an_unzipped_wheel(command: str, unzipped: Path, tmp_path: Path) -> None:
    assert lists_us(helped(command, tmp_path, unzipped))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_list_nothing_where_there_is_nothing(command: str, tmp_path: Path) -> None:
    assert not lists_us(helped(command, tmp_path, tmp_path))


def test_the_commands_list_an_installed_wheel(python: Path, wheel: Path, tmp_path: Path) -> None:
    install(python, tmp_path, wheel)
    assert_both_list_us(python, tmp_path)


def test_the_commands_list_an_editable_install(python: Path, source: Path, tmp_path: Path) -> None:
    install(python, tmp_path, "--editable", source)
    assert_both_list_us(python, tmp_path)


def test_the_sdist_holds_what_make_test_needs(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT]
    run(build, tmp_path)
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"Makefile", "LICENSE", "js/package.json", "js/src/session.js", "tools/need-apt.sh"}
    assert needed | {"tests/conftest.py", "tests/apt.txt", "tests/lowest.txt"} <= names
    assert not {name for name in names if "node_modules" in name or "dropin.cache" in name}


def test_the_lowest_versions_that_we_promise_are_those_we_test() -> None:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    needed = config["options"]["install_requires"]
    promised = re.findall(r"^(\w+).*?>=([\d.]+)", needed, re.MULTILINE)
    lowest = (ROOT / "tests/lowest.txt").read_text(encoding="utf-8")
    tested = re.findall(r"^(\w+)==([\d.]+)$", lowest, re.MULTILINE)
    assert len(promised) == len(needed.split())
    assert {name: Version(text) for name, text in tested} == {
        name: Version(text) for name, text in promised
    }
