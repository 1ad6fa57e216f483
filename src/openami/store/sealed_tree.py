"""A tree whose passwords rest in a vault: ``openami.omadm.tree.tree.TreeStore``.

The tree's file has the name of a secret where the tree has its value. A secret is in the vault
before the file names it, and leaves the vault once the file names it no more, or when there is
room for that.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import NotFoundError, SecurityError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.omadm.tree.tree import StoredNode, TreeStore
    from openami.store.vault import FileVault

SECRETS: Final = ("/AAuthSecret", "/AAuthData")
"""The leaves that no server may read either (OMA-DMAcc 1.2: AccessType without Get)."""
_KIND: Final = "tree"


class SealedTree:
    """Keeps the secrets of a tree in a vault.

    Args:
        tree: where all else is kept.
        vault: where the secrets are.
    """

    def __init__(self, tree: TreeStore, vault: FileVault) -> None:
        self._tree = tree
        self._vault = vault

    def load(self) -> Sequence[StoredNode]:
        return [self._opened(node) for node in self._tree.load()]

    def commit(self, removed: Sequence[str], kept: Sequence[StoredNode]) -> None:
        sealed: list[StoredNode] = []
        try:
            sealed.extend(map(self._sealed, kept))
            self._tree.commit(removed, sealed)
        except StoreError:
            for node in filter(lambda n: _is_secret(n.path), sealed):
                self._forget(node.path, only=node.value.decode())
            raise
        for path in filter(_is_secret, removed):
            self._forget(path)
        for node in filter(lambda n: _is_secret(n.path), sealed):
            self._forget(node.path, but=node.value.decode())

    def _sealed(self, node: StoredNode) -> StoredNode:
        if not _is_secret(node.path):
            return node
        name = secrets.token_hex(8)
        self._vault.put(_KIND, node.path, name, node.value)
        return replace(node, value=name.encode())

    def _opened(self, node: StoredNode) -> StoredNode:
        if not _is_secret(node.path):
            return node
        try:
            value = self._vault.get(_KIND, node.path, node.value.decode())
        except (NotFoundError, SecurityError, UnicodeDecodeError) as error:
            raise StoreError(
                f"the secret of {node.path} is not in the vault", code="store.damaged"
            ) from error
        return replace(node, value=value)

    def _forget(self, path: str, *, but: str = "", only: str = "") -> None:
        """Take secrets of a leaf away; where that fails they stay, and nothing names them.

        The tree is what it is by now: nobody may be told that it is not.
        """
        with suppress(StoreError):
            for name in self._vault.find(_KIND, path):
                if name != but and only in ("", name):
                    self._vault.delete(_KIND, path, name)


def _is_secret(path: str) -> bool:
    return path.endswith(SECRETS)
