"""A tree being changed: every step keeps the schema's rules, and nothing shows until a commit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from openami.omadm.codes import Status
from openami.omadm.element import is_text
from openami.omadm.tree.acl import Acl
from openami.omadm.tree.node import Format, Node, Value, check_value, find, size
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.uri import Path, Property, UriLimits, check_name, check_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from openami.omadm.tree.schema import Rule, Schema

# A title is a line on a screen.
MAX_TITLE: Final = 255


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """How much a tree may hold.

    Attributes:
        nodes: a DCU with 2,000 meters of six nodes each has 14,000.
        octets: 200 octets for each of these nodes; it fits a small device's memory.
        value: one leaf's octets; FUMO's PkgData carries the largest, a small delta.
        uri: of addresses.
    """

    nodes: int = 20_000
    octets: int = 4 * 2**20
    value: int = 2**20
    uri: UriLimits = field(default_factory=UriLimits)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one node itself; None: it was not there, or is not any more."""

    path: Path
    before: Node | None
    after: Node | None


class Draft:
    """A tree being changed.

    Every method raises ``TreeRefusedError`` and changes nothing where a rule forbids the step.

    Args:
        base: the tree as it is.
        schema: its rules.
        limits: its bounds.
        now: UTC seconds, for TStamp.
    """

    def __init__(self, base: Node, schema: Schema, limits: TreeLimits, now: float) -> None:
        self.base = base
        self.root = base
        self.schema = schema
        self.limits = limits
        self.now = now

    def node(self, path: Path) -> Node:
        """Return a node; 404 if there is none."""
        node = find(self.root, path)
        if node is None:
            raise TreeRefusedError(Status.NOT_FOUND, "no such node")
        return node

    def rule(self, path: Path) -> Rule:
        """Return a node's rule; 405 if no such node may be."""
        rule = self.schema.rule(path)
        if rule is None:
            raise TreeRefusedError(Status.NOT_ALLOWED, "no object describes such a node")
        return rule

    def add(self, path: Path, node: Node) -> None:
        """Add a node with all below it, and the interior nodes above it that are missing."""
        check_path(path, self.limits.uri)
        if find(self.root, path) is not None:
            raise TreeRefusedError(Status.ALREADY_EXISTS, "there is such a node")
        whole = self._admit(path, node)
        top = self.nearest(path)
        # TND 1.2, clause 6.1.2.1 (Add): parents that are missing are made.
        for depth in range(len(path) - 1, len(top), -1):
            above = path[:depth]
            rule = self.rule(above)
            below = {path[depth]: whole}
            below |= _defaults(rule, below.keys(), self.now)
            whole = replace(rule.initial(self.now), children=below)
        self._check_room_beside(top, path[len(top)])
        parent = self.node(top)
        self._put(top, parent.with_child(path[len(top)], whole).touched(self.now))

    def nearest(self, path: Path) -> Path:
        """Return the deepest node above ``path`` that is there; 405 if that is a leaf."""
        top = path[:-1]
        while (node := find(self.root, top)) is None:
            top = top[:-1]
        if not node.interior:
            raise TreeRefusedError(Status.NOT_ALLOWED, "a leaf has no children")
        return top

    def set_value(self, path: Path, value: Value) -> None:
        """Give a leaf another value; 405 for an interior node."""
        node = self.node(path)
        if node.interior:
            raise TreeRefusedError(Status.NOT_ALLOWED, "an interior node has no value")
        new = replace(node, value=self._value(self.schema.rule(path), node.format, value))
        self._put(path, new.touched(self.now))

    def set_acl(self, path: Path, acl: Acl) -> None:
        """Give a node another ACL; the root keeps one that is not empty."""
        if not path and not acl:
            raise TreeRefusedError(Status.NOT_ALLOWED, "the root's ACL is never empty")
        self._put(path, replace(self.node(path), acl=acl).touched(self.now))

    def set_title(self, path: Path, title: str) -> None:
        """Give a node another title."""
        new = replace(self.node(path), title=title)
        check_labels(new)
        self._put(path, new.touched(self.now))

    def rename(self, path: Path, name: str) -> None:
        """Give a node another name; 405 unless it is the server's to choose."""
        check_name(name, self.limits.uri)
        node, rule = self.node(path), self.rule(path)
        to = (*path[:-1], name)
        # TND 1.2, clause 7.7.3: a permanent node keeps its name.
        if not path or rule.permanent or rule.name is not None or self.rule(to) is not rule:
            raise TreeRefusedError(Status.NOT_ALLOWED, "this node's name is fixed")
        if find(self.root, to) is not None:
            raise TreeRefusedError(Status.ALREADY_EXISTS, "there is such a node")
        for below, _ in node.walk(to):
            check_path(below, self.limits.uri)
        parent = self.node(path[:-1]).with_child(path[-1], None)
        self._put(path[:-1], parent.with_child(name, node.touched(self.now)).touched(self.now))

    def remove(self, path: Path) -> None:
        """Take a node away with all below it; 405 for a permanent one and for the root."""
        self.node(path)
        rule = self.schema.rule(path)
        if not path or (rule is not None and rule.permanent):
            raise TreeRefusedError(Status.NOT_ALLOWED, "a permanent node stays")
        parent = self.node(path[:-1]).with_child(path[-1], None)
        self._put(path[:-1], parent.touched(self.now))

    def _admit(self, path: Path, node: Node) -> Node:
        """Return a subtree as its rules want it."""
        check_path(path, self.limits.uri)
        check_labels(node)
        rule = self.rule(path)
        if rule.free:
            return self._admit_free(path, node)
        if rule.format is not node.format:
            raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, f"{path[-1]} is a {rule.format}")
        if rule.format is not Format.NODE:
            value = self._value(rule, rule.format, node.value)
            return replace(node, value=value, type=node.type or rule.type, changed=int(self.now))
        children = {
            name: self._admit((*path, name), child) for name, child in node.children.items()
        }
        self._check_count(rule, children)
        children |= _defaults(rule, children.keys(), self.now)
        return replace(node, type=node.type or rule.type, changed=int(self.now), children=children)

    def _admit_free(self, path: Path, node: Node) -> Node:
        if node.interior:
            children = {
                name: self._admit((*path, name), child) for name, child in node.children.items()
            }
            return replace(node, children=children, changed=int(self.now))
        value = self._value(None, node.format, node.value)
        return replace(node, value=value, changed=int(self.now))

    def _value(self, rule: Rule | None, form: Format, value: Value) -> Value:
        if size(value) > self.limits.value:
            raise TreeRefusedError(
                Status.ENTITY_TOO_LARGE, f"a value has up to {self.limits.value} octets"
            )
        kept = check_value(form, value)
        if rule is not None and rule.check is not None and isinstance(kept, str):
            try:
                rule.check(kept)
            except ValueError as error:
                raise TreeRefusedError(Status.COMMAND_FAILED, str(error)) from error
        return kept

    def _check_room_beside(self, parent: Path, name: str) -> None:
        self._check_count(self.rule(parent), {**self.node(parent).children, name: None})

    @staticmethod
    def _check_count(rule: Rule, children: Mapping[str, Node | None]) -> None:
        """Refuse more dynamic nodes than their Occurrence allows."""
        named = {child.name for child in rule.children}
        for child in rule.children:
            if child.name is None and child.most is not None:
                count = len(children.keys() - named)
                if count > child.most:
                    raise TreeRefusedError(
                        Status.DEVICE_FULL, f"there are up to {child.most} of these nodes"
                    )

    def _put(self, path: Path, node: Node) -> None:
        """Put a node in its place, in a new tree that shares all the rest with the old one."""
        above = [self.root]
        for name in path[:-1]:
            above.append(above[-1].children[name])
        for parent, name in zip(reversed(above), reversed(path), strict=False):
            node = parent.with_child(name, node)
        if node.nodes > self.limits.nodes or node.octets > self.limits.octets:
            raise TreeRefusedError(Status.DEVICE_FULL, "the tree is full")
        self.root = node

    def changes(self) -> tuple[Change, ...]:
        """Return what differs from the base, node by node."""
        return tuple(_differences((), self.base, self.root))


def _defaults(rule: Rule, there: AbstractSet[str], now: float) -> dict[str, Node]:
    """Return the children that a new interior node has by itself: those with a default value."""
    return {
        child.name: child.initial(now)
        for child in rule.children
        if child.name is not None and child.least and child.default and child.name not in there
    }


def check_labels(node: Node) -> None:
    """Refuse a title or a type that no message could carry.

    Raises:
        TreeRefusedError: 413.
    """
    for text in (node.title, node.type):
        if len(text.encode(errors="replace")) > MAX_TITLE or not is_text(text):
            raise TreeRefusedError(
                Status.ENTITY_TOO_LARGE, f"a title or type has up to {MAX_TITLE} octets"
            )


# What Replace may give, with how (TND 1.2, clause 7.7: the others are the device's).
def set_property(draft: Draft, path: Path, prop: Property, text: str) -> None:
    """Give a node's ACL, Name or Title; 405 for any other property."""
    if prop is Property.ACL:
        draft.set_acl(path, Acl.parse(text))
    elif prop is Property.NAME:
        draft.rename(path, text)
    elif prop is Property.TITLE:
        draft.set_title(path, text)
    else:
        raise TreeRefusedError(Status.NOT_ALLOWED, f"{prop} is the device's to set")


def _differences(path: Path, before: Node | None, after: Node | None) -> Iterator[Change]:
    if before is after:
        return
    if before is None or after is None or before.own != after.own:
        yield Change(path, before, after)
    old = before.children if before is not None else {}
    new = after.children if after is not None else {}
    for name in {**old, **new}:
        yield from _differences((*path, name), old.get(name), new.get(name))


def concerns(changes: tuple[Change, ...], path: Path) -> tuple[Change, ...]:
    """Return the changes at ``path`` or below."""
    return tuple(change for change in changes if change.path[: len(path)] == path)
