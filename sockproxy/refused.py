"""Why is somebody not let in, and what is he told?"""

from __future__ import annotations

from sockproxy.codes import Code

RETRY_MS = 2000


class Refused(Exception):
    """The answer is no, whoever asks; a session, if there is one, goes on unchanged."""

    def __init__(self, code: Code, text: str, retry_ms: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.retry_ms = retry_ms
