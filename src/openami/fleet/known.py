"""What is known of a device's tree, and what changed since the last look."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from openami.core.quick import quick
from openami.fleet.desired import ABSENT, INTERIOR, KnownNode, is_below, object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from openami.fleet.management import Outcome

NO_ANSWER: Final = 0
_OK: Final = 200
_SUCCESS: Final = range(200, 300)
SPARED: Final = frozenset({215, 216})
"""Not executed, and rolled back: others failed, and so this was not done either, though the numbers
are those of successes (OMA DM RepPro 1.2, clause 6.6.3)."""


def succeeded(status: int) -> bool:
    """Tell whether a device has done what it answers with this status."""
    return status in _SUCCESS and status not in SPARED


@quick
class TreeChange:
    """A node that has changed, or was to change and was refused.

    Attributes:
        old: None: there was no such leaf.
        new: None: there is none any more.
        status: 200, or that of the refusal.
        origin: who or what: ``group:NAME``, ``device:UID``, ``job ID``, ``device``.
        words: what the device said of its refusal.
    """

    uid: str
    uri: str
    old: str | None
    new: str | None
    status: int
    at: float
    origin: str
    words: str = ""
    id: int = field(default=0, compare=False)


@quick
class Lesson:
    """What a look at a part of a tree, or an answer about it, has brought.

    Attributes:
        kept: nodes that are new or other than before.
        gone: addresses of nodes that are there no more.
        changes: of leaves; none at the first look.
        touched: objects of which another than who wants them has changed something, so that what
            was refused may be right now.
    """

    kept: tuple[KnownNode, ...] = ()
    gone: tuple[str, ...] = ()
    changes: tuple[TreeChange, ...] = ()
    touched: frozenset[str] = frozenset()


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
        TreeChange(uid, uri, leaf(old), leaf(new), _OK, now, origin)
        for uri, old, new in changed
        if there and leaf(old) != leaf(new)
    )
    return Lesson(tuple(kept), gone, tuple(changes))


def settle(
    uid: str, before: Mapping[str, KnownNode], outcomes: Iterable[Outcome], *, now: float
) -> Lesson:
    """Return what the answers to changes have brought; no answer brings nothing.

    Args:
        uid: the device's.
        before: what was known of the nodes, and of all below them.
        outcomes: node by node, each at most once.
        now: seconds UTC.
    """
    lessons = [
        _taken(uid, before, outcome, now)
        if succeeded(outcome.status)
        else _refused(uid, before.get(outcome.setting.uri), outcome, now)
        for outcome in outcomes
        if outcome.status != NO_ANSWER
    ]
    return Lesson(
        tuple(node for lesson in lessons for node in lesson.kept),
        tuple(uri for lesson in lessons for uri in lesson.gone),
        tuple(change for lesson in lessons for change in lesson.changes),
        frozenset(top for lesson in lessons for top in lesson.touched),
    )


def _refused(uid: str, old: KnownNode | None, outcome: Outcome, now: float) -> Lesson:
    setting, status = outcome.setting, outcome.status
    new = None if setting.absent else setting.value
    change = TreeChange(
        uid, setting.uri, leaf(old), new, status, now, outcome.origin, outcome.words
    )
    if not outcome.pushed:
        return Lesson(changes=(change,))
    there = old or KnownNode(setting.uri, ABSENT, at=now)
    bond = outcome.bond or setting.uri
    kept = replace(there, refused=setting, status=status, words=outcome.words, bond=bond)
    return Lesson((kept,), changes=(change,))


def _taken(uid: str, before: Mapping[str, KnownNode], outcome: Outcome, now: float) -> Lesson:
    setting, old = outcome.setting, before.get(outcome.setting.uri)
    changes = tuple(_made(uid, before, outcome, now))
    touched = frozenset(() if outcome.pushed else (object_of(setting.uri),))
    if setting.absent:
        gone = tuple(uri for uri in before if uri == setting.uri or is_below(uri, setting.uri))
        return Lesson((), gone, changes, touched)
    acl = old.acl if old else ""
    node = KnownNode(setting.uri, setting.format, setting.value, acl, now)
    return Lesson((node,), (), changes, touched)


def _made(
    uid: str, before: Mapping[str, KnownNode], outcome: Outcome, now: float
) -> Iterator[TreeChange]:
    """Yield the changes that a device has made as told."""
    setting, origin = outcome.setting, outcome.origin
    if not setting.absent:
        old = leaf(before.get(setting.uri))
        if old != setting.value:
            yield TreeChange(uid, setting.uri, old, setting.value, _OK, now, origin)
        return
    for uri, node in before.items():
        if (uri == setting.uri or is_below(uri, setting.uri)) and leaf(node) is not None:
            yield TreeChange(uid, uri, leaf(node), None, _OK, now, origin)


def leaf(node: KnownNode | None) -> str | None:
    """Return the value of a node; None: it has none, or is not there."""
    return None if node is None or node.format in {ABSENT, INTERIOR} else node.value


def _same(one: KnownNode, other: KnownNode) -> bool:
    return (one.format, one.value, one.acl) == (other.format, other.value, other.acl)


def _remembering(node: KnownNode, old: KnownNode | None, now: float) -> KnownNode:
    """Return a node with the refusal of before, unless its value has changed since."""
    if old is None or leaf(old) != leaf(node):
        return replace(node, at=now)
    return replace(
        node, at=now, refused=old.refused, status=old.status, words=old.words, bond=old.bond
    )
