"""How far groups and their DCUs are what they are wanted to be. Calls block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from openami.fleet.desired import MAX_GROUPS
from openami.headend.statistics import Fresh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.desired import Wish
    from openami.fleet.management import WishProgress
    from openami.fleet.ports import DeviceFilter
    from openami.headend.management.trees import NodeView, TreeView
    from openami.headend.services import Services

FRESH_S: Final = 15.0  # counting a fleet of 120,000 DCUs takes seconds, and many screens ask
MEMBERS: Final = 25  # of a page: each of them takes a look at its whole tree
FIRST_NODES: Final = 4  # of a DCU in the table: the rest is in its tree


@dataclass(frozen=True, slots=True)
class WishRow:
    """What a group wants of a node; ``progress`` is None until it is counted."""

    wish: Wish
    progress: WishProgress | None

    @property
    def share(self) -> float:
        """Percent of the devices that are so."""
        found = self.progress
        return 100 * found.so / found.devices if found and found.devices else 0.0


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """How far a group is.

    Attributes:
        devices: those of the group that have an account.
        otherwise: how many are otherwise at one of its nodes; others may be so at another.
        refused: how many have refused one of its nodes.
        exact: the numbers are those of all nodes together.
    """

    devices: int
    otherwise: int
    refused: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A DCU of a group."""

    uid: str
    tone: str
    label: str
    nodes: tuple[NodeView, ...]
    more: int


class Standings:
    """Counts how far groups are, and remembers it for a while."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: dict[str, Fresh[Sequence[WishProgress]]] = {}

    def progress(self, name: str) -> Sequence[WishProgress]:
        """Return how far a group is, by address; NotFoundError."""
        groups = self._services.management.groups
        if name not in self._kept:
            groups.get(name)
            if len(self._kept) >= MAX_GROUPS:  # some have been removed since
                self._kept.clear()
            make = partial(groups.progress, name)
            self._kept[name] = Fresh(make, self._services.wall, for_s=FRESH_S)
        return self._kept[name].get()

    def forget(self, name: str) -> None:
        """Count a group anew: it wants something else."""
        self._kept.pop(name, None)

    def figures(self, name: str) -> GroupFigures:
        """Return how far a group is; NotFoundError."""
        found = self.progress(name)
        return GroupFigures(
            max((each.devices for each in found), default=0),
            max((each.devices - each.so for each in found), default=0),
            max((each.refused for each in found), default=0),
            len(found) == 1,
        )


def members(
    services: Services, which: DeviceFilter, after: str | None
) -> tuple[list[Member], str | None]:
    """Return a page of the DCUs that a filter finds, and the cursor of the next."""
    page = services.registry.devices(which, after=after, limit=MEMBERS)
    trees = services.management.trees
    return [_member(trees.view(device.serial)) for device in page.items], page.next


def _member(view: TreeView) -> Member:
    apart = [node for node in view.nodes if node.pending is not None or node.status is not None]
    tone, label = _standing(view)
    return Member(view.uid, tone, label, tuple(apart[:FIRST_NODES]), len(apart[FIRST_NODES:]))


def _standing(view: TreeView) -> tuple[str, str]:
    if view.refused:
        return "bad", f"{view.refused} refused"
    if view.pending:
        return "warn", f"{view.pending} to change"
    if view.known_at is None:
        return "idle", "to be looked at"
    return "good", "as wanted"


def wish_rows(wishes: Sequence[Wish], progress: Sequence[WishProgress] | None) -> list[WishRow]:
    """Return what a group wants, with how far that is where it was counted."""
    counted = {each.wish.setting.uri: each for each in progress or ()}
    return [WishRow(wish, counted.get(wish.setting.uri)) for wish in wishes]
