"""Which URL is which way in?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from twisted.web import http
from twisted.web.http import Request
from twisted.web.resource import Resource

from sockproxy import assets
from sockproxy.dialects import raw
from sockproxy.front import visitor
from sockproxy.head import BadHead
from sockproxy.hub import Hub
from sockproxy.links import websocket
from sockproxy.links.http import Down, Up
from sockproxy.place import Place
from sockproxy.settings import Settings
from sockproxy.upgrade import SocketFactory, UpgradeResource

CUT_S = 3.0
NAME_BYTES = 8


class Routes(Place):
    """`/sp/<route>/`: a native session. Every route is this process."""

    def __init__(self, links: Mapping[bytes, Resource]) -> None:
        super().__init__()
        self._route = Place()
        for name, link in links.items():
            self._route.putChild(name, link)

    def getChild(self, path: bytes, request: Request) -> Resource:
        return self._route


class RawBackends(Place):
    """`/raw/<backend>`: one WebSocket is one TCP stream."""

    def __init__(self, hub: Hub, sockets: SocketFactory) -> None:
        super().__init__()
        self._hub = hub
        self._sockets = sockets

    def getChild(self, path: bytes, request: Request) -> Resource:
        greet = raw.greeter(path.decode("latin-1"), self._hub)
        return UpgradeResource(greet, self._sockets)


class BackendNames(Place):
    """What the playground may choose from, and which tools it has here."""

    def __init__(self, settings: Settings, tools: Iterable[str]) -> None:
        super().__init__()
        told = {"backends": sorted(settings.backends), "tools": sorted(tools)}
        self._body = json.dumps(told).encode()

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Cache-Control", "no-store")
        return self._body


class Cut(Place):
    """The playground's button: cuts the cable under the session named in the body."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub

    def render_POST(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        try:
            origin = visitor(request).origin
        except BadHead as error:
            request.setResponseCode(error.status)
            return error.text.encode()
        if origin is None or not self._hub.shared.policy.origin_known(origin):
            request.setResponseCode(http.FORBIDDEN)
            return b"only pages of a listed origin may cut\n"
        assert request.content is not None
        name = request.content.read(NAME_BYTES).decode("latin-1")
        if not self._hub.hold(name, CUT_S):
            request.setResponseCode(http.NOT_FOUND)
            return b"no such session\n"
        return f"cut for {CUT_S:g} s\n".encode()


def root(
    settings: Settings,
    hub: Hub,
    sockets: SocketFactory,
    tools: Mapping[str, Resource] | None = None,
) -> Resource:
    """Return the whole resource tree; `tools` are what else the playground may use."""
    top = Place()
    links = {
        b"ws": UpgradeResource(websocket.greeter(hub), sockets),
        b"up": Up(hub),
        b"down": Down(hub),
    }
    top.putChild(b"sp", Routes(links))
    top.putChild(b"raw", RawBackends(hub, sockets))
    for name, asset in assets.client_files():
        top.putChild(name.encode(), asset)
    if settings.sockproxy.playground:
        for name, asset in assets.demo_files():
            top.putChild(name.encode(), asset)
        place = Place()
        tools = {"cut": Cut(hub), **(tools or {})}
        tools["backends"] = BackendNames(settings, tools)
        for name, tool in tools.items():
            place.putChild(name.encode(), tool)
        top.putChild(b"playground", place)
    return top
