"""Is every code said once, in code and in documents?"""

from __future__ import annotations

import re
from pathlib import Path

from sockproxy.codes import Code, close_code

PROTOCOL = Path(__file__).parent.parent / "docs" / "protocol.md"


def test_the_close_code_is_4000_and_the_code() -> None:
    assert close_code(Code.SUPERSEDED) == 4038
    assert all(4000 <= close_code(code) < 5000 for code in Code)


def test_every_code_is_in_the_document() -> None:
    table = PROTOCOL.read_text(encoding="utf-8").partition("| code | meaning")[2]
    said = {int(text, 16) for text in re.findall(r"0x([0-9A-F]{2})\b", table)}
    assert {int(code) for code in Code} <= said
