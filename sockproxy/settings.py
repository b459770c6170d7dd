"""What can an operator set, what does it mean, and what is it unless set?

One declarative model: the parser of proxy.ini, `python -m sockproxy defaults` and the
checks all read it, so that no option can be dead or undocumented. Durations are seconds,
sizes bytes; how a file writes them is in `ini`.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr

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
    """How a TLS backend is verified; the name is checked against the certificate.

    `pins`: one of them has to be the SHA-256 of the certificate's public key, in hex.
    """

    server_name: str
    ca_file: str | None = None
    pins: tuple[str, ...] = ()
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


class TicketKey(Model):
    """A key that tickets are signed with, and the one algorithm that it is for."""

    kid: str
    algorithm: Literal["HS256", "EdDSA"]
    material: SecretBytes


class Tickets(Model):
    """[tickets]: how a page shows who its user is."""

    keys: tuple[TicketKey, ...] = Field(
        default=(),
        description="KID HS256 SECRET or KID EdDSA SECRET, one per line; a secret is file:PATH or"
        " env:NAME: 32 bytes or more, or a public key in PEM",
    )
    audience: str = Field(
        default="sockproxy", min_length=1, description="what a ticket's aud has to name"
    )
    leeway: Duration = Field(
        default=5.0, ge=0, le=60, description="how far the application's clock may be off"
    )
    longest: Duration = Field(
        default=3600.0, gt=0, le=7 * 86400, description="how long a ticket may be good for"
    )
    single_use: bool = Field(
        default=True, description="a ticket needs a jti, and opens one session only"
    )
    revoked: str | None = Field(
        default=None,
        description="a file of what is revoked, one per line: jti ID or sub NAME; looked at again"
        " when it changes",
    )


class ForwardAuth(Model):
    """[forward_auth]: the application is asked who a page's user is."""

    url: str | None = Field(
        default=None, description="what is asked by GET, such as http://127.0.0.1:8000/sockproxy"
    )
    cookies: tuple[str, ...] = Field(
        default=(), description="names of the cookies that are handed on, one per line"
    )
    timeout: Duration = Field(
        default=2.0, gt=0, le=30, description="how long the application may take to answer"
    )
    cache: Duration = Field(
        default=10.0, ge=0, le=600, description="how long an answer holds for the same question"
    )
    good_for: Duration = Field(
        default=300.0,
        ge=10,
        le=7 * 86400,
        description="after which the application is asked again, unless it says expires_s",
    )


class Listener(Model):
    """[listen NAME]: where browsers come in."""

    endpoint: str = Field(description="a Twisted server endpoint, such as tcp:8080")
    certificate: str = Field(
        default="",
        description="PEM file of the certificate and its chain: the listener speaks TLS;"
        " replaced files are taken up within 5s",
    )
    private_key: str = Field(
        default="", description="PEM file of its key; unless set, it stands in that file too"
    )
    proxy_protocol: bool = Field(
        default=False,
        description="every connection begins with a PROXY header, v1 or v2, of trusted_proxies",
    )


class Way(Model):
    """What [backend] and [access] have in common."""

    origins: tuple[str, ...] = Field(
        default=(), description="which pages may, one https://host[:port] per line"
    )
    principals: tuple[str, ...] = Field(
        default=(),
        description="which users may, one per line, * for all that have a ticket; none: no ticket"
        " is asked for",
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
    max_streams: int = Field(
        default=0, ge=0, description="streams at once to this section; 0: any number"
    )
    idle_timeout: Duration = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="a stream on which nothing moves for so long ends; 0s: never",
    )
    max_bytes: Size = Field(
        default=0, ge=0, description="bytes of one stream, both ways together; 0B: any number"
    )


class Backend(Way):
    """[backend NAME]: a service that pages may open by its name or exact address."""

    target: Target = Field(
        description="tcp:HOST:PORT, unix:PATH, or"
        " tls:HOST:PORT[:ca=FILE][:name=HOST][:pin=SHA256][:certificate=FILE][:privateKey=FILE]"
    )
    reveal_address: bool = Field(
        default=False, description="tell the page the backend's address, not just its name"
    )
    frames: Literal["binary", "text"] = Field(
        default="binary", description="what /raw answers with: binary or text messages"
    )
    proxy_protocol: Literal["none", "v1", "v2"] = Field(
        default="none", description="the PROXY header that tells the backend who the client is"
    )
    webirc_password: SecretStr | None = Field(
        default=None,
        description="tells an IRC server who the client is, by WEBIRC: file:PATH or env:NAME of"
        " the password that it knows us by",
    )
    webirc_gateway: str = Field(default="", description="the name it knows us by, for WEBIRC")


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
    connections: int = Field(
        default=20_000, ge=1, description="connections in all, if there are descriptors for them"
    )
    connections_per_address: int = Field(
        default=1024, ge=1, description="connections from one address (IPv6: one /64)"
    )
    unauthenticated_per_address: int = Field(
        default=256,
        ge=1,
        description="connections from one address that have got no file, session or stream yet",
    )
    handshakes_per_s: float = Field(
        default=100.0, gt=0, allow_inf_nan=False, description="new connections, per address"
    )
    handshakes_burst: int = Field(
        default=500, ge=1, description="new connections at once, per address"
    )
    failures_per_s: float = Field(
        default=20.0,
        gt=0,
        allow_inf_nan=False,
        description="odd requests, refused origins, refused attaches and denied opens, per"
        " address; beyond them it is not let in",
    )
    failures_burst: int = Field(default=256, ge=1, description="such failures at once, per address")
    sessions: int = Field(default=20_000, ge=0, description="sessions in all; 0: any number")
    sessions_per_address: int = Field(
        default=512, ge=1, description="sessions from one address (IPv6: one /64)"
    )
    sessions_per_origin: int = Field(
        default=0, ge=0, description="sessions of one origin; 0: any number"
    )
    sessions_per_principal: int = Field(
        default=16,
        ge=0,
        description="sessions of one principal, the oldest that waits makes room; 0: any number",
    )
    streams_total: int = Field(default=20_000, ge=0, description="streams in all; 0: any number")
    streams_per_address: int = Field(
        default=2048, ge=0, description="streams from one address (IPv6: one /64); 0: any number"
    )
    streams_per_origin: int = Field(
        default=0, ge=0, description="streams of one origin; 0: any number"
    )
    streams_per_principal: int = Field(
        default=256, ge=0, description="streams of one principal; 0: any number"
    )
    total_opens_per_s: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="opens a second, in all; 0: any number"
    )
    address_opens_per_s: float = Field(
        default=500.0,
        ge=0,
        allow_inf_nan=False,
        description="opens a second from one address, for 10 s at once; 0: any number",
    )
    origin_opens_per_s: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="opens a second of one origin, for 10 s at once; 0: any number",
    )
    principal_opens_per_s: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="opens a second of one principal, for 10 s at once; 0: any number",
    )
    bytes_per_s: Size = Field(
        default=0,
        ge=0,
        description="bytes a second of one session, both ways together; 0B: any number",
    )
    total_bytes_per_s: Size = Field(
        default=0, ge=0, description="bytes a second in all; 0B: any number"
    )
    address_bytes_per_s: Size = Field(
        default=0, ge=0, description="bytes a second of one address; 0B: any number"
    )
    origin_bytes_per_s: Size = Field(
        default=0, ge=0, description="bytes a second of one origin; 0B: any number"
    )
    principal_bytes_per_s: Size = Field(
        default=0, ge=0, description="bytes a second of one principal; 0B: any number"
    )
    memory: Size = Field(
        default=1024 * MIB,
        ge=MIB,
        description="bytes that all sessions may hold: above 70 % no window grows, above 90 %"
        " nothing new is let in, above all of it sessions end that wait for their pages",
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
    tickets: Tickets = Tickets()
    forward_auth: ForwardAuth = ForwardAuth()
