"""How is a figure shown, and was its bound met?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

KIB = 1024
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `most` and `least` are what it is held to, if anything."""

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        high = self.most is not None and self.value > self.most
        low = self.least is not None and self.value < self.least
        return not (high or low)

    @property
    def bound(self) -> str:
        if self.most is not None:
            return f"<= {self.most:g}"
        return f">= {self.least:g}" if self.least is not None else ""

    @property
    def verdict(self) -> str:
        if not self.bound:
            return ""
        return "ok" if self.met else "MISSED"


def quantile(samples: Sequence[float], part: float) -> float:
    """Return the sample below which `part` of all lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def show(figures: Sequence[Figure]) -> int:
    """Print a table and one JSON line for each figure; return the exit status."""
    rows = [("what", "value", "unit", "bound", "", "note")]
    rows += [(f.name, f"{f.value:,.2f}", f.unit, f.bound, f.verdict, f.note) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[1] = row[1].rjust(widths[1])
        print("  ".join(cells).rstrip())
    for figure in figures:
        print(json.dumps({**asdict(figure), "met": figure.met}))
    return 0 if all(figure.met for figure in figures) else 1
