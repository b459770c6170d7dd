"""Is a request sent that nobody waits for, and its connection let go?"""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from tests.faults.served import by_hand, peer
from tests.loopback import settle

POST = b"POST /up HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("answer", "clean"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"what?\r\n\r\n", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_it_goes_when_it_was_answered(answer: bytes, clean: bool) -> None:
    async with by_hand() as (made, peers):
        made.again(POST, "POST")
        other = await peer(peers)
        await other.until(lambda: other.received == POST)
        assert other.lost is None
        other.send(answer)
        await other.gone()
        assert other.lost is not None
        assert ("cleanly" in other.lost.getErrorMessage()) == clean
        assert made.open == 0


@pytest_twisted.ensureDeferred
async def test_it_goes_with_its_server() -> None:
    async with by_hand() as (made, peers):
        made.again(POST, "POST")
        other: Any = await peer(peers)
        assert made.open == 1
        other.transport.loseConnection()
        await settle(lambda: made.open == 0)


@pytest_twisted.ensureDeferred
async def test_it_goes_with_the_proxy() -> None:
    async with by_hand() as (made, peers):
        made.again(POST, "POST")
        other = await peer(peers)
    await other.gone()
    made.again(POST, "POST")
    assert made.open == 0
