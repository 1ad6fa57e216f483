"""What is known of a device's tree, and what changed since the last look."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from openami.fleet.desired import ABSENT, INTERIOR, KnownNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class TreeChange:
    """A node that has changed, or was to change and was refused.

    Attributes:
        old: None: there was no such leaf.
        new: None: there is none any more.
        status: 200, or that of the refusal.
        origin: who or what: ``group:NAME``, ``device:UID``, ``job ID``, ``device``.
    """

    uid: str
    uri: str
    old: str | None
    new: str | None
    status: int
    at: float
    origin: str
    id: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a look at a part of a tree has brought.

    Attributes:
        kept: nodes that are new or other than before.
        gone: addresses of nodes that are there no more.
        changes: of leaves; none at the first look.
    """

    kept: tuple[KnownNode, ...] = ()
    gone: tuple[str, ...] = ()
    changes: tuple[TreeChange, ...] = ()


def learn(
    uid: str, before: Mapping[str, KnownNode], seen: Iterable[KnownNode], *, now: float, origin: str
) -> Lesson:
    """Return what a look at a part of a tree has brought.

    Args:
        uid: the device's.
        before: all that was known of this part.
        seen: all that there is of it now.
        now: seconds UTC.
        origin: of the changes.
    """
    found = {node.uri: node for node in seen}
    kept: list[KnownNode] = []
    changed: list[tuple[str, KnownNode | None, KnownNode | None]] = []
    for uri, node in found.items():
        old = before.get(uri)
        if old is None or not _same(old, node):
            kept.append(_remembering(node, old, now))
            changed.append((uri, old, node))
    there = {uri: node for uri, node in before.items() if node.format != ABSENT}
    gone = tuple(uri for uri in there if uri not in found)
    changed += [(uri, there[uri], None) for uri in gone]
    changes = (
        TreeChange(uid, uri, leaf(old), leaf(new), 200, now, origin)
        for uri, old, new in changed
        if there and leaf(old) != leaf(new)
    )
    return Lesson(tuple(kept), gone, tuple(changes))


def leaf(node: KnownNode | None) -> str | None:
    """Return the value of a node; None: it has none, or is not there."""
    return None if node is None or node.format in {ABSENT, INTERIOR} else node.value


def _same(one: KnownNode, other: KnownNode) -> bool:
    return (one.format, one.value, one.acl) == (other.format, other.value, other.acl)


def _remembering(node: KnownNode, old: KnownNode | None, now: float) -> KnownNode:
    """Return a node with the refusal of before, unless its value has changed since."""
    if old is None or leaf(old) != leaf(node):
        return replace(node, at=now)
    return replace(node, at=now, refused=old.refused, status=old.status)
