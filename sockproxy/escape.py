"""How is text from outside written so that it can neither act nor pass for ours?

Whatever comes in, what goes out is one line of printable characters, of a bounded length,
and means one text only as long as it is not cut: a terminal obeys nothing in it, a reader
of lines sees one line, and between quotes it ends where the quotes do.
"""

from __future__ import annotations

import re
from itertools import accumulate

SHOWN_MAX_BYTES = 200

_CUT = "..."
_SYNTAX = frozenset('"\\')
_PLAIN = re.compile(r"[ !#-\[\]-~]*")


def escaped(text: str, max_bytes: int = SHOWN_MAX_BYTES) -> str:
    """Return `text` in printable characters, at most `max_bytes` of UTF-8."""
    if len(text) <= max_bytes and _PLAIN.fullmatch(text):  # nearly all there ever is
        return text
    pieces = [_piece(character) for character in text[: max_bytes + 1]]
    ends = list(accumulate(len(piece.encode()) for piece in pieces))
    if ends[-1] <= max_bytes:
        return "".join(pieces)
    fit = sum(end <= max_bytes - len(_CUT) for end in ends)
    return "".join(pieces[:fit]) + _CUT


def _piece(character: str) -> str:
    # What Unicode calls unprintable: C0, C1, DEL, separators, bidi controls, surrogates.
    if not character.isprintable():
        return character.encode("unicode_escape").decode("ascii")
    return f"\\{character}" if character in _SYNTAX else character
