"""What stands at the beginning of every link and of every request?"""

from __future__ import annotations

from sockproxy.auth.shown import Shown
from sockproxy.codes import Code, HelloTlv
from sockproxy.core import frames
from sockproxy.core.attach import VERSION
from sockproxy.core.errors import PeerError
from sockproxy.front import Visitor
from sockproxy.logs import Logger
from sockproxy.refused import Refused

HELLO_MAX_BYTES = 8 * 1024
# What no page of ours runs into by bad luck. Unknown sessions are the hub's to limit: after a
# restart every page asks for one.
log = Logger(__name__)

# What is not told where it is found, nor happens when two links of one page cross.
TOLD = frozenset(
    (
        Code.VERSION,
        Code.TICKET_REQUIRED,
        Code.TICKET_REFUSED,
        Code.BUSY,
        Code.TOO_BIG,
        Code.PROTOCOL,
        Code.TIMEOUT,
        Code.INTERNAL,
    )
)
OFFENCES = frozenset((Code.ORIGIN, Code.PROTOCOL, Code.TICKET_REFUSED, Code.SECRET_REUSE))


def cut(data: bytes) -> tuple[frames.Hello, bytes]:
    """Return the HELLO that `data` begins with, and what follows it. Raises `Refused`."""
    try:
        raw = frames.first(data, frames.MAX_CLIENT_DATA_BYTES)
        hello = frames.parse(raw) if raw is not None else None
    except PeerError as error:
        raise Refused(error.code, error.text) from None
    if raw is None or not isinstance(hello, frames.Hello):
        raise Refused(Code.PROTOCOL, "the first frame is not HELLO")
    if raw.size > HELLO_MAX_BYTES:
        raise Refused(Code.TOO_BIG, f"HELLO of {raw.size} bytes above {HELLO_MAX_BYTES}")
    return hello, data[raw.size :]


def check_version(said: frames.Hello) -> None:
    """Raise `Refused` for a probe of another version; an attach is checked by the hub."""
    if said.version != VERSION:
        text = f"version {said.version}, this server speaks {VERSION}"
        raise Refused(Code.VERSION, text)


def shown(said: frames.Hello, visitor: Visitor) -> Shown:
    """Return what the page has shown of its user."""
    ticket = said.tlvs.get(HelloTlv.TICKET, b"").decode("ascii", "replace")
    return Shown(ticket, visitor.cookies)


def note(refused: Refused, visitor: Visitor) -> None:
    """Tell the operator of a no that nobody else tells; count one that should not come often."""
    if refused.code in OFFENCES:
        visitor.entry.failed()
    if refused.code in TOLD:
        log.info(
            "refused {origin} from {peer}: {text}",
            origin=visitor.origin,
            peer=visitor.peer,
            text=refused.text,
        )


def refusal(refused: Refused) -> bytes:
    """Return the frame that says no."""
    return frames.encode(frames.Refuse(refused.code, refused.retry_ms, frames.clip(refused.text)))
