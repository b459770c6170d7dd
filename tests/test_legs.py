"""Does a backend load only where it can work, and where no page gets round its header?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sockproxy import legs
from sockproxy.endpoint import parse_target
from sockproxy.policy.destination import parse
from sockproxy.settings import Access, Backend
from tests.certificates import Authority, keep, new_key, written


def backend(target: str = "tcp:irc.example.org:6667", **options: object) -> Backend:
    origins = ("https://app.example",)
    return Backend.model_validate({"target": parse_target(target), "origins": origins, **options})


def test_a_whole_backend_has_no_problem(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    keep(tmp_path / "own.pem", authority.signed("page.example"))
    files = f"ca={authority.file}:certificate={tmp_path}/own.pem"

    assert [*legs.problems(backend(f"tls:irc.example.org:6697:{files}"))] == []
    assert [*legs.problems(backend(webirc_password="hunter2", webirc_gateway="gw"))] == []


def test_webirc_is_a_password_and_a_gateway() -> None:
    assert [*legs.problems(backend(webirc_password="hunter2"))] == [
        ("webirc_password", "WEBIRC names a gateway too; add webirc_gateway = NAME")
    ]
    assert [*legs.problems(backend(webirc_gateway="gw"))] == [
        ("webirc_gateway", "WEBIRC needs a password; add webirc_password = file:PATH")
    ]


def test_every_file_of_a_tls_backend_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "own.pem").write_bytes(b"\xff" * 100)
    files = f"ca={tmp_path}/ca.pem:certificate={tmp_path}/own.pem:privateKey={tmp_path}/k.pem"

    assert [*legs.problems(backend(f"tls:irc.example.org:6697:{files}"))] == [
        ("target", f"'{tmp_path}/ca.pem' holds no certificate in PEM"),
        ("target", f"'{tmp_path}/own.pem' holds no certificate in PEM"),
        ("target", f"'{tmp_path}/k.pem' cannot be read: No such file or directory"),
    ]


def test_a_key_needs_its_own_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    keep(tmp_path / "own.pem", authority.signed("page.example"))
    keep(tmp_path / "k.pem", written(new_key()))
    key = f"privateKey={tmp_path}/k.pem"

    assert [*legs.problems(backend(f"tls:irc.example.org:6697:{key}"))] == [
        ("target", "privateKey= needs the certificate of the key; add certificate=FILE")
    ]
    both = f"certificate={tmp_path}/own.pem:{key}"
    assert [*legs.problems(backend(f"tls:irc.example.org:6697:{both}"))] == [
        ("target", f"'{tmp_path}/k.pem' holds the key of another certificate")
    ]


@pytest.mark.parametrize("target", ["tcp:127.0.0.1:80", "unix:/run/web.sock"])
def test_a_second_backend_is_no_way_round_a_header(target: str) -> None:
    believed = backend(target, proxy_protocol="v2")
    plain = {"plain": backend(target), "other": backend("tcp:127.0.0.1:81")}

    assert [*legs.ways_round({"web": believed, **plain}, {})] == [
        (
            "backend plain",
            "target",
            "[backend web] has the same target and a proxy_protocol; add it here too",
        )
    ]
    alike = {"web": believed, "alike": backend(target, proxy_protocol="v1")}
    assert [*legs.ways_round(alike, {})] == []
    assert [*legs.ways_round(plain, {})] == []


def test_a_host_that_a_page_chooses_is_no_way_round_a_header() -> None:
    backends = {
        "web": backend("tcp:10.0.0.1:80", proxy_protocol="v1"),
        "local": backend("unix:/run/web.sock", proxy_protocol="v1"),
    }
    wide = Access(allow=(parse("10.0.0.0/8:80"),))
    denied = Access(allow=wide.allow, deny=(parse("10.0.0.1", any_port=True),))
    elsewhere = Access(allow=(parse("10.0.0.0/8:81"),))

    sections = {"wide": wide, "denied": denied, "elsewhere": elsewhere}
    assert [*legs.ways_round(backends, sections)] == [
        (
            "access wide",
            "allow",
            "a page could write the PROXY header of [backend web] by this; deny it",
        )
    ]
