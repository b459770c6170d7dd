"""How does `--demo` start without a file: what listens where, and what is printed?

Everything is on loopback: an IRC server and an echo on ports the system chooses, in front
of them an ordinary sockproxy with the playground, open to pages of this machine.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from random import SystemRandom
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.web.resource import Resource

from sockproxy import service
from sockproxy.demo.echo import EchoFactory
from sockproxy.demo.faults import Faults
from sockproxy.demo.irc import IrcFactory
from sockproxy.faults import FaultProxy
from sockproxy.settings import Backend, Listener, Service, Settings, TcpTarget

LOOPBACK = "127.0.0.1"
ORIGINS = ("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")
HOSTS = ("localhost", "*.localhost", LOOPBACK, "[::1]")
FIRST_PORT = 8080
PORTS = 100
ANY_INTERFACE = ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound

_TCP = re.compile(r"tcp:(?:port=)?(\d+)(?::interface=(.*))?")

GREETING = """
  The sockproxy demo is running.

      Playground   {url}/
      IRC          {url}/irc.html
      With faults  {faults}

  This line gives sockets to any page served from this machine:

      <script src="{url}/sockproxy.js"></script>

  For a server of your own, write these lines into proxy.ini and start it with
  twistd -n sockproxy --config proxy.ini

      [listen web]
      endpoint = tcp:8080

      [backend irc]
      target = tcp:irc.example.org:6667
      origins = https://app.example

"""


class Demo(MultiService):
    """The embedded backends, and the proxy in front of them."""

    def __init__(self, reactor: Any, endpoint: str, tell: Callable[[str], object]) -> None:
        super().__init__()
        self._reactor = reactor
        self._endpoint = endpoint
        self._tell = tell
        self._ports: list[Any] = []
        self._proxy: FaultProxy | None = None
        self._tool: Faults | None = None

    def startService(self) -> None:
        super().startService()
        irc = self._listen(IrcFactory(self._reactor))
        echo = self._listen(EchoFactory())
        settings = demo_settings(self._endpoint, {"irc": irc, "echo": echo})
        tools = self._faults()
        service.make_service(settings, self._reactor, tools=tools).setServiceParent(self)
        faults = f"http://{LOOPBACK}:{self._proxy.port}/" if self._proxy else "not here"
        self._tell(GREETING.format(url=url_of(self._endpoint), faults=faults))

    def stopService(self) -> Deferred[object]:
        # The proxy first, so that its streams end before what they lead to.
        return maybeDeferred(super().stopService).addCallback(self._close_ports)

    def _faults(self) -> dict[str, Resource]:
        """Return the playground's tool for faults, where there is a port to put it before."""
        port = port_of(self._endpoint)
        if not port:
            return {}
        seed = SystemRandom().randrange(2**32)
        self._proxy = FaultProxy(self._reactor, (LOOPBACK, port))
        Deferred.fromCoroutine(self._proxy.start())
        self._tool = Faults(self._reactor, self._proxy, ORIGINS, seed)
        return {"faults": self._tool}

    def _listen(self, factory: IrcFactory | EchoFactory) -> int:
        port = self._reactor.listenTCP(0, factory, interface=LOOPBACK)
        self._ports.append(port)
        number: int = port.getHost().port
        return number

    async def _closed(self) -> None:
        if self._tool is not None and self._proxy is not None:
            self._tool.stop()
            await self._proxy.stop()
        while self._ports:
            await maybeDeferred(self._ports.pop().stopListening)

    def _close_ports(self, _: object) -> Deferred[None]:
        return Deferred.fromCoroutine(self._closed())


def make_demo(reactor: Any, listen: str | None) -> IService:
    """Return the demo as a service; `listen` is an endpoint in place of the chosen port."""
    return Demo(reactor, listen or free_endpoint(), _to_terminal)


def demo_settings(endpoint: str, ports: dict[str, int]) -> Settings:
    """Return what a file for the demo would say."""
    backends = {
        name: Backend(target=TcpTarget(host=LOOPBACK, port=port), origins=ORIGINS)
        for name, port in ports.items()
    }
    return Settings(
        sockproxy=Service(playground=True, hosts=HOSTS),
        listeners={"demo": Listener(endpoint=endpoint)},
        backends=backends,
    )


def free_endpoint(is_free: Callable[[int], bool] | None = None) -> str:
    """Return the loopback endpoint of port 8080, or of the next one nobody listens on."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        if (is_free or _is_free)(port):
            return f"tcp:{port}:interface={LOOPBACK}"
    last = FIRST_PORT + PORTS - 1
    raise OSError(f"no free port from {FIRST_PORT} to {last}: choose one with --listen")


def port_of(endpoint: str) -> int:
    """Return the TCP port of an endpoint, 0 where that is not known."""
    found = _TCP.fullmatch(endpoint)
    return int(found[1]) if found is not None else 0


def url_of(endpoint: str) -> str:
    """Return the address to open in a browser on this machine."""
    found = _TCP.fullmatch(endpoint)
    if found is None:
        return endpoint
    port, interface = found[1], (found[2] or "").replace("\\", "")
    host = LOOPBACK if interface in ANY_INTERFACE else interface
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _to_terminal(text: str) -> None:
    # twistd turns sys.stdout into log lines; this text is to be copied from.
    if sys.__stdout__ is not None:
        with suppress(OSError):  # nobody reads it, or there is no room: no reason not to serve
            sys.__stdout__.write(text)
            sys.__stdout__.flush()
