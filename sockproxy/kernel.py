"""What does the kernel hold of what we sent?

Its send buffers grow to megabytes by themselves. Towards a browser that is latency, since
no control frame can overtake them; before an abort it is bytes that would be thrown away.
"""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from typing import Any

from twisted.protocols.policies import ProtocolWrapper

UNSENT_MAX_BYTES = 64 * 1024
SEND_BUFFER_BYTES = 128 * 1024


def limit_unsent(transport: Any) -> None:
    """Let the kernel take little more than what is on its way already.

    A limit on what is not yet sent costs no throughput on a long path; where there is no
    such limit, the whole buffer is made small.
    """
    handle = _socket(transport)
    if handle is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX_BYTES)
    else:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def unsent_bytes(transport: Any) -> int:
    """Return how much of what the kernel took the peer's kernel has not acknowledged."""
    handle = _socket(transport)
    if handle is None:
        return 0
    try:
        answer = fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


def has_kernel(transport: Any) -> bool:
    """Return whether a transport ends in a socket, not in memory."""
    return _socket(transport) is not None


def _socket(transport: Any) -> socket.socket | None:
    """Return the socket under a transport, under TLS too, or None without one."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    try:
        handle = transport.getHandle()
    except AttributeError:  # in memory, or closed already
        return None
    return handle if isinstance(handle, socket.socket) else None
