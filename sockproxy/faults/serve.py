"""What does `python -m sockproxy faultproxy` do once the reactor is there?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError

from sockproxy.faults.plan import Plan
from sockproxy.faults.proxy import FaultProxy


def say(text: str) -> None:
    """Write a line that whoever reads our output gets now."""
    sys.stdout.write(f"faultproxy: {text}\n")
    sys.stdout.flush()


async def serve(
    reactor: Any,
    listen: str,
    to: tuple[str, int],
    plan: Plan,
    tell: Callable[[str], None] = say,
) -> None:
    """Run a fault proxy until the reactor stops. Raises `SystemExit` where it cannot listen."""
    proxy = FaultProxy(reactor, to, plan, tell)
    try:
        port = await proxy.start(serverFromString(reactor, listen))
    except (ValueError, TypeError, KeyError) as error:
        raise SystemExit(f"seed {plan.seed}: --listen {listen!r}: {error}") from None
    except CannotListenError as error:
        reason = getattr(error.socketError, "strerror", None) or error.socketError
        raise SystemExit(f"seed {plan.seed}: --listen {listen!r}: {reason}") from None
    # Not before a signal would be heeded.
    where = f"http://{proxy.host}:{port} -> http://{to[0]}:{to[1]} seed {plan.seed}"
    reactor.callWhenRunning(tell, where)
    ended: Deferred[None] = Deferred()

    async def leave() -> None:
        await proxy.stop()
        counts = ", ".join(f"{name} {number}" for name, number in sorted(proxy.counts.items()))
        tell(f"seed {plan.seed}: {counts or 'no connections'}")
        ended.callback(None)

    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(leave()))
    await ended
