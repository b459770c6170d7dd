"""What does `twistd sockproxy` take, and what does it start?

The only file that touches the global reactor. What hinders the start ends twistd with the
line of the file that says so, not with a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from twisted.application.service import IService, IServiceCollection, Service
from twisted.internet.error import CannotListenError
from twisted.python import usage

from sockproxy import ini
from sockproxy.settings import Listener, Settings
from sockproxy.values import convert

COMMAND_LINE = "listen command-line"

Place = Callable[[str, str], str]


class CannotStart(SystemExit, Exception):
    """Ends twistd with its text and status 1.

    As an Exception twistd takes back its pid file for it and tells the parent that waits
    for the daemon; as a SystemExit it is printed without a traceback.
    """


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

    loaded: ini.Loaded | None = None

    def postOptions(self) -> None:
        if bool(self["demo"]) == bool(self["config"]):
            raise usage.UsageError("give either --config FILE or --demo")
        if self["listen"]:
            try:
                convert(Listener, "endpoint", self["listen"])
            except ValueError as error:
                raise usage.UsageError(f"--listen {error}") from None
        if self["config"]:
            try:
                self.loaded = ini.read(self["config"])
            except ini.SettingsError as error:
                raise CannotStart(str(error)) from None

    def place(self, section: str, text: str) -> str:
        """Say where the operator has to look: a line of the file or an option."""
        if self.loaded is None or section == COMMAND_LINE:
            return f"--listen {self['listen']}: {text}" if self["listen"] else f"--demo: {text}"
        return str(self.loaded.problem(section, "endpoint", text))


class Root(Service):
    """The whole service; an address that cannot be had ends twistd."""

    def __init__(self, tree: IService, place: Place) -> None:
        self.tree = tree
        self._place = place
        self._listening = False

    def privilegedStartService(self) -> None:
        self._listening = True
        for service in IServiceCollection(self.tree):
            with self._told(service.name):
                service.privilegedStartService()

    def startService(self) -> None:
        if not self._listening:  # twist has no privileged start
            self.privilegedStartService()
        super().startService()
        with self._told(""):
            self.tree.startService()

    def stopService(self) -> Any:
        super().stopService()
        return self.tree.stopService()

    @contextmanager
    def _told(self, section: str) -> Iterator[None]:
        try:
            yield
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            raise CannotStart(self._place(section, f"cannot listen: {reason}")) from None


def makeService(options: Options) -> IService:
    """Return what twistd runs."""
    from twisted.internet import reactor  # twistd has chosen it by now

    return Root(tree(options, reactor), options.place)


def tree(options: Options, reactor: Any) -> IService:
    """Return the services that the command line asks for."""
    if options.loaded is None:
        from sockproxy.demo import make_demo

        try:
            return make_demo(reactor, options["listen"])
        except OSError as error:
            raise CannotStart(str(error)) from None
    from sockproxy.service import make_service

    return make_service(chosen(options, options.loaded.settings), reactor)


def chosen(options: Options, settings: Settings) -> Settings:
    """Let --listen take the place of every listener in the file."""
    if not options["listen"]:
        return settings
    listeners = {COMMAND_LINE.partition(" ")[2]: Listener(endpoint=options["listen"])}
    return settings.model_copy(update={"listeners": listeners})
