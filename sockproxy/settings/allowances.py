"""How much may one page, one address and all of them take?"""

from __future__ import annotations

from pydantic import Field

from sockproxy.settings.units import KIB, MIB, Duration, Model, Size


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
