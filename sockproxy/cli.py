"""What can be asked on the command line? `python -m sockproxy check|defaults`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from textwrap import wrap

from pydantic import BaseModel

from sockproxy import ini

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
    chosen = parser.parse_args(arguments)
    if chosen.command == "check":
        return _check(chosen.file)
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
            yield f"#{name} = {ini.written(field, field.default)}"
    yield ""


def _example(name: str) -> str:
    return {**_EXAMPLES, "origins": _EXAMPLE_ORIGIN, "allow": _EXAMPLE_ALLOW}[name]
