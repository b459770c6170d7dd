"""Does what we ship install everywhere, show up in twistd, and leave Twisted alone?

Each way of installing gets an environment of its own, which borrows the dependencies of
this one. twistd is asked from a folder that has nothing to do with the project.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
PLUGIN = "twisted/plugins/sockproxy_plugin.py"
LINE = "sockproxy         TCP sockets for web pages."
PROGRAMS = {
    "twistd": "from twisted.scripts.twistd import run; run()",
    "twist": "from twisted.application.twist._twist import Twist; Twist.main()",
}


@dataclass(frozen=True, slots=True)
class Built:
    """What `python -m build` makes, and the source tree that it packed."""

    wheel: Path
    sdist: Path
    tree: Path


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run to the end; what goes wrong is in the message."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**clean, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "tree", filter="data")
    (tree,) = (folder / "tree").iterdir()
    return Built(wheel, sdist, tree)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an empty environment that can import our dependencies.

    A path in a .pth file is no site folder: the .pth of our own editable install, which
    would make every test pass, stays unread.
    """
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    interpreter = tmp_path / "venv/bin/python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(run(interpreter, "-c", ask, cwd=tmp_path).strip())
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return interpreter


def install(python: Path, *what: str | Path, cwd: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", *what, cwd=cwd)


def listed(python: Path, program: str, cwd: Path, **environment: str) -> bool:
    shown = run(python, "-c", PROGRAMS[program], "--help", cwd=cwd, **environment)
    return any(" ".join(line.split()) == " ".join(LINE.split()) for line in shown.splitlines())


def under(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_adds_one_file_to_twisted(built: Built) -> None:
    with ZipFile(built.wheel) as archive:
        names = archive.namelist()
    ours = ("sockproxy/", "sockproxy-")
    assert [name for name in names if not name.startswith(ours)] == [PLUGIN]


def test_the_wheel_holds_what_is_served_and_the_types(built: Built) -> None:
    with ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    assert {"sockproxy/py.typed", "sockproxy/static/sockproxy.js"} <= names
    static = {f"sockproxy/static/{name}" for name in under(ROOT / "sockproxy/static")}
    assert {name for name in names if name.startswith("sockproxy/static/")} == static


def test_the_sdist_holds_what_the_tests_need(built: Built) -> None:
    names = under(built.tree)
    needed = {"js/package.json", "js/src/session.js", "tests/conftest.py", "Makefile", "LICENSE"}
    assert needed <= names
    assert not {name for name in names if "node_modules" in name or "dropin.cache" in name}


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_listed_before_it_is_installed(
    tmp_path: Path, python: Path, program: str
) -> None:
    assert not listed(python, program, tmp_path)


def test_a_wheel_is_listed(tmp_path: Path, python: Path, built: Built) -> None:
    install(python, built.wheel, cwd=tmp_path)
    assert listed(python, "twistd", tmp_path)
    assert listed(python, "twist", tmp_path)


def test_an_editable_install_is_listed(tmp_path: Path, python: Path, built: Built) -> None:
    install(python, "--editable", built.tree, cwd=tmp_path)
    assert listed(python, "twistd", tmp_path)
    assert listed(python, "twist", tmp_path)


def test_a_source_tree_is_listed(tmp_path: Path, python: Path, built: Built) -> None:
    assert listed(python, "twistd", tmp_path, PYTHONPATH=str(built.tree))
    assert listed(python, "twist", tmp_path, PYTHONPATH=str(built.tree))
