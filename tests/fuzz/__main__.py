"""Which case of a seed does harm? `python -m tests.fuzz SEED [FIRST [COUNT]]`

Plays the cases of a seed one after another against a service of its own, looks at its log
after each, and shows the first one that left a fault there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.fuzz.cases import Case, case
from tests.fuzz.house import house

COUNT = 1500


def show(found: Case) -> None:
    """Print all that a case says."""
    print(f"case {found.number}: {found.kind}")
    for script in found.scripts:
        print(f"  a connection that {script.ending.value}:")
        for portion in script.portions:
            print(f"    {portion!r}")


async def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("count", type=int, nargs="?", default=COUNT)
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        async with house(Path(folder)) as there:
            for number in range(chosen.first, chosen.first + chosen.count):
                found = case(chosen.seed, number)
                await there.play(iter([found]))
                if faults := there.faults():
                    show(found)
                    sys.exit("\n".join(faults))
    print(f"{chosen.count} cases of seed {chosen.seed}, from {chosen.first} on: no fault")


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
