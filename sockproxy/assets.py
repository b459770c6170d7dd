"""Which files does the service give to browsers?

A fixed list, read once and kept in memory: no path of a request ever reaches the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from twisted.web.http import CACHED, Request

from sockproxy.place import Place

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
}
PAGE_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


class Asset(Place):
    """One file, with an ETag, so that a browser asks again and is told that it has it."""

    def __init__(self, name: str, content: bytes, *, public: bool) -> None:
        super().__init__()
        self._content = content
        self._etag = f'"{sha256(content).hexdigest()[:32]}"'.encode()
        suffix = name[name.rindex(".") :]
        self._headers = {
            "Content-Type": CONTENT_TYPES[suffix],
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if public:
            self._headers["Access-Control-Allow-Origin"] = "*"
            self._headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if suffix == ".html":
            self._headers["Content-Security-Policy"] = PAGE_POLICY

    def render_GET(self, request: Request) -> bytes:
        for name, value in self._headers.items():
            request.setHeader(name, value)
        if request.setETag(self._etag) is CACHED:
            return b""
        return self._content


def client_files() -> Iterator[tuple[str, Asset]]:
    """Yield the page API, open to every site, by the name in its URL."""
    root = files("sockproxy") / "static"
    for name in ("sockproxy.js", "sockproxy.mjs", "sockproxy.d.ts"):
        yield name, Asset(name, (root / name).read_bytes(), public=True)


def demo_files() -> Iterator[tuple[str, Asset]]:
    """Yield the playground's pages; `index.html` also stands for the folder."""
    for item in _walk(files("sockproxy") / "static" / "demo"):
        if item.name[item.name.rindex(".") :] in CONTENT_TYPES:
            asset = Asset(item.name, item.read_bytes(), public=False)
            yield item.name, asset
            if item.name == "index.html":
                yield "", asset


def _walk(folder: Traversable) -> Iterator[Traversable]:
    return (item for item in folder.iterdir() if item.is_file() and "." in item.name)
