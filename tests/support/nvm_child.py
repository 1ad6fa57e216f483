"""Commits ticks of twenty meters, until it is killed; run by ``tests.support.killed``."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from openami.metrology.memory import MeterCommit, Row
from openami.store.nvm import SqliteMemory


def main(path: str) -> None:
    memory = SqliteMemory(Path(path))
    image = memory.load("A0")
    first = 1 if image is None else int(image.snapshot) + 1
    for tick in itertools.count(first):
        memory.commit(
            [
                MeterCommit(
                    f"A{n}", str(tick).encode(), (Row(0, tick, 900 * tick, b"row"),), {0: tick - 7}
                )
                for n in range(20)
            ]
        )
        print(tick)


if __name__ == "__main__":
    main(*sys.argv[1:])
