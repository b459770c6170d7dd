"""What does a box on the way answer in place of the server?"""

from __future__ import annotations

from sockproxy.faults.kinds import REDIRECTS, STATUSES, Answer

LOGIN = """\
<!DOCTYPE html>
<html><head><title>Sign in to the network</title></head>
<body><h1>Welcome</h1><form method="post" action="/login"><input name="room">
<button>Connect</button></form></body></html>
"""


def answer(asked: Answer, *, head_only: bool = False) -> bytes:
    """Return a whole HTTP answer; the connection goes on behind it."""
    reason = STATUSES[asked.status]
    page = LOGIN if asked.verb == "login" else f"<h1>{asked.status} {reason}</h1>\n"
    lines = [
        f"HTTP/1.1 {asked.status} {reason}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(page)}",
    ]
    if asked.status in REDIRECTS:
        lines.append(f"Location: {asked.location}")
    if asked.retry_after_s is not None:
        lines.append(f"Retry-After: {asked.retry_after_s}")
    return "\r\n".join([*lines, "", "" if head_only else page]).encode("ascii")
