"""How far groups and their DCUs are what they are wanted to be. Calls block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from openami.fleet.desired import MAX_GROUPS
from openami.headend.statistics import Fresh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.core.clock import Clock
    from openami.fleet.desired import Wish
    from openami.fleet.management import Standing, WishProgress
    from openami.fleet.ports import DeviceFilter
    from openami.headend.management.trees import NodeView, TreeView
    from openami.headend.services import Services

T = TypeVar("T")

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
        groups, wall = services.management.groups, services.wall
        self._progress = _Kept(groups.progress, wall)
        self._figures = _Kept(groups.standing, wall)

    def progress(self, name: str) -> Sequence[WishProgress]:
        """Return how far a group is, by address; NotFoundError."""
        return self._progress.get(name)

    def figures(self, name: str) -> Standing:
        """Return how many of a group's DCUs are not as wanted; NotFoundError."""
        return self._figures.get(name)

    def forget(self, name: str) -> None:
        """Count a group anew: it wants something else."""
        self._progress.forget(name)
        self._figures.forget(name)


class _Kept(Generic[T]):
    """What was counted of groups, for a while."""

    def __init__(self, count: Callable[[str], T], wall: Clock) -> None:
        self._count = count
        self._wall = wall
        self._kept: dict[str, Fresh[T]] = {}

    def get(self, name: str) -> T:
        if name in self._kept:
            return self._kept[name].get()
        fresh = Fresh(partial(self._count, name), self._wall, for_s=FRESH_S)
        found = fresh.get()  # whose name is no group's is not remembered
        if len(self._kept) >= MAX_GROUPS:  # some have been removed since
            self._kept.clear()
        self._kept[name] = fresh
        return found

    def forget(self, name: str) -> None:
        self._kept.pop(name, None)


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
