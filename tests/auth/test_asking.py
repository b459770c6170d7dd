"""Is the application asked for real, quietly, and only by the name of its certificate?"""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import ssl
from twisted.web.client import ResponseNeverReceived, readBody
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from sockproxy.auth.asking import asking_agent
from tests import loopback, pems

TIMEOUT_S = 5.0


class Told(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return b"told " + request.path


async def asked(url: str) -> bytes:
    agent = asking_agent(loopback.reactor, TIMEOUT_S)
    response: Any = await agent.request(b"GET", url.encode(), None, None)
    body: bytes = await readBody(response)
    return body


@pytest_twisted.ensureDeferred
async def test_an_answer_comes_and_no_line_of_a_factory(lines: list[str]) -> None:
    async with loopback.site(Told()) as port:
        assert await asked(f"http://127.0.0.1:{port}/who") == b"told /who"
        assert await asked(f"http://localhost:{port}/who") == b"told /who"

    assert not any("HTTP11ClientFactory" in line for line in lines)


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_nobody_vouches_for_is_not_believed() -> None:
    own = pems.made("localhost")
    certificate = ssl.PrivateCertificate.loadPEM(own.public + own.private)
    port = loopback.reactor.listenSSL(0, Site(Told()), certificate.options(), interface="127.0.0.1")
    try:
        with pytest.raises(ResponseNeverReceived):
            await asked(f"https://localhost:{port.getHost().port}/who")
    finally:
        await port.stopListening()
