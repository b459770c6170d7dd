"""Does the playground break its own network, and only on its own page's word?"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor

from sockproxy.demo.faults import Faults
from sockproxy.demo.start import ORIGINS
from sockproxy.faults import FaultProxy
from tests.links.carriers import PlainRequest
from tests.loopback import reactor, settle

HERE = "http://127.0.0.1:8080"


@asynccontextmanager
async def tool() -> AsyncIterator[tuple[Faults, FaultProxy]]:
    proxy = FaultProxy(global_reactor, ("127.0.0.1", 1))
    await proxy.start()
    made = Faults(reactor, proxy, ORIGINS, 7)
    try:
        yield made, proxy
    finally:
        made.stop()
        await proxy.stop()


def ask(made: Faults, rules: str, origin: str | None = HERE) -> PlainRequest:
    request = PlainRequest(rules.encode(), origin)
    request.written = made.render_POST(request)  # type: ignore[arg-type]  # as much of one
    return request


@pytest_twisted.ensureDeferred
async def test_the_page_learns_where_the_proxy_is() -> None:
    async with tool() as (made, proxy):
        told = json.loads(made.render_GET(PlainRequest(b"")))  # type: ignore[arg-type]
        assert told == {"url": f"http://127.0.0.1:{proxy.port}", "rules": ""}


@pytest_twisted.ensureDeferred
async def test_a_rule_is_for_the_way_in_alone_unless_it_says_where() -> None:
    async with tool() as (made, proxy):
        answer = ask(made, "delay for=1s\nlogin where=/down")
        assert answer.status == 200
        assert [str(rule) for rule in proxy.plan.rules] == [
            "delay for=1s where=/sp/*",
            "login where=/down",
        ]
        told = json.loads(made.render_GET(PlainRequest(b"")))  # type: ignore[arg-type]
        assert told["rules"] == "delay for=1s\nlogin where=/down"
        ask(made, "")
        assert not proxy.plan.rules


@pytest_twisted.ensureDeferred
async def test_what_was_open_under_the_old_plan_is_cut_a_moment_later() -> None:
    async with tool() as (made, proxy):
        cuts: list[int] = []
        proxy.cut_all = lambda: cuts.append(1)  # type: ignore[method-assign]
        ask(made, "delay for=1s")
        ask(made, "delay for=2s")
        assert not cuts, "the answer is to get through"
        await settle(lambda: bool(cuts))
        assert cuts == [1]
        del proxy.cut_all


@pytest_twisted.ensureDeferred
async def test_a_bad_rule_is_named_and_changes_nothing() -> None:
    async with tool() as (made, proxy):
        before = proxy.plan
        answer = ask(made, "burn down=everything")
        assert answer.status == 400
        assert b"burn" in answer.written
        assert proxy.plan is before


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("origin", [None, "null", "https://evil.example"])
async def test_other_pages_may_not(origin: str | None) -> None:
    async with tool() as (made, proxy):
        assert ask(made, "delay for=1s", origin).status == 403
        assert not proxy.plan.rules
