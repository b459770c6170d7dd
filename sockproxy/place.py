"""What does a URL answer that leads nowhere?"""

from __future__ import annotations

from twisted.web import http
from twisted.web.http import Request
from twisted.web.resource import Resource


class Place(Resource):
    """A node of the tree; what is not put below it, or is no way in, is not found."""

    def getChild(self, path: bytes, request: Request) -> Resource:
        return Place()

    def render(self, request: Request) -> bytes | int:
        method = "GET" if request.method == b"HEAD" else request.method.decode("latin-1")
        act = getattr(self, f"render_{method}", None)
        if act is not None:
            answer: bytes | int = act(request)
            return answer
        known = [name for name in ("GET", "POST") if hasattr(self, f"render_{name}")]
        request.setResponseCode(http.NOT_ALLOWED if known else http.NOT_FOUND)
        if known:
            request.setHeader("Allow", ", ".join(known))
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return b"not allowed\n" if known else b"not found\n"
