"""Under which names may this server be asked for?

A page of another name that resolves to this machine (DNS rebinding) sends that name in
Host. A rule is a host name or an address in brackets as Host has it, without a port;
`*.example` stands for exactly one label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_RULE = re.compile(rf"(?:\*\.)?{_NAME}|\[[0-9a-f:.]+\]", re.ASCII)
_ONE_LABEL = re.compile(_LABEL, re.ASCII)


def problem(rule: str) -> str | None:
    """Return what is wrong with a rule and what to write instead, None where it is right."""
    if _RULE.fullmatch(rule):
        return None
    return f"{rule!r} is no host name; write gw.example, *.gw.example or [::1], no port"


def allowed(host: str, rules: Sequence[str]) -> bool:
    """Return whether a lower-cased host is named by one of the rules; no rule names all."""
    return not rules or any(_matches(host.removesuffix("."), rule) for rule in rules)


def _matches(host: str, rule: str) -> bool:
    if not rule.startswith("*."):
        return host == rule
    label, dot, rest = host.partition(".")
    return rest == rule[2:] and bool(dot) and _ONE_LABEL.fullmatch(label) is not None
