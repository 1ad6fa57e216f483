"""Forks children that commit one change to a tree and die at its nth statement, for every n."""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from tests.support.dm_tree import ALL, Server, grant

from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.tree import ManagementTree
from openami.store.tree import SqliteTree


def main(folder: str) -> None:
    for step in count(1):
        path = Path(folder) / f"tree{step}"
        store = SqliteTree(path)
        grant(ManagementTree(device_schema(), store), ".", ALL)
        store.close()
        child = os.fork()
        if child == 0:
            commit_until(path, step)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print("ended" if ended else "killed")
        if ended:
            return


def commit_until(path: Path, step: int) -> None:
    store = SqliteTree(path)
    server = Server(ManagementTree(device_schema(), store))
    seen = count(1)

    def die(_statement: str) -> None:
        if next(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    store._database._connection.set_trace_callback(die)
    server.visit.begin()
    server.replace("./AMI/Link/Retries", "9")
    server.add("./SCHED/t1")
    server.visit.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
