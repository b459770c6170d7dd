"""Does a real twistd start, serve, stop and refuse to start as the documents say?"""

from __future__ import annotations

import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

BIN = Path(sys.executable).parent
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 15

INI = """\
[listen web]
endpoint = tcp:{port}:interface=127.0.0.1

[backend irc]
target = tcp:irc.example.org:6667
origins = https://app.example
"""


@pytest.fixture
def occupied() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@contextmanager
def started(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [str(BIN / command[0]), *command[1:]],
        cwd=folder,
        bufsize=0,  # select sees all that is to be read
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_with(pattern: str, output: IO[bytes] | None) -> re.Match[str]:
    """Read on until a line matches."""
    assert output is not None
    seen = ""
    while select.select([output], [], [], START_TIMEOUT_S)[0]:
        line = output.readline().decode()
        seen += line
        if found := re.search(pattern, line):
            return found
        if not line:
            break
    raise AssertionError(f"no line with {pattern} in:\n{seen}")


def stopped(process: subprocess.Popen[bytes]) -> str:
    """Ask it to end, and return what it said from here on."""
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=STOP_TIMEOUT_S)
    return said.decode()


def refused(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run what is not to start."""
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )


def test_a_file_is_served_until_the_process_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "proxy.ini").write_text(INI.format(port=0))

    with started(tmp_path, "twistd", "-n", "sockproxy", "--config", "proxy.ini") as process:
        port = line_with(r"Front starting on (\d+)", process.stdout)[1]
        with urlopen(f"http://127.0.0.1:{port}/sockproxy.js") as answer:
            assert answer.status == 200
        with pytest.raises(HTTPError, match="404") as missing:
            urlopen(f"http://127.0.0.1:{port}/")
        missing.value.close()
        said = stopped(process)

    assert "Traceback" not in said
    assert process.returncode == -signal.SIGTERM  # twistd passes on what it was told
    assert not (tmp_path / "twistd.pid").exists()


@pytest.mark.parametrize("program", [("twistd", "-n", "--reactor=poll"), ("twist",)])
def test_the_demo_needs_no_file(tmp_path: Path, program: tuple[str, ...]) -> None:
    listen = "tcp:0:interface=127.0.0.1"
    with started(tmp_path, *program, "sockproxy", "--demo", "--listen", listen) as process:
        line_with(r"The sockproxy demo is running", process.stdout)
        said = stopped(process)

    assert "Traceback" not in said


def test_a_taken_address_ends_twistd_with_the_line_of_the_file(
    tmp_path: Path, occupied: int
) -> None:
    (tmp_path / "proxy.ini").write_text(INI.format(port=occupied))

    ended = refused(tmp_path, "twistd", "-n", "sockproxy", "--config", "proxy.ini")

    assert ended.returncode == 1
    last = (ended.stdout + ended.stderr).splitlines()[-1]
    said = "proxy.ini:2: [listen web] endpoint: cannot listen: Address already in use"
    assert last.endswith(said)
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not (tmp_path / "twistd.pid").exists()


def test_an_included_file_is_served_and_told_of_by_its_name(tmp_path: Path, occupied: int) -> None:
    (tmp_path / "proxy.ini").write_text("[sockproxy]\ninclude = conf.d/*.ini\n")
    (tmp_path / "conf.d").mkdir()
    web = tmp_path / "conf.d" / "web.ini"

    web.write_text(INI.format(port=0))
    with started(tmp_path, "twistd", "-n", "sockproxy", "--config", "proxy.ini") as process:
        line_with(r"Front starting on (\d+)", process.stdout)
    web.write_text(INI.format(port=occupied))
    ended = refused(tmp_path, "twistd", "-n", "sockproxy", "--config", "proxy.ini")
    assert ended.returncode == 1
    assert "conf.d/web.ini:2: [listen web] endpoint: cannot listen" in ended.stderr + ended.stdout


def test_a_daemon_tells_its_parent_that_the_address_is_taken(tmp_path: Path, occupied: int) -> None:
    (tmp_path / "proxy.ini").write_text(INI.format(port=occupied))

    ended = refused(tmp_path, "twistd", "sockproxy", "--config", "proxy.ini")

    assert ended.returncode == 1
    assert "proxy.ini:2: [listen web] endpoint: cannot listen" in ended.stderr
    assert "Traceback" not in ended.stdout + (tmp_path / "twistd.log").read_text()
    assert not (tmp_path / "twistd.pid").exists()


@pytest.mark.parametrize("program", [("twistd", "-n"), ("twist",)], ids=["twistd", "twist"])
def test_a_bad_file_ends_with_all_that_is_wrong_and_nothing_else(
    tmp_path: Path, program: tuple[str, ...]
) -> None:
    text = INI.format(port=0).replace("https://app.example", "app.example")
    (tmp_path / "proxy.ini").write_text(text + "reveal_adress = yes\n")

    ended = refused(tmp_path, *program, "sockproxy", "--config", "proxy.ini")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert [line.partition(": ")[0] for line in ended.stderr.splitlines()] == [
        "proxy.ini:6",
        "proxy.ini:7",
    ]
