"""How do settings become a running service?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from secrets import token_bytes
from typing import Any

from twisted.application import strports
from twisted.application.service import MultiService, Service
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from sockproxy import logs, site
from sockproxy.backends.opening import Opening
from sockproxy.codes import Code
from sockproxy.door import Front
from sockproxy.hub import Hub
from sockproxy.links.hello import HELLO_MAX_BYTES
from sockproxy.policy.access import Policy
from sockproxy.settings import Settings
from sockproxy.streams import Shared
from sockproxy.timers import Every
from sockproxy.upgrade import SocketFactory


class LogService(Service):
    """The account of what the log was spared or lost, for as long as the service runs."""

    name = "log"

    def __init__(self, clock: IReactorTime) -> None:
        self._sweep = Every(clock, logs.SWEEP_S, logs.SIEVE.sweep)

    def startService(self) -> None:
        super().startService()
        logs.SIEVE.start()
        self._sweep.start()

    def stopService(self) -> None:
        self._sweep.stop()
        logs.SIEVE.stop()
        super().stopService()


class HubService(Service):
    """The sessions, for as long as the service runs."""

    name = "sessions"

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def startService(self) -> None:
        super().startService()
        self.hub.start()

    def stopService(self) -> None:
        self.hub.stop(Code.KILLED, "the server is stopping")
        super().stopService()


def make_service(
    settings: Settings,
    reactor: Any,
    random: Callable[[int], bytes] = token_bytes,
    tools: Mapping[str, Resource] | None = None,
) -> MultiService:
    """Return the service tree: the sessions, and one listener for each section."""
    opening = Opening(reactor, reactor.nameResolver, settings.limits.refusal_time)
    shared = Shared(reactor, Policy(settings), opening, settings.limits)
    hub = Hub(shared, random)
    tree = MultiService()
    LogService(reactor).setServiceParent(tree)
    HubService(hub).setServiceParent(tree)
    root = site.root(settings, hub, SocketFactory(reactor), tools)
    body_max_bytes = settings.limits.max_post + HELLO_MAX_BYTES
    factory = Front(root, body_max_bytes, settings.sockproxy, reactor)
    for name, listener in settings.listeners.items():
        listening = strports.service(listener.endpoint, factory, reactor)
        listening.setName(f"listen {name}")
        listening.setServiceParent(tree)
    return tree
