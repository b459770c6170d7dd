"""What has a page shown of its user?"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Shown:
    """A ticket that the page has said, and the cookies that its browser has added."""

    ticket: str = field(default="", repr=False)
    cookies: tuple[tuple[str, str], ...] = field(default=(), repr=False)


NOTHING = Shown()
