"""What is an option, and in which units is it?"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict

NAME_PATTERN = r"[a-z0-9_-]{1,32}"

KIB = 1024
MIB = 1024 * 1024


class Seconds:
    """Marks a duration: `30s`, `5m`, `1h`, `250ms`."""


class Bytes:
    """Marks a size: `64KiB`, `4MiB`, `100kB`."""


Duration = Annotated[float, Seconds()]
Size = Annotated[int, Bytes()]


class Model(BaseModel):
    """A section: unknown keys are errors and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)
