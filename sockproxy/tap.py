"""What does `twistd sockproxy` take, and what does it start?

The only file that touches the global reactor.
"""

from __future__ import annotations

from typing import ClassVar

from twisted.application.service import IService
from twisted.python import usage

from sockproxy import ini
from sockproxy.settings import Listener, Settings


class Options(usage.Options):
    """The command line; everything is validated before anything starts."""

    longdesc = "Gives web pages TCP sockets to the backends that proxy.ini allows."
    optFlags: ClassVar[list[list[str | None]]] = [
        ["demo", None, "Serve the playground with embedded backends, on loopback."]
    ]
    optParameters: ClassVar[list[list[str | None]]] = [
        ["config", "c", None, "The proxy.ini to serve."],
        ["listen", None, None, "Listen on this Twisted endpoint instead of the file's."],
    ]

    settings: Settings | None = None

    def postOptions(self) -> None:
        if bool(self["demo"]) == bool(self["config"]):
            raise usage.UsageError("give either --config FILE or --demo")
        if self["demo"]:
            return
        try:
            loaded = ini.read(self["config"])
        except ini.SettingsError as error:
            raise usage.UsageError(str(error)) from None
        self.settings = loaded.settings
        if self["listen"]:
            chosen = {"listeners": {"command-line": Listener(endpoint=self["listen"])}}
            self.settings = loaded.settings.model_copy(update=chosen)


def makeService(options: Options) -> IService:
    """Return what twistd runs."""
    from twisted.internet import reactor  # twistd has chosen it by now

    if options.settings is None:
        from sockproxy.demo import make_demo

        return make_demo(reactor, options["listen"])
    from sockproxy.service import make_service

    return make_service(options.settings, reactor)
