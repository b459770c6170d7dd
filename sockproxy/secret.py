"""Where does a secret come from? From a file or the environment, never from proxy.ini itself."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretBytes

from sockproxy import rights


def read(text: str, *, public: bool = False) -> SecretBytes:
    """Return what `file:PATH` or `env:NAME` holds, without the end of its last line.

    `public`: it may be read by others, as half of a pair of keys. Raises `ValueError` with
    what to write or do instead.
    """
    kind, _, place = text.partition(":")
    if kind == "env" and place:
        return SecretBytes(_of_environment(place))
    if kind == "file" and place:
        return SecretBytes(_of_file(Path(place), public))
    raise ValueError("a secret is written file:PATH or env:NAME")


def _of_environment(name: str) -> bytes:
    if name not in os.environ:
        raise ValueError(f"there is no {name} in the environment")
    return _checked(os.environb[name.encode()], name)


def _of_file(path: Path, public: bool) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    may = rights.others(mode, secret=not public)
    if may:
        raise ValueError(f"others may {may} {str(path)!r}; chmod o-{may[0]} it")
    return _checked(content.removesuffix(b"\n").removesuffix(b"\r"), repr(str(path)))


def _checked(content: bytes, place: str) -> bytes:
    if not content:
        raise ValueError(f"{place} is empty")
    return content
