"""May others read or change a file that decides who gets in?

Whoever may write it, or put another one in its place, decides in the operator's stead.
"""

from __future__ import annotations

import os
import stat
from typing import Literal

May = Literal["read", "write"]


def others(mode: int, *, secret: bool = False) -> May | None:
    """Return what others may do to a file of this mode, and should not.

    Pipes and devices have modes that say nothing of the kind, but for who may read them.
    """
    if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
        return "write"
    return "read" if secret and mode & stat.S_IROTH else None


def may_put(folder: str, *, anew: bool = False) -> bool:
    """Return whether others may put a file in the place of one in a folder, or `anew` beside it.

    In a sticky folder, such as /tmp, a file is its owner's to replace.
    """
    mode = os.stat(folder or os.curdir).st_mode
    return bool(mode & stat.S_IWOTH and (anew or not mode & stat.S_ISVTX))
