"""Appends to a spool and acknowledges, until it is killed; run by ``tests.support.killed``."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from openami.store.spool import Spool, SpoolBatch


def main(path: str) -> None:
    spool = Spool(Path(path))
    first = spool.cursors().get(("A1", "p"), -1) + 1
    for number in itertools.count(first):
        name = f"b{number}"
        spool.append([SpoolBatch(name, "readings", name.encode() * 2000, 1)], {("A1", "p"): number})
        print(f"kept {number}")
        if number % 3 == 2:
            spool.acknowledge([spool.oldest()[0].id])


if __name__ == "__main__":
    main(*sys.argv[1:])
