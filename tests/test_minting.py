"""Does a ticket from the command line open what its file says, and is a bad one explained?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sockproxy import cli, ini
from sockproxy.policy.ticket import verify
from tests.tickets import PRIVATE, PUBLIC, SHARED, mint

SMALLEST = "[listen web]\nendpoint = tcp:8080\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOCKPROXY_TEST_KEY", SHARED.decode())
    (tmp_path / "new.pem").write_bytes(PUBLIC)
    keys = f"keys =\n  old HS256 env:SOCKPROXY_TEST_KEY\n  new EdDSA file:{tmp_path}/new.pem\n"
    written = tmp_path / "proxy.ini"
    backends = "".join(
        f"[backend {name}]\ntarget = tcp:127.0.0.1:1\norigins = https://app.example\n"
        for name in ("irc", "redis")
    )
    written.write_text(f"{SMALLEST}{backends}[tickets]\n{keys}")
    return written


@pytest.fixture
def private(tmp_path: Path) -> str:
    pem = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "private.pem"
    path.write_bytes(pem)
    path.chmod(0o600)
    return f"file:{path}"


def minted(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    status = cli.main(["ticket", "mint", "alice", "--config", str(file), *more])
    said = capsys.readouterr()
    assert status == 0, said.err
    return said.out.strip()


def inspected(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shown: str
) -> tuple[int, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(shown + "\n"))
    status = cli.main(["ticket", "inspect", "--config", str(file)])
    said = capsys.readouterr()
    return status, said.out + said.err


def test_a_ticket_is_minted_and_read(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = minted(
        file,
        capsys,
        *("--origin", "https://app.example", "--backend", "irc", "--backend", "redis"),
        *("--streams", "2", "--bytes", "10MiB", "--good-for", "5m"),
    )
    status, said = inspected(file, capsys, monkeypatch, shown)

    shape, _, verdict = said.rpartition("}\n")
    claims = json.loads(shape + "}")["claims"]
    assert status == 0
    assert verdict.startswith("good for 30")
    assert claims["sub"] == "alice"
    assert claims["backends"] == ["irc", "redis"]
    assert claims["origin"] == ["https://app.example"]
    assert (claims["streams"], claims["bytes"]) == (2, 10 * 1024 * 1024)
    assert len(claims["jti"]) == 32


def test_a_pair_of_keys_signs_with_its_private_half(
    file: Path, private: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = minted(file, capsys, "--kid", "new", "--private-key", private)

    now = jwt.decode(shown, options={"verify_signature": False})["exp"] - 60
    assert verify(shown, ini.load(str(file)).tickets, now).principal == "alice"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--kid", "none"), "no key none; there are old, new\n"),
        (("--kid", "new"), "key new is public; add --private-key file:PATH\n"),
        (("--good-for", "2h"), "the file would refuse it: the ticket is good for 720"),
        (("--good-for", "60"), "'60': write a duration such as 30s, 5m or 250ms\n"),
        (("--bytes", "many"), "'many': write a size such as 64KiB, 4MiB or 100kB\n"),
        (("--streams", "0"), "the file would refuse it: streams: input should be greater than"),
        (("--backend", "nope"), "FILE has no [backend nope] or [access nope]\n"),
        (
            ("--origin", "https://a.example/"),
            "--origin https://a.example/: 'https://a.example/' is",
        ),
        (("--origin", "https://*.a.example"), "--origin https://*.a.example: name one page\n"),
        (("--private-key", "x", "--kid", "new"), "a secret is written file:PATH or env:NAME\n"),
    ],
)
def test_what_is_not_minted_is_explained(
    file: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], reason: str
) -> None:
    assert cli.main(["ticket", "mint", "alice", "--config", str(file), *more]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(reason.replace("FILE", str(file)))


def test_a_key_that_signs_nothing_is_told(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.pem").write_text("no key")
    (tmp_path / "bad.pem").chmod(0o600)
    bad = f"file:{tmp_path}/bad.pem"

    command = ["ticket", "mint", "alice", "--config", str(file), "--kid", "new"]
    assert cli.main([*command, "--private-key", bad]) == 2


def test_without_keys_there_are_no_tickets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.ini"
    plain.write_text(SMALLEST)

    assert cli.main(["ticket", "mint", "alice", "--config", str(plain)]) == 2
    assert capsys.readouterr().err == f"{plain} has no [tickets] keys\n"


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (mint(exp=1), "refused: the ticket expired"),
        (mint(key=b"x" * 32), "refused: the ticket's signature is wrong\n"),
        ("hello", "no ticket: three parts in base64, with points between\n"),
        ("", "no ticket: three parts in base64, with points between\n"),
    ],
)
def test_a_bad_ticket_is_explained(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    shown: str,
    reason: str,
) -> None:
    status, said = inspected(file, capsys, monkeypatch, shown)

    assert status == 1
    assert reason in said
