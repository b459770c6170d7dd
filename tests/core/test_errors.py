"""Does each error carry what its answer needs?"""

from __future__ import annotations

from sockproxy.codes import Code
from sockproxy.core.errors import LinkError, LocalError, PeerError, StreamError


def test_errors_of_the_peer_carry_a_code_and_a_text() -> None:
    for kind in (PeerError, StreamError):
        error = kind(Code.FLOW, "offset 5 beyond window 4")
        assert (error.code, error.text, str(error)) == (
            Code.FLOW,
            "offset 5 beyond window 4",
            "offset 5 beyond window 4",
        )


def test_a_fault_of_ours_is_none_of_theirs() -> None:
    assert not issubclass(LocalError, PeerError | LinkError | StreamError)
