"""How do settings become a running service?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from secrets import token_bytes
from typing import Any

from twisted.application import strports
from twisted.application.service import MultiService, Service
from twisted.web.resource import Resource

from sockproxy import accept, site
from sockproxy.backends.opening import Opening
from sockproxy.codes import Code
from sockproxy.door import Front
from sockproxy.hub import Hub
from sockproxy.links.hello import HELLO_MAX_BYTES
from sockproxy.policy.access import Policy
from sockproxy.policy.entrance import Entrance
from sockproxy.policy.tally import Rates
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
    limits, trusted = settings.limits, settings.sockproxy.trusted_proxies
    descriptors = accept.descriptors(len(settings.listeners))
    failures = Rates(limits.failures_per_s, limits.failures_burst)
    entrance = Entrance(limits, trusted, failures, reactor.seconds, accept.tell)
    gate = accept.Gate(entrance, descriptors, reactor)
    opening = Opening(reactor, reactor.nameResolver, limits.refusal_time, descriptors)
    shared = Shared(reactor, Policy(settings), opening, limits, failures)
    hub = Hub(shared, random)
    tree = MultiService()
    HubService(hub).setServiceParent(tree)
    root = site.root(settings, hub, SocketFactory(reactor), tools)
    body_max_bytes = settings.limits.max_post + HELLO_MAX_BYTES
    factory = Front(root, body_max_bytes, settings.sockproxy, reactor)
    for name, listener in settings.listeners.items():
        plain = not listener.endpoint.startswith("ssl:")
        accepting = gate.around(factory, plain=plain, outermost=plain)
        listening = strports.service(listener.endpoint, accepting, reactor)
        listening.endpoint = gate.watch(listening.endpoint)
        listening.setName(f"listen {name}")
        listening.setServiceParent(tree)
    return tree
