"""Commits changes to a tree of which each must be whole, until it is killed."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.node import Format, Node
from openami.omadm.tree.tree import ManagementTree
from openami.store.tree import SqliteTree

MOST = 12


def main(path: str) -> None:
    tree = ManagementTree(device_schema(), SqliteTree(Path(path)))
    first = int(tree.text("./DevInfo/Ext/tick", "0")) + 1
    for tick in itertools.count(first):
        draft = tree.draft(tick)
        for name in ("tick", "again"):
            if tree.get(f"./DevInfo/Ext/{name}") is None:
                draft.add(("DevInfo", "Ext", name), Node(Format.CHR))
            draft.set_value(("DevInfo", "Ext", name), str(tick))
        draft.add(("SCHED", f"t{tick}"), Node(Format.NODE))
        if tick > MOST:
            draft.remove(("SCHED", f"t{tick - MOST}"))
        tree.commit(draft)
        print(tick)


if __name__ == "__main__":
    main(*sys.argv[1:])
