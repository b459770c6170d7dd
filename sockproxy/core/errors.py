"""Whose fault is it?

`LocalError` is our own bug and is never caught. `PeerError` is the other end's and
ends the session with its code. `LinkError` ends one link; the session attaches again.
`StreamError` ends one stream and nothing else.
"""

from __future__ import annotations

from sockproxy.codes import Code


class LocalError(Exception):
    """Our own side broke the rules of this module."""


class PeerError(Exception):
    """The peer broke the protocol; the session ends with `code`."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class LinkError(Exception):
    """This link carries something we cannot use; another one may go on."""


class StreamError(Exception):
    """The peer broke the rules of one stream, which ends with `code`."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
