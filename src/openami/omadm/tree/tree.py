"""The tree of one device: what is committed, who watches it, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from openami.core.errors import StoreError
from openami.omadm.codes import Status
from openami.omadm.tree.acl import ROOT_ACL, Acl, Verb
from openami.omadm.tree.draft import Change, Draft, TreeLimits, concerns
from openami.omadm.tree.node import Format, Node, Value, find
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.uri import Path, format_path, parse_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from openami.omadm.tree.schema import Rule, Schema


@dataclass(frozen=True, slots=True)
class StoredNode:
    """One node as a store keeps it; ``value`` is octets for every format.

    Attributes:
        path: its address without a query.
    """

    path: str
    format: str
    type: str
    title: str
    acl: str
    changed: int
    version: int
    value: bytes = field(repr=False)


class TreeStore(Protocol):
    """Where a tree outlives its process."""

    def load(self) -> Iterable[StoredNode]:
        """Return all nodes, in any order."""

    def commit(self, removed: Sequence[str], kept: Sequence[StoredNode]) -> None:
        """Take away, then keep: all or nothing, durable when it returns.

        Raises:
            StoreError: nothing was kept.
        """


class MemoryStore:
    """A store that dies with its process."""

    def __init__(self) -> None:
        self._nodes: dict[str, StoredNode] = {}

    def load(self) -> Iterable[StoredNode]:
        return tuple(self._nodes.values())

    def commit(self, removed: Sequence[str], kept: Sequence[StoredNode]) -> None:
        for path in removed:
            self._nodes.pop(path, None)
        self._nodes.update((node.path, node) for node in kept)


class Listener(Protocol):
    """One that acts on a part of the tree."""

    def check(self, tree: Node, changes: Sequence[Change]) -> None:
        """Raise ``TreeRefusedError`` to keep the tree as it is; ``tree`` is as it would be."""

    def changed(self, changes: Sequence[Change]) -> None:
        """Act on changes that are durable; must not fail."""


@dataclass(frozen=True, slots=True)
class Execution:
    """An Exec that a server may give.

    Attributes:
        path: the node.
        data: what came with it.
        correlator: to be told in the alert that says how it ended.
        server: who asks.
    """

    path: Path
    data: Value = field(repr=False)
    correlator: str | None
    server: str


class ManagementTree:
    """The tree of one device.

    Args:
        schema: the rules.
        store: where it is kept; what is not there yet comes from the schema's defaults.
        limits: its bounds.
        now: UTC seconds, for the TStamp of nodes made now.

    Raises:
        StoreError: the store cannot be read, or holds what is no tree.
    """

    def __init__(
        self,
        schema: Schema,
        store: TreeStore | None = None,
        *,
        limits: TreeLimits | None = None,
        now: float = 0.0,
    ) -> None:
        self.schema = schema
        self.limits = limits or TreeLimits()
        self._store = store if store is not None else MemoryStore()
        self._live: dict[Path, Callable[[], str]] = {}
        self._listeners: list[tuple[Path, Listener]] = []
        self._executors: list[tuple[Path, Callable[[Execution], int]]] = []
        self.root = self._loaded()
        self._complete(now)

    def draft(self, now: float) -> Draft:
        """Begin a change."""
        return Draft(self.root, self.schema, self.limits, now)

    def commit(self, draft: Draft) -> None:
        """Make a change hold: listeners agree, it is durable, they are told.

        Raises:
            TreeRefusedError: a listener refused, or another change came between; the old holds.
            StoreError: it could not be kept; the old holds.
        """
        if draft.base is not self.root:
            raise TreeRefusedError(Status.COMMAND_FAILED, "the tree changed meanwhile")
        changes = draft.changes()
        if not changes:
            return
        watching = [(who, seen) for at, who in self._listeners if (seen := concerns(changes, at))]
        for listener, seen in watching:
            listener.check(draft.root, seen)
        self._store.commit(
            [format_path(change.path) for change in changes if change.after is None],
            [_stored(change.path, change.after) for change in changes if change.after is not None],
        )
        self.root = draft.base = draft.root
        for listener, seen in watching:
            listener.changed(seen)

    def path(self, address: str) -> Path:
        """Return the path of an address without a query."""
        return parse_path(address, self.limits.uri)

    def get(self, address: str) -> Value | None:
        """Return the value of a leaf as it is now; None: there is no such leaf."""
        path = self.path(address)
        node = find(self.root, path)
        return None if node is None or node.interior else self.value(path, node)

    def text(self, address: str, default: str = "") -> str:
        """Return the characters of a leaf; ``default``: there is no such leaf."""
        value = self.get(address)
        return value if isinstance(value, str) else default

    def names(self, address: str) -> tuple[str, ...]:
        """Return the names below a node, in order; none: there is no such node."""
        node = find(self.root, self.path(address))
        return () if node is None else tuple(sorted(node.children))

    def value(self, path: Path, node: Node) -> Value:
        """Return a leaf's value: of its provider, if it has one."""
        provider = self._live.get(path)
        return node.value if provider is None else provider()

    def live(self, path: Path) -> bool:
        """Say whether a leaf's value comes from a provider, and cannot be set."""
        return path in self._live

    def bind(self, address: str, provider: Callable[[], str]) -> None:
        """Let a leaf's value come from the device whenever it is read."""
        self._live[self.path(address)] = provider

    def watch(self, address: str, listener: Listener) -> None:
        """Let ``listener`` judge and follow the changes at a node and below."""
        self._listeners.append((self.path(address), listener))

    def on_exec(self, address: str, executor: Callable[[Execution], int]) -> None:
        """Let ``executor`` answer Exec at a node and below with a status code."""
        self._executors.append((self.path(address), executor))

    def executor(self, path: Path) -> Callable[[Execution], int] | None:
        """Return who answers Exec at ``path``: the one nearest to it."""
        fitting = [(len(at), who) for at, who in self._executors if path[: len(at)] == at]
        return max(fitting, key=lambda found: found[0])[1] if fitting else None

    def _loaded(self) -> Node:
        children: dict[Path, dict[str, StoredNode]] = {}
        root = None
        for stored in self._store.load():
            try:
                path = parse_path(stored.path, self.limits.uri)
            except TreeRefusedError as error:
                raise _damaged(stored) from error
            if path:
                children.setdefault(path[:-1], {})[path[-1]] = stored
            else:
                root = stored
        return Node(Format.NODE, acl=ROOT_ACL) if root is None else _assembled((), root, children)

    def _complete(self, now: float) -> None:
        """Make the permanent nodes that a new device, or a new version of it, has."""
        draft = self.draft(now)
        before = draft.root
        draft.root = _with_permanent(before, self.schema.root, now)
        changes = draft.changes()
        if changes or not any(True for _ in self._store.load()):
            nodes = [(c.path, c.after) for c in changes if c.after is not None]
            self._store.commit((), [_stored(path, n) for path, n in ((((), draft.root)), *nodes)])
        self.root = draft.root


def _with_permanent(node: Node, rule: Rule, now: float) -> Node:
    for child in rule.children:
        if child.name is None or not child.permanent:
            continue
        old = node.children.get(child.name)
        new = _with_permanent(old or child.initial(now), child, now)
        if new is not old:
            node = node.with_child(child.name, new)
    return node


def _stored(path: Path, node: Node) -> StoredNode:
    value = node.value if isinstance(node.value, bytes) else node.value.encode()
    return StoredNode(
        format_path(path), node.format, node.type, node.title, str(node.acl), node.changed,
        node.version, value,
    )  # fmt: skip


def _damaged(stored: StoredNode) -> StoreError:
    return StoreError(f"the stored tree is damaged at {stored.path}", code="store.damaged")


def _assembled(path: Path, stored: StoredNode, below: dict[Path, dict[str, StoredNode]]) -> Node:
    try:
        form = Format(stored.format)
        value = stored.value if form is Format.BIN else stored.value.decode()
        acl = Acl.parse(stored.acl)
    except (ValueError, TreeRefusedError) as error:
        raise _damaged(stored) from error
    children = {
        name: _assembled((*path, name), child, below) for name, child in below.get(path, {}).items()
    }
    return Node(
        form, value, stored.type, stored.title, acl, stored.changed, stored.version, children
    )


def allowed(root: Node, path: Path, verb: Verb, server: str) -> bool:
    """Say whether the ACL that holds at ``path`` gives a server a right.

    TND 1.2, clause 7.7.1.2: a list that is not empty holds whole, an empty one is the parent's.
    """
    holding, node = root.acl, root
    for name in path:
        node = node.children[name]
        holding = node.acl or holding
    return holding.allows(verb, server)
