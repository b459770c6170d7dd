"""What can be asked on the command line? `python -m sockproxy check|explain|defaults|...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import inf
from secrets import token_bytes
from textwrap import wrap

from pydantic import BaseModel

from sockproxy import ini, minting
from sockproxy.policy.access import Allow, Asker, Policy
from sockproxy.policy.target import BadTarget, HostTarget, NamedTarget, parse
from sockproxy.policy.ticket import Ticket
from sockproxy.values import written

WIDTH = 88
_EXAMPLES = {"endpoint": "tcp:8080", "target": "tcp:irc.example.org:6667"}
_EXAMPLE_ORIGIN = "https://app.example"
_EXAMPLE_PEER = "192.0.2.1"
_EXAMPLE_ALLOW = "irc.example.org:6667"


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sockproxy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say whether a proxy.ini would start")
    check.add_argument("file")
    _explain_options(commands.add_parser("explain", help="say which rule lets a page in or not"))
    commands.add_parser("defaults", help="print every option with its default and meaning")
    _faultproxy_options(commands.add_parser("faultproxy", help="break connections on purpose"))
    minting.options(commands.add_parser("ticket", help="mint a ticket, or say what one is"))
    chosen = parser.parse_args(arguments)
    if chosen.command == "check":
        return _check(chosen.file)
    if chosen.command == "explain":
        return _explain(chosen.config, chosen.origin, chosen.principal, chosen.target)
    if chosen.command == "ticket":
        return minting.run(chosen, datetime.now(UTC).timestamp(), token_bytes)
    if chosen.command == "faultproxy":
        return _faultproxy(chosen.listen, chosen.to, chosen.seed, chosen.fault)
    print("\n".join(defaults()))
    return 0


def _check(file: str) -> int:
    try:
        loaded = ini.read(file)
    except ini.SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    settings = loaded.settings
    counts = [
        _count(len(settings.listeners), "listener"),
        _count(len(settings.backends), "backend"),
        _count(len(settings.access), "access rule"),
    ]
    included = len(loaded.sources.files) - 1
    if included:
        counts.append(f"{_count(included, 'file')} included")
    print(f"{file}: ok, {', '.join(counts)}")
    return 0


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", default="proxy.ini", metavar="FILE", help="the file that decides"
    )
    parser.add_argument("origin", help="such as https://app.example; - for none")
    parser.add_argument("principal", help="who the ticket names; - for nobody")
    parser.add_argument("target", help="a backend's name, or HOST:PORT")


def _explain(file: str, origin: str, principal: str, target: str) -> int:
    """Print what is decided, and by which line of the file."""
    try:
        loaded = ini.read(file)
        wanted = _wanted(target)
    except (ini.SettingsError, BadTarget) as error:
        print(error, file=sys.stderr)
        return 2
    # Who asks from where is not asked here; a backend that is told so needs somebody to tell of.
    asker = Asker(_given(origin), None, peer=_EXAMPLE_PEER)
    if _given(principal) is not None:
        asker = asker.known_by(Ticket(principal, inf))
    answer = Policy(loaded.settings).decide(asker, wanted)
    if isinstance(answer, Allow):
        print(f"allowed: {origin} may reach {target}")
    else:
        print(f"denied: {answer.why or answer.reason}")
    if answer.rule is not None:
        print(f"  {loaded.place(answer.rule)}")
    if isinstance(answer, Allow) and answer.chosen_by_page:
        print("  each address of the host is checked again when it is connected to")
    return 0 if isinstance(answer, Allow) else 1


def _wanted(target: str) -> NamedTarget | HostTarget:
    """Raises `BadTarget`."""
    host, _, port = target.rpartition(":")
    if not host:
        return parse(target, 0)
    if not port.isdecimal() or port != str(int(port[:6])) or port == "0":
        raise BadTarget(f"{target!r}: write a backend's name or HOST:PORT")
    return parse(host[1:-1] if host.startswith("[") and host.endswith("]") else host, int(port))


def _given(text: str) -> str | None:
    return None if text == "-" else text


def _faultproxy_options(parser: argparse.ArgumentParser) -> None:
    where = "a Twisted endpoint; without one a free port of this machine"
    rule = "such as 'delay for=300ms' or 'drop where=/up chance=0.1'; may stand more than once"
    parser.add_argument(
        "--listen", default="tcp:0:interface=127.0.0.1", metavar="ENDPOINT", help=where
    )
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the server behind it")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same faults")
    parser.add_argument("--fault", action="append", default=[], metavar="RULE", help=rule)
    parser.epilog = "docs/faultproxy.md has all rules"


def _faultproxy(listen: str, to: str, seed: int, rules: Sequence[str]) -> int:
    """Run the fault proxy until a signal ends it."""
    from twisted.internet.task import react

    from sockproxy.endpoint import BadEndpoint, parse_host_port
    from sockproxy.faults import BadRule, Plan
    from sockproxy.faults.serve import serve

    try:
        address = to.removeprefix("http://").rstrip("/")
        target, plan = parse_host_port(address), Plan(rules, seed)
    except BadEndpoint as error:
        print(f"seed {seed}: --to {to!r}: {error}", file=sys.stderr)
        return 1
    except BadRule as error:
        print(error, file=sys.stderr)
        return 1
    try:
        react(serve, (listen, (target.host, target.port), plan))
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return ended.code or 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def defaults() -> Iterator[str]:
    """Yield the lines of a complete proxy.ini: what has a default stands as a comment."""
    for section, model in ini.SINGLE.items():
        yield from _section(section, model)
    for kind, (_, model) in ini.NAMED.items():
        yield from _section(f"{kind} example", model)


def _section(section: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"[{section}]"
    for name, field in model.model_fields.items():
        for line in wrap(field.description or "", WIDTH):
            yield f"# {line}"
        if field.is_required() or name in ("origins", "allow"):
            yield f"{name} = {_example(name)}"
        else:
            yield f"#{name} = {written(field, field.default)}"
    yield ""


def _example(name: str) -> str:
    return {**_EXAMPLES, "origins": _EXAMPLE_ORIGIN, "allow": _EXAMPLE_ALLOW}[name]
