"""Does the demo listen on loopback only, choose a free port, and say where it is?"""

from __future__ import annotations

import errno
import sys
from io import StringIO

import pytest
from twisted.internet.testing import MemoryReactorClock

from sockproxy.demo.start import ORIGINS, Demo, demo_settings, free_endpoint, make_demo, url_of

ENDPOINT = "tcp:8080:interface=127.0.0.1"


def test_the_demo_listens_on_loopback_and_greets() -> None:
    reactor = MemoryReactorClock()
    said: list[str] = []
    demo = Demo(reactor, ENDPOINT, said.append)
    demo.privilegedStartService()
    demo.startService()
    assert [server[3] for server in reactor.tcpServers] == ["127.0.0.1"] * 4
    assert [server[0] for server in reactor.tcpServers] == [0, 0, 0, 8080]
    (greeting,) = said
    assert "With faults  http://" in greeting
    assert '<script src="http://127.0.0.1:8080/sockproxy.js"></script>' in greeting
    demo.stopService()
    assert not demo.running


def test_the_settings_are_those_of_an_ordinary_file() -> None:
    settings = demo_settings(ENDPOINT, {"irc": 1, "echo": 2})
    assert settings.sockproxy.playground
    assert [listener.endpoint for listener in settings.listeners.values()] == [ENDPOINT]
    assert {name: backend.origins for name, backend in settings.backends.items()} == {
        "irc": ORIGINS,
        "echo": ORIGINS,
    }


def test_the_next_free_port_is_taken() -> None:
    assert free_endpoint(lambda port: port > 8081) == "tcp:8082:interface=127.0.0.1"


def test_no_free_port_says_what_to_do() -> None:
    with pytest.raises(OSError, match=r"no free port from 8080 to 8179: choose one with --listen"):
        free_endpoint(lambda _: False)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (ENDPOINT, "http://127.0.0.1:8080"),
        ("tcp:9000", "http://127.0.0.1:9000"),
        ("tcp:port=9000:interface=0.0.0.0", "http://127.0.0.1:9000"),
        (r"tcp:9000:interface=\:\:1", "http://[::1]:9000"),
        ("unix:/run/demo.sock", "unix:/run/demo.sock"),
    ],
)
def test_the_url_follows_the_endpoint(endpoint: str, url: str) -> None:
    assert url_of(endpoint) == url


def test_without_a_port_there_are_no_faults() -> None:
    said: list[str] = []
    reactor = MemoryReactorClock()
    demo = Demo(reactor, "unix:/run/demo.sock", said.append)
    demo.startService()
    assert "With faults  not here" in said[0]
    assert len(reactor.tcpServers) == 2
    demo.stopService()


def test_listen_overrides_the_port() -> None:
    reactor = MemoryReactorClock()
    make_demo(reactor, "tcp:9000").startService()
    assert reactor.tcpServers[-1][0] == 9000


class Full(StringIO):
    """A stdout on a disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_greeting_that_cannot_be_written_is_no_reason_not_to_serve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "__stdout__", Full())
    demo = make_demo(MemoryReactorClock(), ENDPOINT)

    demo.startService()
    assert demo.running
    demo.stopService()
