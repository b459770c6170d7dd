"""How do settings become a running service?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from secrets import token_bytes
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.interfaces import IHostnameResolver
from twisted.web.client import Agent
from twisted.web.resource import Resource

from sockproxy import site
from sockproxy.auth.application import Application
from sockproxy.auth.authenticator import Authenticator
from sockproxy.backends.opening import Opening
from sockproxy.codes import Code
from sockproxy.door import Front
from sockproxy.hub import Hub
from sockproxy.links.hello import HELLO_MAX_BYTES
from sockproxy.listening import listening
from sockproxy.policy.access import Policy
from sockproxy.settings import Settings
from sockproxy.streams import Shared
from sockproxy.upgrade import SocketFactory


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
    hub = Hub(shared_by_all(settings, reactor, reactor.nameResolver), random)
    tree = MultiService()
    HubService(hub).setServiceParent(tree)
    root = site.root(settings, hub, SocketFactory(reactor), tools)
    body_max_bytes = settings.limits.max_post + HELLO_MAX_BYTES
    front = Front(root, body_max_bytes, settings.sockproxy, reactor)
    for name, listener in settings.listeners.items():
        listening(name, listener, front, reactor).setServiceParent(tree)
    return tree


def shared_by_all(settings: Settings, reactor: Any, resolver: IHostnameResolver) -> Shared:
    """Return what every way in uses."""
    opening = Opening(reactor, resolver, settings.limits.refusal_time)
    policy = Policy(settings)
    auth = authenticator(settings, policy, reactor)
    return Shared(reactor, policy, opening, settings.limits, auth)


def authenticator(settings: Settings, policy: Policy, reactor: Any) -> Authenticator:
    """Return who knows users."""
    options = settings.forward_auth
    agent = Agent(reactor, connectTimeout=options.timeout)
    application = Application(options, reactor, agent) if options.url else None
    # A reactor counts from the epoch, by which tickets are dated.
    wall: Callable[[], float] = reactor.seconds
    return Authenticator(settings.tickets, policy, reactor, wall, application)
