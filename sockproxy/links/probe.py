"""Does a WebSocket carry bytes at all, before a session is moved to it?

A page asks with a HELLO that attaches nothing: what it sends as PING and PAD comes back as
PONG and PAD, so that a path which lets the upgrade pass and holds the frames is seen. What
may come back is counted, or it would be an echo for anyone.
"""

from __future__ import annotations

from sockproxy.codes import Code
from sockproxy.core import frames
from sockproxy.core.errors import PeerError
from sockproxy.refused import Refused

PROBE_WITHIN_S = 10.0
ECHOES = 4
ECHO_MAX_BYTES = 4 * 1024


class Probe:
    """The echo on one WebSocket."""

    def __init__(self) -> None:
        self._pings_left = ECHOES
        self._pads_left = ECHOES

    def answer(self, data: bytes) -> bytes:
        """Return what to say to a message of PING and PAD. Raises `Refused`."""
        decoder = frames.Decoder(frames.MAX_CLIENT_DATA_BYTES)
        try:
            said = b"".join(self._echo(raw) for raw in decoder.feed(data))
        except PeerError as error:
            raise Refused(error.code, error.text) from None
        if decoder.pending_bytes:
            raise Refused(Code.PROTOCOL, "a probe's message ends inside a frame")
        return said

    def _echo(self, raw: frames.Raw) -> bytes:
        frame = frames.parse(raw)
        if isinstance(frame, frames.Ping) and self._pings_left:
            self._pings_left -= 1
            return frames.encode(frames.Pong(frame.token, 0))
        if isinstance(frame, frames.Pad) and self._pads_left:
            if raw.size > ECHO_MAX_BYTES:
                text = f"a probe's PAD of {raw.size} bytes above {ECHO_MAX_BYTES}"
                raise Refused(Code.TOO_BIG, text)
            self._pads_left -= 1
            return frames.encode(frame)
        raise Refused(Code.PROTOCOL, f"a probe has {ECHOES} PINGs and {ECHOES} PADs, no more")
