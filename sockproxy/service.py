"""How do settings become a running service?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from secrets import token_bytes
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.interfaces import IHostnameResolver, IReactorTime
from twisted.web.resource import Resource

from sockproxy import accept, logs, site
from sockproxy.auth.application import Application
from sockproxy.auth.asking import asking_agent
from sockproxy.auth.authenticator import Authenticator
from sockproxy.backends.opening import Opening
from sockproxy.codes import Code
from sockproxy.door import Front
from sockproxy.hub import Hub
from sockproxy.links.hello import HELLO_MAX_BYTES
from sockproxy.listening import listening
from sockproxy.policy.access import Policy
from sockproxy.policy.descriptors import Descriptors
from sockproxy.policy.entrance import Entrance
from sockproxy.policy.tally import Rates
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
    limits, trusted = settings.limits, settings.sockproxy.trusted_proxies
    descriptors = accept.descriptors(len(settings.listeners))
    shared = shared_by_all(settings, reactor, reactor.nameResolver, descriptors)
    entrance = Entrance(limits, trusted, shared.failures, reactor.seconds, accept.tell)
    gate = accept.Gate(entrance, descriptors, reactor)
    hub = Hub(shared, random)
    tree = MultiService()
    LogService(reactor).setServiceParent(tree)
    HubService(hub).setServiceParent(tree)
    root = site.root(settings, hub, SocketFactory(reactor), tools)
    body_max_bytes = settings.limits.max_post + HELLO_MAX_BYTES
    front = Front(root, body_max_bytes, settings.sockproxy, reactor)
    for name, listener in settings.listeners.items():
        listening(name, listener, front, gate, reactor).setServiceParent(tree)
    return tree


def shared_by_all(
    settings: Settings, reactor: Any, resolver: IHostnameResolver, descriptors: Descriptors
) -> Shared:
    """Return what every way in uses."""
    limits, policy = settings.limits, Policy(settings)
    return Shared(
        clock=reactor,
        policy=policy,
        opening=Opening(reactor, resolver, limits.refusal_time, descriptors),
        limits=limits,
        auth=authenticator(settings, policy, reactor, descriptors),
        failures=Rates(limits.failures_per_s, limits.failures_burst),
    )


def authenticator(
    settings: Settings, policy: Policy, reactor: Any, descriptors: Descriptors
) -> Authenticator:
    """Return who knows users."""
    options = settings.forward_auth
    agent = asking_agent(reactor, options.timeout)
    application = Application(options, reactor, agent, descriptors) if options.url else None
    # A reactor counts from the epoch, by which tickets are dated.
    wall: Callable[[], float] = reactor.seconds
    return Authenticator(settings.tickets, policy, reactor, wall, application)
