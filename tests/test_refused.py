"""Does a refusal say what it was made of?"""

from __future__ import annotations

from sockproxy.codes import Code
from sockproxy.refused import RETRY_MS, Refused


def test_a_refusal_has_code_text_and_a_time_to_come_again() -> None:
    refused = Refused(Code.BUSY, "full", RETRY_MS)

    assert (refused.code, refused.text, refused.retry_ms) == (Code.BUSY, "full", RETRY_MS)
    assert str(refused) == "full"
