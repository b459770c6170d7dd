"""Can an honest client ever be locked out, or a thief ever get in?

The second half searches every interleaving of up to five links (four in the short form)
whose HELLO, WELCOME and first frame may each be lost, late, doubled or overtaken.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise

import pytest

from sockproxy.core.ring import RETIRED_KEPT, SecretRing, Verdict

FIRST, SECOND, THIRD, OTHER = (bytes([n]) * 32 for n in range(4))


def test_the_first_secret_attaches_again_until_the_welcome_is_confirmed() -> None:
    ring = SecretRing()
    assert ring.judge(1, FIRST) is Verdict.ATTACH
    ring.admit(1, FIRST, SECOND)
    assert ring.judge(2, FIRST) is Verdict.ATTACH

    ring.confirm()

    assert ring.judge(2, FIRST) is Verdict.STOLEN
    assert ring.judge(1, FIRST) is Verdict.CONTINUE
    assert ring.judge(2, SECOND) is Verdict.ATTACH


def test_a_lower_link_is_stale_whatever_its_secret() -> None:
    ring = SecretRing()
    ring.admit(5, FIRST, SECOND)
    assert ring.judge(4, FIRST) is Verdict.STALE
    assert ring.judge(5, SECOND) is Verdict.STALE
    ring.admit(6, SECOND, THIRD)
    assert ring.judge(6, FIRST) is Verdict.STALE
    assert ring.judge(7, FIRST) is Verdict.STOLEN


def test_a_next_secret_that_was_replaced_is_unknown() -> None:
    ring = SecretRing()
    ring.admit(1, FIRST, SECOND)
    ring.admit(2, FIRST, THIRD)

    assert ring.judge(3, SECOND) is Verdict.UNKNOWN
    assert ring.judge(3, OTHER) is Verdict.UNKNOWN
    assert ring.judge(3, THIRD) is Verdict.ATTACH


def test_only_so_many_retired_secrets_are_kept() -> None:
    ring = SecretRing()
    secrets = [bytes([n]) * 32 for n in range(RETIRED_KEPT + 3)]
    for link, (secret, following) in enumerate(pairwise(secrets), 1):
        ring.admit(link, secret, following)

    assert ring.judge(99, secrets[0]) is Verdict.UNKNOWN
    assert ring.judge(99, secrets[RETIRED_KEPT]) is Verdict.STOLEN


def test_no_secret_is_kept_readable() -> None:
    ring = SecretRing()
    ring.admit(1, FIRST, SECOND)

    kept = [getattr(ring, name) for name in SecretRing.__slots__]
    assert FIRST not in kept
    assert SECOND not in kept


# The search. Secrets are small numbers; 0 is the client's own, n the server's n-th.


@dataclass(frozen=True)
class Hello:
    link: int
    secret: int


@dataclass(frozen=True)
class Welcome:
    link: int
    next_secret: int


@dataclass(frozen=True)
class Proof:
    """The ACK that a client says first on a link that was welcomed."""

    link: int


Message = Hello | Welcome | Proof


@dataclass(frozen=True)
class Server:
    """What `SecretRing` holds, as a value that a search can remember."""

    link: int = 0
    confirmed: bool = False
    current: int | None = None
    next: int | None = None
    retired: tuple[int, ...] = ()
    drawn: int = 0

    def ring(self) -> SecretRing:
        ring = SecretRing()
        ring.link = self.link
        ring.confirmed = self.confirmed
        ring._current = None if self.current is None else digest(self.current)
        ring._next = None if self.next is None else digest(self.next)
        ring._retired = deque((digest(s) for s in self.retired), maxlen=RETIRED_KEPT)
        return ring


@dataclass(frozen=True)
class Scene:
    server: Server = Server()
    client_link: int = 0
    client_secret: int = 0
    welcomed: int = 0
    under_way: frozenset[Message] = frozenset()


def secret(number: int) -> bytes:
    return number.to_bytes(32, "big")


def digest(number: int) -> bytes:
    return sha256(secret(number)).digest()


def server_hears(scene: Scene, message: Hello | Proof) -> tuple[Scene, Verdict | None]:
    """Return what a HELLO or a proof does, judged by the real ring."""
    server = scene.server
    if isinstance(message, Proof):
        if message.link == server.link:
            return replace(scene, server=replace(server, confirmed=True)), None
        return scene, None
    verdict = server.ring().judge(message.link, secret(message.secret))
    if verdict is not Verdict.ATTACH:
        return scene, verdict
    drawn = server.drawn + 1
    retired = server.retired
    if server.current is not None and server.current != message.secret:
        retired = (*retired, server.current)[-RETIRED_KEPT:]
    admitted = Server(message.link, False, message.secret, drawn, retired, drawn)
    welcome = Welcome(message.link, drawn)
    return replace(scene, server=admitted, under_way=scene.under_way | {welcome}), verdict


def client_hears(scene: Scene, message: Welcome) -> Scene:
    """Everything on a link below the newest HELLO is ignored (the freeze)."""
    if message.link != scene.client_link or scene.welcomed >= message.link:
        return scene
    return replace(
        scene,
        client_secret=message.next_secret,
        welcomed=message.link,
        under_way=scene.under_way | {Proof(message.link)},
    )


def following(scene: Scene, links: int) -> list[tuple[Scene, Message | None, Verdict | None]]:
    """Every next scene: a new link, or a message that arrives, and may arrive again."""
    found: list[tuple[Scene, Message | None, Verdict | None]] = []
    if scene.client_link < links:
        hello = Hello(scene.client_link + 1, scene.client_secret)
        under_way = scene.under_way | {hello}
        found.append((replace(scene, client_link=hello.link, under_way=under_way), None, None))
    for message in scene.under_way:
        if isinstance(message, Welcome):
            after, verdict = client_hears(scene, message), None
        else:
            after, verdict = server_hears(scene, message)
        found.append((after, message, verdict))
        gone = replace(after, under_way=after.under_way - {message})
        found.append((gone, message, verdict))
    return found


@pytest.mark.parametrize(
    ("links", "fewest"), [(4, 40_000), pytest.param(5, 500_000, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(600)
def test_every_interleaving_of_so_many_links_is_safe(links: int, fewest: int) -> None:
    seen, waiting = {Scene()}, deque([Scene()])
    newest_judged = set()
    while waiting:
        scene = waiting.popleft()
        for after, message, verdict in following(scene, links):
            assert verdict is not Verdict.STOLEN, f"an honest client is a thief: {scene} {message}"
            if isinstance(message, Hello) and message.link == scene.client_link:
                newest_judged.add(verdict)
                if scene.server.link < message.link:
                    assert verdict is Verdict.ATTACH, f"locked out: {scene} {message}"
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    print(f"{links} links: {len(seen)} scenes")
    assert len(seen) > fewest
    assert Verdict.ATTACH in newest_judged


def test_a_thief_with_any_old_secret_never_attaches() -> None:
    ring = SecretRing()
    given = [FIRST]
    for link in range(1, 12):
        following_secret = bytes([100 + link]) * 32
        ring.admit(link, given[-1], following_secret)
        ring.confirm()
        for old in given:
            for claimed in range(20):
                assert ring.judge(claimed, old) is not Verdict.ATTACH
        given.append(following_secret)
