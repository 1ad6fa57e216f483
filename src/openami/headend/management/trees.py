"""The trees of devices: what is known, what is wanted, what separates the two."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.fleet.desired import (
    Scope,
    ScopeKind,
    difference,
    is_below,
)
from openami.headend.errors import RequestError
from openami.headend.management.addresses import node_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.core.clock import Clock
    from openami.fleet.desired import Difference, Group, KnownNode, Setting, StepKind, Wish
    from openami.fleet.known import TreeChange
    from openami.fleet.management import TreeRecords
    from openami.fleet.ports import Page

MOST: Final = 512
"""Nodes of one request: a screen of settings, or a file of some meters."""
SLICE: Final = 2000
"""Changes forgotten in one transaction, of which there is one a second; of one device the store
keeps its last ones only."""
DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node: as it is known, as it is wanted, and what stands between.

    Attributes:
        known: None: it is not there, or was not seen yet.
        wish: None: nobody wants anything of it.
        pending: what the next session will do; None: nothing.
        status: of the refusal, if the device has refused what is wanted.
        words: what it said of that.
    """

    uri: str
    known: KnownNode | None
    wish: Wish | None
    pending: StepKind | None = None
    status: int | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class TreeView:
    """A device's tree.

    Attributes:
        known_at: when all of it was last seen; None: it is to be looked at again.
        groups: that the device belongs to, the strongest last.
    """

    uid: str
    known_at: float | None
    groups: tuple[Group, ...]
    nodes: tuple[NodeView, ...]

    @property
    def pending(self) -> int:
        """How many nodes the next session will change."""
        return sum(node.pending is not None for node in self.nodes)

    @property
    def refused(self) -> int:
        """How many nodes are wanted to be what the device has refused."""
        return sum(node.status is not None for node in self.nodes)


class Trees:
    """What is known and wanted of devices' trees. Calls block."""

    def __init__(self, trees: TreeRecords, *, wall: Clock, keep_days: float) -> None:
        self._trees = trees
        self._wall = wall
        self._keep_s = keep_days * DAY_S

    def view(self, uid: str, *, below: str | None = None) -> TreeView:
        """Return a device's tree, or a part of it; NotFoundError: there is no such device."""
        self._trees.check(device_scope(uid))
        top = None if below in {None, "", "."} else node_address(str(below))
        known, wanted = self._trees.known(uid), self._trees.wanted(uid)
        nodes = _nodes(known, wanted, difference(wanted, known))
        if top is not None:
            nodes = tuple(n for n in nodes if n.uri == top or is_below(n.uri, top))
        at = self._trees.known_at(uid)
        return TreeView(uid, at, tuple(self._trees.groups_of(uid)), nodes)

    def wishes(self, scope: Scope) -> Sequence[Wish]:
        """Return what is wanted of a group or a device; NotFoundError."""
        self._trees.check(scope)
        return self._trees.wishes(scope)

    def want(self, scope: Scope, settings: Sequence[Setting], *, who: str) -> int:
        """Want nodes to be so from now on; return how many devices are concerned.

        Raises:
            NotFoundError: there is no such group or device.
            ConflictError: ``dm.wanted``, more than one scope may want.
            RequestError: ``request.settings``, none or too many at once.
        """
        if not 0 < len(settings) <= MOST:
            raise RequestError(f"name 1 to {MOST} nodes", code="request.settings")
        return self._trees.want(scope, settings, who=who, now=self._wall.now())

    def unwant(self, scope: Scope, addresses: Sequence[str], *, who: str) -> int:
        """Want nothing of some nodes any more; they stay as they are.

        Raises:
            NotFoundError: there is no such group or device, or it does not want that.
            RequestError: ``request.settings``, none or too many at once.
        """
        if not 0 < len(addresses) <= MOST:
            raise RequestError(f"name 1 to {MOST} nodes", code="request.settings")
        uris = [node_address(address) for address in addresses]
        return self._trees.unwant(scope, uris, who=who, now=self._wall.now())

    def history(
        self, uid: str, *, address: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[TreeChange]:
        """Return what has changed in a device's tree, or in a part of it, newest first."""
        self._trees.check(device_scope(uid))
        uri = None if address is None else node_address(address)
        return self._trees.history(uid, uri=uri, after=after, limit=limit)

    def refresh(self, uid: str) -> bool:
        """Have a device's tree looked at again, soon; return whether it has an account."""
        self._trees.check(device_scope(uid))
        self._trees.doubt(uid)
        return self.wake(uid)

    def retry(self, uid: str, *, who: str) -> int:
        """Have all that a device has refused told it again; return how many nodes that are."""
        self._trees.check(device_scope(uid))
        return self._trees.forgive(uid, who=who, now=self._wall.now())

    def wake(self, uid: str) -> bool:
        """Have a device begin a session, soon; return whether it has an account."""
        self._trees.check(device_scope(uid))
        return self._trees.wake([uid], now=self._wall.now()) > 0

    async def forget(self) -> int:
        """Forget some of the changes that are older than they are to be kept."""
        before = self._wall.now() - self._keep_s
        return await asyncio.to_thread(self._trees.purge, before=before, limit=SLICE)


def device_scope(uid: str) -> Scope:
    """Return the scope of one device.

    Raises:
        RequestError: ``request.device``, that is no device's name.
    """
    try:
        return Scope(ScopeKind.DEVICE, uid)
    except ValueError as error:
        raise RequestError(f"{uid!r} is no device", code="request.device") from error


def _nodes(
    known: Mapping[str, KnownNode], wanted: Mapping[str, Wish], what: Difference
) -> tuple[NodeView, ...]:
    pending = {step.uri: step.kind for step in what.steps}
    refused = {refusal.step.uri: refusal for refusal in what.refused}
    there = {uri: node for uri, node in known.items() if node.format}
    return tuple(
        NodeView(
            uri,
            there.get(uri),
            wanted.get(uri),
            pending.get(uri),
            refused[uri].status if uri in refused else None,
            refused[uri].words if uri in refused else "",
        )
        for uri in sorted(there.keys() | wanted.keys())
    )
