"""A DCU that is killed at every step of a session."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.support.dcu_managed import make
from tests.support.headend import running_headend
from tests.support.management import ListPlanner, planning

from openami.omadm.messages.model import Add, Atomic, Item, Location, Replace
from openami.omadm.objects.catalog import device_schema
from openami.omadm.session.events import End, Order
from openami.omadm.tree.tree import ManagementTree
from openami.store.sealed_tree import SealedTree
from openami.store.tree import SqliteTree
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from pathlib import Path

STEPS_LEAST = 20  # two commits or messages for each of ten things at least


def item(uri: str, value: str) -> tuple[Item, ...]:
    return (Item(Location(uri), data=value),)


ORDERS = [
    Order("zone", Replace(0, item("./AMI/Collection/Timezone", "Asia/Seoul"))),
    Order(
        "period",
        Atomic(
            0,
            (
                Replace(0, item("./AMI/Collection/LoadPeriod", "60")),
                Replace(0, item("./AMI/Time/Margin", "5")),
            ),
        ),
    ),
    Order("meter", Add(0, item("./AMI/Meters/m1/Serial", "A1"))),
    Order(
        "task",
        Atomic(
            0,
            (
                Add(0, item("./SCHED/t/TaskID", "t")),
                Add(0, item("./SCHED/t/Operation", "./AMI/Operations/Collect")),
                Add(0, item("./SCHED/t/Start", "20990101T000000Z")),
            ),
        ),
    ),
]


def values(state: Path) -> dict[str, str | bytes]:
    """Return the values of a DCU's tree."""
    store = SqliteTree(state / "tree.sqlite")
    vault = FileVault(state / "vault.sqlite", kek=state / "kek")
    with closing(store), closing(vault):
        root = ManagementTree(device_schema(), SealedTree(store, vault)).root
    return {"/".join(path): node.value for path, node in root.walk() if not node.interior}


async def test_trees_are_equal_however_often_it_is_killed(tmp_path: Path) -> None:
    async with running_headend(tmp_path) as running:
        made = make(running, tmp_path, "D1")
        fields = asdict(made.block)
        block = {k: v for k, v in fields.items() if k.startswith(("server_", "client_"))}
        given = {
            "uid": "D1", "block": block, "files": str(made.identity.folder), "state": str(tmp_path)
        }  # fmt: skip
        planner = ListPlanner({"D1": ORDERS})
        with planning(running, planner):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.support.dcu_session_child", json.dumps(given),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        steps = int(output.split()[-1])
        assert steps > STEPS_LEAST
        wanted = values(tmp_path / str(steps))
        assert wanted["AMI/Collection/LoadPeriod"] == "60"
        assert wanted["AMI/Meters/m1/Serial"] == "A1"
        assert wanted["SCHED/t/TaskID"] == "t"
        for step in range(1, steps):
            assert values(tmp_path / str(step)) == wanted, f"killed at step {step}"
        assert {end.end for _, end in planner.ends} <= {End.DONE, End.TIMEOUT, End.ABORTED}
