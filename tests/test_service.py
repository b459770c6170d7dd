"""Do settings become listeners and sessions that start and stop?"""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import MemoryReactorClock

from sockproxy import ini
from sockproxy.service import make_service

INI = """
[listen one]
endpoint = tcp:8001:interface=127.0.0.1
[listen two]
endpoint = unix:/nowhere/two.sock
[backend irc]
target = tcp:127.0.0.1:1
origins = https://app.example
"""


def test_each_section_listens_and_stopping_leaves_nothing() -> None:
    reactor: Any = MemoryReactorClock()
    service = make_service(ini.loads(INI).settings, reactor)

    service.privilegedStartService()
    service.startService()

    assert [server[0] for server in reactor.tcpServers] == [8001]
    assert [server[0] for server in reactor.unixServers] == ["/nowhere/two.sock"]
    assert len(reactor.getDelayedCalls()) == 2, "the sweeps of sessions and log"
    service.stopService()
    assert not reactor.getDelayedCalls()


def test_the_listeners_are_named_as_in_the_file() -> None:
    service = make_service(ini.loads(INI).settings, MemoryReactorClock())

    assert set(service.namedServices) == {"log", "sessions", "listen one", "listen two"}
