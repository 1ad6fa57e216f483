"""How far groups and their DCUs are what they are wanted to be. Calls block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.desired import Wish
    from openami.fleet.management import WishProgress
    from openami.fleet.ports import DeviceFilter
    from openami.headend.management.trees import NodeView, TreeView
    from openami.headend.services import Services

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
