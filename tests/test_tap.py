"""Does the command line start what it says, and end with one line where it cannot?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IServiceCollection
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.python import usage

from sockproxy.tap import CannotStart, Options, Root, chosen, tree

SMALLEST = """\
[listen web]
endpoint = tcp:8080

[backend irc]
target = tcp:irc.example.org:6667
origins = https://app.example
"""


class OccupiedReactor(MemoryReactorClock):
    """Where another process has every port but those that the system chooses."""

    def listenTCP(self, port: int, *args: Any, **named: Any) -> Any:
        if port:
            raise CannotListenError("", port, OSError(98, "Address already in use"))
        return super().listenTCP(port, *args, **named)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "proxy.ini"
    path.write_text(SMALLEST)
    return str(path)


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


def listeners(*arguments: str) -> dict[str, str]:
    options = parsed(*arguments)
    assert options.loaded is not None
    settings = chosen(options, options.loaded.settings)
    return {name: listener.endpoint for name, listener in settings.listeners.items()}


def test_the_file_says_where_to_listen(file: str) -> None:
    assert listeners("--config", file) == {"web": "tcp:8080"}


def test_listen_takes_the_place_of_the_file(file: str) -> None:
    assert listeners("--config", file, "--listen", "tcp:9") == {"command-line": "tcp:9"}


@pytest.mark.parametrize("arguments", [(), ("--demo", "--config", "proxy.ini")])
def test_a_file_or_the_demo_must_be_chosen(arguments: tuple[str, ...]) -> None:
    with pytest.raises(usage.UsageError, match="either --config FILE or --demo"):
        parsed(*arguments)


def test_an_endpoint_on_the_command_line_is_checked() -> None:
    with pytest.raises(usage.UsageError, match="--listen 'tpc:1' is no Twisted server endpoint"):
        parsed("--demo", "--listen", "tpc:1")


def test_a_bad_file_ends_with_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "proxy.ini"
    path.write_text(SMALLEST.replace("origins", "orgins"))

    with pytest.raises(CannotStart, match=r'proxy.ini:6: .* did you mean "origins"'):
        parsed("--config", str(path))


@pytest.mark.parametrize("privileged", [True, False], ids=["twistd", "twist"])
def test_an_occupied_address_names_section_key_and_line(file: str, privileged: bool) -> None:
    options = parsed("--config", file)
    root = Root(tree(options, OccupiedReactor()), options.place)

    start = root.privilegedStartService if privileged else root.startService
    with pytest.raises(CannotStart) as raised:
        start()

    said = f"{file}:2: [listen web] endpoint: cannot listen: Address already in use"
    assert str(raised.value) == said
    assert isinstance(raised.value, Exception)


def test_an_occupied_address_of_the_command_line_names_the_option(file: str) -> None:
    options = parsed("--config", file, "--listen", "tcp:9")
    root = Root(tree(options, OccupiedReactor()), options.place)

    with pytest.raises(CannotStart, match=r"^--listen tcp:9: cannot listen: Address already"):
        root.privilegedStartService()


def test_an_occupied_address_of_the_demo_names_the_option() -> None:
    options = parsed("--demo", "--listen", "tcp:9:interface=127.0.0.1")
    root = Root(tree(options, OccupiedReactor()), options.place)

    root.privilegedStartService()
    with pytest.raises(CannotStart, match=r"^--listen tcp:9:interface=127.0.0.1: cannot listen"):
        root.startService()


def test_everything_starts_and_stops_once(file: str) -> None:
    reactor = MemoryReactorClock()
    options = parsed("--config", file)
    root = Root(tree(options, reactor), options.place)

    root.privilegedStartService()
    root.startService()
    assert [server[0] for server in reactor.tcpServers] == [8080]
    assert all(service.running for service in IServiceCollection(root.tree))

    root.stopService()
    assert not any(service.running for service in IServiceCollection(root.tree))


def test_the_reactor_is_not_imported_before_it_is_chosen() -> None:
    code = "import sys, sockproxy.tap; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
