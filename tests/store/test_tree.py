"""A tree on disk: whole after every kill, at every write, and on a full disk."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.dm_tree import ALL, Server, grant
from tests.support.killed import run_and_kill
from tests.support.small_disk import kinds, small_disk
from tests.support.tree_child import MOST

from openami.core.errors import StoreError
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.tree import ManagementTree, MemoryStore, StoredNode, TreeStore
from openami.store.tree import SqliteTree

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TreeStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    store = SqliteTree(tmp_path / "tree")
    yield store
    store.close()


def node(path: str, value: bytes = b"v") -> StoredNode:
    return StoredNode(path, "chr", "text/plain", "t", "Get=*", 5, 65_535, value)


def test_what_was_committed_is_loaded(store: TreeStore) -> None:
    assert list(store.load()) == []
    store.commit([], [node("./a"), node("./b", b"\x00\xff")])
    store.commit(["./a", "./never"], [node("./b", b"w"), node("./c")])
    assert sorted(store.load(), key=lambda n: n.path) == [node("./b", b"w"), node("./c")]


def test_a_tree_comes_back_as_it_was(store: TreeStore) -> None:
    tree = ManagementTree(device_schema(), store, now=5.0)
    grant(tree, ".", ALL)
    server = Server(tree)
    assert server.add("./DMAcc/a%2Fb/AppAuth/1/AAuthData", b"\x00\xff", "bin") == 200
    assert server.replace("./AMI/Link/Retries", "9") == 200
    assert server.replace("./AMI/Link/Retries?prop=Title", "한") == 200
    assert server.add("./SCHED/t1") == 200
    assert server.delete("./SCHED/t1") == 200
    assert ManagementTree(device_schema(), store, now=99.0).root == tree.root


def test_a_newer_version_makes_its_new_nodes(store: TreeStore) -> None:
    tree = ManagementTree(device_schema(), store, now=5.0)
    store.commit(["./AMI/Link/Retries"], [])
    again = ManagementTree(device_schema(), store, now=9.0)
    assert again.text("./AMI/Link/Retries") == "3"
    assert again.root.nodes == tree.root.nodes


@pytest.mark.parametrize(
    "bad",
    [
        StoredNode("./AMI", "colour", "", "", "", 0, 0, b""),
        StoredNode("./AMI", "chr", "", "", "", 0, 0, b"\xff"),
        StoredNode("./AMI", "node", "", "", "Nonsense", 0, 0, b""),
        StoredNode("./AMI//x", "node", "", "", "", 0, 0, b""),
    ],
)
def test_a_damaged_store_is_said_to_be(bad: StoredNode) -> None:
    store = MemoryStore()
    ManagementTree(device_schema(), store)
    store.commit([], [bad])
    with pytest.raises(StoreError):
        ManagementTree(device_schema(), store)


def test_a_node_that_no_object_describes_can_be_removed() -> None:
    store = MemoryStore()
    grant(ManagementTree(device_schema(), store), ".", ALL)
    store.commit([], [node("./Old"), node("./Old2")])
    tree = ManagementTree(device_schema(), store)
    server = Server(tree)
    assert server.replace("./Old", "x") in {405, 425}
    grant(tree, "./Old", ALL)
    assert server.data("./Old") == "v"
    assert server.replace("./Old", "x") == 405
    assert server.delete("./Old") == 200


def test_another_process_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openami.store.sqlite.BUSY_SECONDS", 0.0)
    store = SqliteTree(tmp_path / "tree")
    with pytest.raises(StoreError):
        SqliteTree(tmp_path / "tree")
    store.close()


@pytest.mark.parametrize("kind", kinds())
def test_a_full_disk_keeps_what_was(kind: str, tmp_path: Path) -> None:
    with small_disk(kind, tmp_path / "disk", 2 << 20) as disk:
        store = SqliteTree(disk.path / "tree")
        tree = ManagementTree(device_schema(), store)
        grant(tree, ".", ALL)
        server = Server(tree)
        value = random.Random(1).randbytes(200_000)
        statuses: list[int] = []
        while not statuses or (statuses[-1] == 200 and len(statuses) < 20):
            statuses.append(server.add(f"./DevInfo/Ext/v{len(statuses)}", value, "bin"))
        assert statuses[-1] == 420
        kept = tree.root
        disk.grow()
        store.close()
        store = SqliteTree(disk.path / "tree")
        again = ManagementTree(device_schema(), store)
        assert again.root == kept
        assert Server(again).add("./DevInfo/Ext/more", "x", "chr") == 200
        store.close()


def test_a_kill_at_every_write_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """A child dies at the nth statement of a commit, for every n."""
    command = [sys.executable, "-m", "tests.support.tree_kill", str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    ended = [line == "ended" for line in said.split()]
    assert len(ended) > 5
    assert ended == [False] * (len(ended) - 1) + [True]
    found = []
    for step in range(1, len(ended) + 1):
        store = SqliteTree(tmp_path / f"tree{step}")
        tree = ManagementTree(device_schema(), store)
        store.close()
        names, retries = tree.names("./SCHED"), tree.text("./AMI/Link/Retries")
        assert (names, retries) in {((), "3"), (("t1",), "9")}
        found.append(names)
    assert found[0] == ()
    assert found[-1] == ("t1",)


def test_kill_9_leaves_the_tree_of_one_moment(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = tmp_path / "tree"
    for _ in range(3):
        lines = run_and_kill("tests.support.tree_child", str(path), after_lines=5, chance=chance)
        said = int(lines[-1])
        store = SqliteTree(path)
        tree = ManagementTree(device_schema(), store)
        tick = int(tree.text("./DevInfo/Ext/tick"))
        assert said <= tick <= said + 1
        assert tree.text("./DevInfo/Ext/again") == str(tick)
        assert len(tree.names("./SCHED")) == min(tick, MOST)
        assert f"t{tick}" in tree.names("./SCHED")
        store.close()
