"""Does the command say where it listens and with which seed, and stop when told?"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from sockproxy import cli
from sockproxy.faults.plan import Plan
from sockproxy.faults.serve import serve
from tests import loopback
from tests.faults.served import Server

TIMEOUT_S = 20


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command until the block ends, and give its first line."""
    command = [sys.executable, "-m", "sockproxy", "faultproxy", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def test_it_says_where_it_is_and_stops_at_a_signal() -> None:
    with running("--to", "127.0.0.1:9", "--seed", "7", "--fault", "login") as (process, line):
        assert line.startswith("faultproxy: http://127.0.0.1:")
        assert line.endswith(" -> http://127.0.0.1:9 seed 7\n")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=TIMEOUT_S)
        assert said == "faultproxy: seed 7: no connections\n"
        assert process.returncode == 0


@pytest_twisted.ensureDeferred
async def test_it_serves_until_the_reactor_stops() -> None:
    reactor = _Reactor()
    told: list[str] = []
    async with loopback.site(Server()) as port:
        plan = Plan(["strip header=X"], 3)
        to = ("127.0.0.1", port)
        running = Deferred.fromCoroutine(
            serve(reactor, "tcp:0:interface=127.0.0.1", to, plan, told.append)
        )
        await loopback.settle(lambda: bool(told))
        ours = int(told[0].split()[0].rpartition(":")[2])
        assert told == [f"http://127.0.0.1:{ours} -> http://127.0.0.1:{port} seed 3"]
        async with loopback.wire(ours) as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await wire.answer())[0] == 200
            await reactor.shut_down()
            await wire.gone()
        await running
    assert told[1:] == [
        "seed 3: request 1: http GET /: strip",
        "seed 3: connections 1, in_flight_max 1, requests 1, strip 1, websockets 0",
    ]


class _Reactor:
    """The reactor of the tests, which is not stopped."""

    def __init__(self) -> None:
        self.shut_down: Any = None

    def addSystemEventTrigger(self, phase: str, event: str, call: Any) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.shut_down = call

    def __getattr__(self, name: str) -> Any:
        return getattr(loopback.reactor, name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "nowhere"], "seed 0: --to 'nowhere': "),
        (["--to", "127.0.0.1:9", "--seed", "4", "--fault", "ct"], "seed 4: fault 'ct': no fault"),
        (["--to", "127.0.0.1:9", "--listen", "foo"], "seed 0: --listen 'foo': Unknown endpoint"),
    ],
)
def test_what_is_wrong_is_told_on_the_error_stream(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def react(main: Any, argv: Any) -> None:
        coroutine = main(loopback.reactor, *argv)
        coroutine.send(None)

    monkeypatch.setattr("twisted.internet.task.react", react)

    assert cli.main(["faultproxy", *arguments]) == 1

    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(said)


def test_an_address_that_is_taken_is_told() -> None:
    with running("--to", "127.0.0.1:9") as (_, line):
        port = line.split()[1].rpartition(":")[2]
        command = [sys.executable, "-m", "sockproxy", "faultproxy", "--to", "127.0.0.1:9"]
        listen = f"tcp:{port}:interface=127.0.0.1"
        done = subprocess.run(
            [*command, "--listen", listen], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == f"seed 0: --listen '{listen}': Address already in use\n"
