"""What of a [backend] cannot work, or would be a way round, though each line of it is right?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sockproxy import pem
from sockproxy.policy import destination
from sockproxy.settings import Access, Backend, Destination, Target, TcpTarget, Tls


def problems(backend: Backend) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a backend by itself: the option, and what to write instead."""
    if isinstance(backend.target, TcpTarget) and backend.target.tls is not None:
        for complaint in _files(backend.target.tls):
            yield "target", complaint
    if backend.webirc_password is not None and not backend.webirc_gateway:
        yield "webirc_password", "WEBIRC names a gateway too; add webirc_gateway = NAME"
    if backend.webirc_password is None and backend.webirc_gateway:
        yield "webirc_gateway", "WEBIRC needs a password; add webirc_password = file:PATH"


def ways_round(
    backends: Mapping[str, Backend], access: Mapping[str, Access]
) -> Iterator[tuple[str, str, str]]:
    """Yield each section that leads to where a PROXY header is believed, and writes none.

    A page that came that way would write the header itself, and be whoever it likes.
    """
    for name, believed in backends.items():
        if believed.proxy_protocol == "none":
            continue
        for other, backend in backends.items():
            if backend.proxy_protocol == "none" and _at(backend.target) == _at(believed.target):
                text = f"[backend {name}] has the same target and a proxy_protocol; add it here too"
                yield f"backend {other}", "target", text
        for other, section in access.items():
            if _opens(section, believed.target):
                text = f"a page could write the PROXY header of [backend {name}] by this; deny it"
                yield f"access {other}", "allow", text


def _at(target: Target) -> tuple[str, int]:
    return (target.host, target.port) if isinstance(target, TcpTarget) else (target.path, 0)


def _opens(section: Access, target: Target) -> bool:
    host, port = _at(target)

    def lists(rules: tuple[Destination, ...]) -> bool:
        return any(destination.names(rule, host, port) for rule in rules)

    return bool(port) and lists(section.allow) and not lists(section.deny)


def _files(tls: Tls) -> Iterator[str]:
    """Yield what is wrong with the files of a TLS backend."""
    if tls.ca_file is not None:
        yield from _complaint(pem.certificates, tls.ca_file)
    if tls.certificate_file is not None:
        key_file = tls.private_key_file or tls.certificate_file
        faults = [*_complaint(pem.certificates, tls.certificate_file)]
        faults += _complaint(pem.key, key_file)
        yield from faults or _complaint(pem.pair, tls.certificate_file, key_file)
    elif tls.private_key_file is not None:
        yield "privateKey= needs the certificate of the key; add certificate=FILE"


def _complaint(read: Callable[..., object], *files: str) -> Iterator[str]:
    try:
        read(*files)
    except pem.BadPem as error:
        yield str(error)
    except OSError as error:
        yield f"{error.filename!r} cannot be read: {error.strerror}"
