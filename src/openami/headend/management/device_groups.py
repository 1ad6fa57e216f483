"""Groups of devices that are configured together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openami.fleet.desired import MOST_PRIORITY, Group, Scope, ScopeKind
from openami.fleet.devices import DeviceKind
from openami.fleet.ports import DeviceFilter
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.core.clock import Clock
    from openami.fleet.desired import KnownNode
    from openami.fleet.management import (
        DifferentDevice,
        Standing,
        TreeRecords,
        WishProgress,
    )
    from openami.fleet.ports import Page


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group, and how many devices and wishes it has."""

    group: Group
    devices: int
    wishes: int


class DeviceGroups:
    """Groups of DCUs. Calls block."""

    def __init__(self, trees: TreeRecords, *, wall: Clock) -> None:
        self._trees = trees
        self._wall = wall

    def list(self) -> Sequence[GroupView]:
        """Return all groups, the weakest first."""
        return tuple(map(self._view, self._trees.groups()))

    def get(self, name: str) -> GroupView:
        """Return a group; NotFoundError."""
        return self._view(self._trees.group(group_scope(name).name))

    def count(self, which: DeviceFilter) -> int:
        """Return how many DCUs a filter finds."""
        return self._trees.count(which)

    def put(self, name: str, which: DeviceFilter, *, priority: int, who: str) -> GroupView:
        """Make a group, or give it another filter or priority; all whom it concerns are woken.

        Raises:
            RequestError: ``request.group``, no name or priority of a group.
            ConflictError: ``dm.groups``, there are too many.
        """
        if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
            raise RequestError(f"a priority is up to {MOST_PRIORITY}", code="request.group")
        scope = group_scope(name)
        group = Group(scope.name, replace(which, kind=DeviceKind.DCU), priority)
        self._trees.put_group(group, who=who, now=self._wall.now())
        return self.get(name)

    def remove(self, name: str, *, who: str) -> int:
        """Remove a group with all that it wants; return how many devices that concerns."""
        return self._trees.remove_group(group_scope(name).name, who=who, now=self._wall.now())

    def progress(self, name: str) -> Sequence[WishProgress]:
        """Return how far a group is what it wants to be, by address; NotFoundError."""
        return self._trees.progress(group_scope(name).name)

    def standing(self, name: str) -> Standing:
        """Return how many DCUs of a group are not what they are wanted to be; NotFoundError.

        By all that is wanted of each: by this group, by others and of itself.
        """
        return self._trees.standing(self._trees.group(group_scope(name).name).which)

    def differences(
        self, name: str, *, after: str | None = None, limit: int = 100
    ) -> Page[DifferentDevice]:
        """Return the DCUs of a group that are not known to be as wanted; NotFoundError."""
        which = self._trees.group(group_scope(name).name).which
        return self._trees.differences(which, after=after, limit=limit)

    def refused(
        self, name: str | None = None, *, after: str | None = None, limit: int = 100
    ) -> Page[tuple[str, KnownNode]]:
        """Return what the DCUs of a group, or all, have refused: UID and node; NotFoundError."""
        which = DeviceFilter(kind=DeviceKind.DCU)
        if name is not None:
            which = self._trees.group(group_scope(name).name).which
        return self._trees.refused(which, after=after, limit=limit)

    def _view(self, group: Group) -> GroupView:
        return GroupView(
            group, self._trees.count(group.which), len(self._trees.wishes(group.scope))
        )


def group_scope(name: str) -> Scope:
    """Return the scope of a group.

    Raises:
        RequestError: ``request.group``, that is no group's name.
    """
    try:
        return Scope(ScopeKind.GROUP, name)
    except ValueError as error:
        raise RequestError(str(error), code="request.group") from error
