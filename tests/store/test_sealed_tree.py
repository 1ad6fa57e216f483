"""Passwords of a tree rest sealed, and come and go with their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.dm_tree import ALL, Server, grant

from openami.core.errors import StoreError
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.tree import ManagementTree
from openami.store.sealed_tree import SealedTree
from openami.store.tree import SqliteTree
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "./DMAcc/1/AppAuth/1/AAuthSecret"
NONCE = "./DMAcc/1/AppAuth/1/AAuthData"


class Kept:
    def __init__(self, folder: Path) -> None:
        self.file = SqliteTree(folder / "tree.sqlite")
        self.vault = FileVault(folder / "vault.sqlite", kek=folder / "kek")

    def tree(self) -> ManagementTree:
        return ManagementTree(device_schema(), SealedTree(self.file, self.vault))

    def secrets(self, path: str = SECRET) -> list[bytes]:
        return list(self.vault.find("tree", path).values())


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.file.close()
    kept.vault.close()


def test_a_password_is_in_no_file_as_it_is(kept: Kept, tmp_path: Path) -> None:
    tree = kept.tree()
    grant(tree, ".", ALL)
    server = Server(tree)
    assert server.add(SECRET, "the password of somebody") == 200
    assert server.add(NONCE, b"\x00nonce of somebody", "bin") == 200
    assert kept.tree().root == tree.root
    assert tree.get(SECRET) == "the password of somebody"
    for file in tmp_path.iterdir():
        assert b"of somebody" not in file.read_bytes(), file


def test_only_the_password_of_the_tree_is_kept(kept: Kept) -> None:
    tree = kept.tree()
    grant(tree, ".", ALL)
    server = Server(tree)
    server.add(SECRET, "one")
    server.replace(SECRET, "two")
    assert kept.secrets() == [b"two"]
    assert kept.tree().get(SECRET) == "two"
    server.delete("./DMAcc/1")
    assert kept.secrets() == []


def test_a_commit_that_fails_leaves_the_old_one(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = kept.tree()
    grant(tree, ".", ALL)
    server = Server(tree)
    server.add(SECRET, "one")

    def fail(*_: object) -> None:
        raise StoreError("no")

    monkeypatch.setattr(kept.file, "commit", fail)
    assert server.replace(SECRET, "two") == 510
    assert kept.tree().get(SECRET) == "one"
    assert kept.secrets() == [b"one"]
    monkeypatch.undo()
    assert server.replace(SECRET, "three") == 200
    assert kept.secrets() == [b"three"]


def test_a_password_that_cannot_be_taken_away_keeps_no_other_from_coming(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tree has the new one by then: nobody may be told that it has not."""
    tree = kept.tree()
    grant(tree, ".", ALL)
    server = Server(tree)
    server.add(SECRET, "one")

    def fail(*_: object) -> None:
        raise StoreError("no")

    monkeypatch.setattr(kept.vault, "delete", fail)
    assert server.replace(SECRET, "two") == 200
    assert kept.tree().get(SECRET) == tree.get(SECRET) == "two"
    monkeypatch.undo()
    assert server.replace(SECRET, "three") == 200
    assert kept.secrets() == [b"three"]


def test_without_its_vault_a_tree_is_damaged(kept: Kept) -> None:
    tree = kept.tree()
    grant(tree, ".", ALL)
    Server(tree).add(SECRET, "one")
    for name in kept.vault.find("tree", SECRET):
        kept.vault.delete("tree", SECRET, name)
    with pytest.raises(StoreError, match="not in the vault"):
        kept.tree()
