"""What can an operator set, what does it mean, and what is it unless set?

One declarative model: the parser of proxy.ini, `python -m sockproxy defaults` and the
checks all read it, so that no option can be dead or undocumented. Durations are seconds,
sizes bytes; how a file writes them is in `ini`.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"[a-z0-9_-]{1,32}"

KIB = 1024
MIB = 1024 * 1024


class Seconds:
    """Marks a duration: `30s`, `5m`, `1h`, `250ms`."""


class Bytes:
    """Marks a size: `64KiB`, `4MiB`, `100kB`."""


Duration = Annotated[float, Seconds()]
Size = Annotated[int, Bytes()]


class Model(BaseModel):
    """A section: unknown keys are errors and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(Model):
    """How a TLS backend is verified; the name is checked against the certificate."""

    server_name: str
    ca_file: str | None = None
    certificate_file: str | None = None
    private_key_file: str | None = None


class TcpTarget(Model):
    """A TCP port of a host name or address literal."""

    host: str
    port: int
    tls: Tls | None = None


class UnixTarget(Model):
    """A UNIX stream socket."""

    path: str


Target = TcpTarget | UnixTarget


class HostPort(Model):
    """One exact host and port."""

    host: str
    port: int


class Destination(Model):
    """Hosts and ports that a page may name: a name, `*.name`, or a network."""

    text: str
    host: str | None = None
    network: IPv4Network | IPv6Network | None = None
    first_port: int
    last_port: int


class Service(Model):
    """[sockproxy]: the service as a whole."""

    include: tuple[str, ...] = Field(
        default=(),
        description="files with more sections, one path or pattern such as conf.d/*.ini per line,"
        " from this file's folder",
    )
    playground: bool = Field(
        default=False, description="serve the playground page at / with its cut button"
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="names that Host may have, one per line; none: any"
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network | Literal["unix"], ...] = Field(
        default=(),
        description="addresses and networks of proxies that say who the client is, one per line;"
        " unix for all that come by a UNIX socket",
    )
    client_header: Literal["X-Forwarded-For", "Forwarded"] = Field(
        default="X-Forwarded-For", description="the one header in which they say so"
    )


class Listener(Model):
    """[listen NAME]: where browsers come in."""

    endpoint: str = Field(description="a Twisted server endpoint, such as tcp:8080")


class Way(Model):
    """What [backend] and [access] have in common."""

    origins: tuple[str, ...] = Field(
        default=(), description="which pages may, one https://host[:port] per line"
    )
    allow_no_origin: bool = Field(
        default=False, description="also serve clients that send no Origin: no browser does so"
    )
    connect_timeout: Duration = Field(
        default=10.0, gt=0, le=120, description="how long connecting may take, DNS included"
    )
    dns_timeout: Duration = Field(
        default=5.0, gt=0, le=60, description="how long resolving a name may take"
    )


class Backend(Way):
    """[backend NAME]: a service that pages may open by its name or exact address."""

    target: Target = Field(
        description="tcp:HOST:PORT, unix:PATH, or"
        " tls:HOST:PORT[:ca=FILE][:name=HOST][:certificate=FILE][:privateKey=FILE]"
    )
    reveal_address: bool = Field(
        default=False, description="tell the page the backend's address, not just its name"
    )
    frames: Literal["binary", "text"] = Field(
        default="binary", description="what /raw answers with: binary or text messages"
    )


class Access(Way):
    """[access NAME]: hosts and ports that a page may choose."""

    allow: tuple[Destination, ...] = Field(
        default=(),
        description="which HOST:PORT, one per line; a host is a name, *.name, an address or a"
        " network in CIDR form, a port one or FIRST-LAST",
    )
    deny: tuple[Destination, ...] = Field(
        default=(), description="which of them not, by name or by the address behind it"
    )
    forced_ports: tuple[int, ...] = Field(
        default=(),
        description="ports to open though they are closed to pages: 22 25 465 587 2375 2376 6379"
        " 9200 10250 11211",
    )
    detail: bool = Field(
        default=False, description="tell the page why a connection failed, not just that"
    )


class Limits(Model):
    """[limits]: how much one page, one address and all of them may take."""

    stream_window: Size = Field(
        default=64 * KIB, ge=16 * KIB, le=16 * MIB, description="bytes a new stream may hold here"
    )
    stream_window_max: Size = Field(
        default=MIB, ge=16 * KIB, le=64 * MIB, description="what a fast stream's window grows to"
    )
    session_stream_windows: Size = Field(
        default=8 * MIB, ge=MIB, le=1024 * MIB, description="all windows of one session together"
    )
    session_window: Size = Field(
        default=4 * MIB, ge=256 * KIB, le=64 * MIB, description="unacked bytes kept for one page"
    )
    linger: Duration = Field(
        default=120.0, ge=1, le=600, description="how long a session waits for its page"
    )
    streams: int = Field(default=64, ge=1, le=120, description="streams in one session")
    opens_per_s: float = Field(
        default=50.0, gt=0, allow_inf_nan=False, description="opens a second, per session"
    )
    opens_burst: int = Field(default=100, ge=1, description="opens at once, per session")
    max_post: Size = Field(
        default=256 * KIB, ge=96 * KIB, le=900 * KIB, description="bytes in the body of a request"
    )
    failed_attaches_per_s: float = Field(
        default=20.0, gt=0, allow_inf_nan=False, description="unknown sessions, per address"
    )
    failed_attaches_burst: int = Field(
        default=256, ge=1, description="unknown sessions asked for at once, per address"
    )
    refusal_time: Duration = Field(
        default=1.0,
        ge=0,
        le=60,
        description="how long a host that a page chose takes to be refused, whatever the reason",
    )
    sessions_per_address: int = Field(
        default=512, ge=1, description="sessions from one address (IPv6: one /64)"
    )
    detached: int = Field(default=10_000, ge=1, description="sessions that wait for their pages")
    detached_memory: Size = Field(
        default=256 * MIB, ge=MIB, description="bytes that waiting sessions may hold together"
    )
    ping: Duration = Field(default=25.0, ge=1, le=300, description="silence before a ping")
    ping_timeout: Duration = Field(
        default=15.0, ge=1, le=300, description="silence after a ping before a link is given up"
    )
    hello_timeout: Duration = Field(
        default=5.0, ge=1, le=60, description="from the upgrade to HELLO"
    )


class Settings(Model):
    """Everything, validated."""

    sockproxy: Service = Service()
    listeners: dict[str, Listener]
    backends: dict[str, Backend] = {}
    access: dict[str, Access] = {}
    limits: Limits = Limits()
