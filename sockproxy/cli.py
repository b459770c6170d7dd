"""What can be asked on the command line? `python -m sockproxy check|defaults|faultproxy`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from textwrap import wrap

from pydantic import BaseModel

from sockproxy import ini
from sockproxy.values import written

WIDTH = 88
_EXAMPLES = {"endpoint": "tcp:8080", "target": "tcp:irc.example.org:6667"}
_EXAMPLE_ORIGIN = "https://app.example"
_EXAMPLE_ALLOW = "irc.example.org:6667"


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sockproxy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say whether a proxy.ini would start")
    check.add_argument("file")
    commands.add_parser("defaults", help="print every option with its default and meaning")
    _faultproxy_options(commands.add_parser("faultproxy", help="break connections on purpose"))
    chosen = parser.parse_args(arguments)
    if chosen.command == "check":
        return _check(chosen.file)
    if chosen.command == "faultproxy":
        return _faultproxy(chosen.listen, chosen.to, chosen.seed, chosen.fault)
    print("\n".join(defaults()))
    return 0


def _check(file: str) -> int:
    try:
        settings = ini.load(file)
    except ini.SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    counts = [
        _count(len(settings.listeners), "listener"),
        _count(len(settings.backends), "backend"),
        _count(len(settings.access), "access rule"),
    ]
    print(f"{file}: ok, {', '.join(counts)}")
    return 0


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
