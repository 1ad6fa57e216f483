"""Writes entries of an audit log and lays its chain until it is killed."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from tests.store.test_audit import laying, said

from openami.store.relational import RelationalStore


def main() -> None:
    """Print how many entries were laid at a time, each a number and a line feed."""
    store = RelationalStore.open(Path(sys.argv[1]))
    for number in itertools.count():
        for _ in range(3):
            store.audit.add(said(number))
        print(store.audit.lay(laying, most=2), flush=True)


if __name__ == "__main__":
    main()
