"""Which sections does a file have, what do their options mean, and what are they unless set?"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from pydantic import Field, SecretBytes, SecretStr

from sockproxy.settings.allowances import Limits
from sockproxy.settings.units import Duration, Model, Size


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


class Settings(Model):
    """Everything, validated."""

    sockproxy: Service = Service()
    listeners: dict[str, Listener]
    backends: dict[str, Backend] = Field(default_factory=dict)
    access: dict[str, Access] = Field(default_factory=dict)
    limits: Limits = Limits()
    tickets: Tickets = Tickets()
    forward_auth: ForwardAuth = ForwardAuth()
