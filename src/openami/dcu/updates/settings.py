"""Settings that come as a component: all of them hold, or none; and what was there comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.omadm.tree.node import Node, find
from openami.omadm.tree.uri import format_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.omadm.tree.tree import ManagementTree
    from openami.omadm.tree.uri import Path as TreePath


def present(tree: ManagementTree, settings: Mapping[str, str]) -> dict[str, str | None]:
    """Return what a tree has where settings go: values, and None for nodes that will be made."""
    found: dict[str, str | None] = {}
    for uri in settings:
        path = tree.path(uri)
        top = next(
            (path[:n] for n in range(1, len(path) + 1) if not find(tree.root, path[:n])), None
        )
        if top is not None:
            found[format_path(top)] = None
            continue
        value = tree.get(uri)
        found[uri] = value if isinstance(value, str) else ""
    return found


def apply(tree: ManagementTree, settings: Mapping[str, str], *, now: float) -> None:
    """Let a tree have settings.

    Raises:
        TreeRefusedError: it refuses one of them, and has none.
        StoreError: they cannot be kept.
    """
    draft = tree.draft(now)
    for uri, value in settings.items():
        path = tree.path(uri)
        if find(draft.root, path) is None:
            draft.add(path, Node(draft.rule(path).format, value))
        else:
            draft.set_value(path, value)
    tree.commit(draft)


def restore(
    tree: ManagementTree,
    settings: Mapping[str, str],
    before: Mapping[str, str | None],
    *,
    now: float,
) -> None:
    """Let a tree have what it had before settings, but for what was set anew since.

    Raises:
        TreeRefusedError, StoreError: as of ``apply``.
    """
    draft = tree.draft(now)
    for uri, value in before.items():
        path: TreePath = tree.path(uri)
        node = find(draft.root, path)
        if node is None:
            continue
        if value is None:
            draft.remove(path)
        elif node.value == settings.get(uri):
            draft.set_value(path, value)
    tree.commit(draft)
