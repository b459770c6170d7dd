"""What can an operator set, what does it mean, and what is it unless set?

One declarative model: the parser of proxy.ini, `python -m sockproxy defaults` and the
checks all read it, so that no option can be dead or undocumented. Durations are seconds,
sizes bytes; how a file writes them is in `ini`.
"""

from sockproxy.settings.allowances import Limits
from sockproxy.settings.sections import (
    Access,
    Backend,
    Destination,
    ForwardAuth,
    HostPort,
    Listener,
    Service,
    Settings,
    Target,
    TcpTarget,
    TicketKey,
    Tickets,
    Tls,
    UnixTarget,
    Way,
)
from sockproxy.settings.units import KIB, MIB, NAME_PATTERN, Bytes, Model, Seconds

__all__ = [
    "KIB",
    "MIB",
    "NAME_PATTERN",
    "Limits",
    "Bytes",
    "Model",
    "Seconds",
    "Access",
    "Backend",
    "Destination",
    "ForwardAuth",
    "HostPort",
    "Listener",
    "Service",
    "Settings",
    "Target",
    "TcpTarget",
    "TicketKey",
    "Tickets",
    "Tls",
    "UnixTarget",
    "Way",
]
