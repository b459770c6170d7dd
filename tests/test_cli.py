"""Does the command line answer on the right stream, with the right status?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sockproxy import cli, ini
from sockproxy.settings import Limits, Service

SMALLEST = """\
[listen web]
endpoint = tcp:8080

[backend irc]
target = tcp:irc.example.org:6667
origins = https://app.example
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "proxy.ini"
    path.write_text(SMALLEST)
    return path


def test_a_good_file_is_ok(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(file)]) == 0

    said = capsys.readouterr()
    assert said.out == f"{file}: ok, 1 listener, 1 backend, 0 access rules\n"
    assert said.err == ""


def test_a_bad_file_is_told_on_the_error_stream(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(SMALLEST.replace("origins", "orgins"))

    assert cli.main(["check", str(file)]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"{file}:4: [backend irc]: no page may use it; add origins = https://app.example\n"
        f'{file}:6: [backend irc] orgins: unknown option, did you mean "origins"?\n'
    )


def test_a_missing_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(tmp_path / "absent.ini")]) == 1

    assert "absent.ini: cannot be read: No such file" in capsys.readouterr().err


def test_the_defaults_load_again_and_are_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["defaults"]) == 0

    settings = ini.loads(capsys.readouterr().out).settings
    assert settings.limits == Limits()
    assert settings.sockproxy == Service()
    assert set(settings.backends) == set(settings.access) == set(settings.listeners) == {"example"}


def test_every_commented_default_is_the_default() -> None:
    lines = [line[1:] if is_commented_option(line) else line for line in cli.defaults()]

    said = ini.loads("\n".join(lines)).settings
    assert said == ini.loads("\n".join(cli.defaults())).settings


def is_commented_option(line: str) -> bool:
    return line.startswith("#") and not line.startswith("# ")


def test_the_defaults_say_every_option_once_with_its_meaning() -> None:
    lines = list(cli.defaults())

    for model in [*ini.SINGLE.values(), *(model for _, model in ini.NAMED.values())]:
        for name, field in model.model_fields.items():
            assert any(line.lstrip("#").startswith(f"{name} = ") for line in lines)
            assert (field.description or "").split()[0] in " ".join(lines)
    assert all(len(line) <= cli.WIDTH + len("# ") for line in lines)


@pytest.mark.parametrize("arguments", [[], ["chek"], ["check"], ["defaults", "more"]])
def test_a_wrong_command_line_says_how_to_use_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)

    assert caught.value.code == 2
    assert "usage: python -m sockproxy" in capsys.readouterr().err


def test_python_runs_it_and_hands_on_the_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sockproxy", "check", str(tmp_path / "absent.ini")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


EXPLAINED = f"""{SMALLEST}
[access chat]
origins = https://app.example
allow =
    chat.example.org:6667
    *.example.net:80-90
deny = bad.example.net
[forward_auth]
url = http://127.0.0.1:8000/
[backend mine]
target = tcp:127.0.0.1:1
origins = https://app.example
principals = alice
"""


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        (
            ("https://app.example", "-", "irc"),
            0,
            "allowed: https://app.example may reach irc\n"
            "  FILE:6: [backend irc] origins = https://app.example\n",
        ),
        (
            ("https://app.example", "-", "www.example.net:81"),
            0,
            "allowed: https://app.example may reach www.example.net:81\n"
            "  FILE:12: [access chat] allow = *.example.net:80-90\n"
            "  each address of the host is checked again when it is connected to\n",
        ),
        (
            ("https://app.example", "-", "bad.example.net:81"),
            1,
            "denied: bad.example.net:81 is named by deny\n"
            "  FILE:13: [access chat] deny = bad.example.net\n",
        ),
        (
            ("https://evil.example", "-", "irc"),
            1,
            "denied: backend irc: origin https://evil.example is not listed; add to a [backend]: "
            "origins = https://evil.example\n  FILE:6: [backend irc] origins\n",
        ),
        (("-", "-", "[::1]:80"), 1, "denied: no [access] allows ::1:80\n"),
        (("-", "-", "nothing"), 1, "denied: no backend nothing\n"),
        (
            ("https://app.example", "bob", "127.0.0.1:1"),
            1,
            "denied: backend mine: not open to bob\n  FILE:19: [backend mine] principals\n",
        ),
        (
            ("https://app.example", "alice", "mine"),
            0,
            "allowed: https://app.example may reach mine\n"
            "  FILE:18: [backend mine] origins = https://app.example\n",
        ),
        (
            ("https://app.example", "bob", "mine"),
            1,
            "denied: backend mine: not open to bob\n  FILE:19: [backend mine] principals\n",
        ),
        (
            ("https://app.example", "-", "mine"),
            1,
            "denied: backend mine: a ticket is needed\n  FILE:19: [backend mine] principals\n",
        ),
    ],
)
def test_the_rule_that_decides_is_told_with_its_line(
    file: Path, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...], status: int, told: str
) -> None:
    file.write_text(EXPLAINED)

    assert cli.main(["explain", "--config", str(file), *asked]) == status
    assert capsys.readouterr().out == told.replace("FILE", str(file))


def test_what_an_included_file_says_is_told_with_its_name(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = file.with_name("chat.ini")
    chat.write_text(EXPLAINED.removeprefix(SMALLEST))
    file.write_text(f"{SMALLEST}[sockproxy]\ninclude = ch*.ini\n")

    assert cli.main(["check", str(file)]) == 0
    assert capsys.readouterr().out.endswith(" 1 access rule, 1 file included\n")
    asked = ["https://app.example", "-", "bad.example.net:81"]
    assert cli.main(["explain", "--config", str(file), *asked]) == 1
    assert f"  {chat}:7: [access chat] deny = bad.example.net\n" in capsys.readouterr().out
    chat.write_text(EXPLAINED.removeprefix(SMALLEST).replace("deny", "denny"))
    assert cli.main(["check", str(file)]) == 1
    assert capsys.readouterr().err.startswith(f"{chat}:7: [access chat] denny: unknown option")


@pytest.mark.parametrize("target", ["irc:06667", "irc.example.org:x", "0x7f.1:80", "IRC", "a:0"])
def test_what_is_no_target_is_not_explained(
    file: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    assert cli.main(["explain", "--config", str(file), "-", "-", target]) == 2
    assert capsys.readouterr().out == ""
