"""Commits days of readings and compacts, until it is killed; run by ``tests.support.killed``."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from tests.support.readings import day_batch

from openami.store.lake import Lake


def main(path: str, first: str) -> None:
    lake = Lake(Path(path), threads=1, memory="512MB")
    for number in itertools.count(int(first), 2):
        lake.commit([day_batch(number), day_batch(number + 1)])
        print(number + 1)
        if number % 5 == 0:
            lake.compact()


if __name__ == "__main__":
    main(*sys.argv[1:])
