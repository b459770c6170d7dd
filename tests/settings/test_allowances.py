"""Do the limits that nobody has set fit together?"""

from __future__ import annotations

from sockproxy.settings import Limits


def test_the_defaults_agree_with_each_other() -> None:
    limits = Limits()

    assert limits.stream_window <= limits.stream_window_max <= limits.session_stream_windows
    assert limits.ping + limits.ping_timeout < limits.linger
    assert limits.unauthenticated_per_address <= limits.connections_per_address
    assert limits.connections_per_address <= limits.connections
    assert limits.sessions_per_principal <= limits.sessions_per_address <= limits.sessions
