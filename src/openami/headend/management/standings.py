"""How far groups of DCUs are what they are wanted to be: counted one at a time, kept for a while.

A count of a fleet of 120,000 DCUs takes seconds, and many screens and programs ask for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from openami.fleet.desired import MAX_GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.core.clock import Clock
    from openami.fleet.management import DifferentDevice, Standing, WishProgress
    from openami.fleet.ports import Page
    from openami.headend.management.device_groups import DeviceGroups

T = TypeVar("T")

FRESH_S: Final = 15.0
"""How old a count of a large fleet may be: a few times what it takes to make one."""
QUICK_S: Final = 0.5
"""A count that takes less is made for each who asks, so that it is of now."""


class Standings:
    """Counts for everybody who asks, whoever it is."""

    def __init__(self, groups: DeviceGroups, *, wall: Clock) -> None:
        self._groups = groups
        self._progress = _Kept(groups.progress, wall)
        self._figures = _Kept(groups.standing, wall)
        self._alone = asyncio.Lock()  # who waits for it holds no thread: others need them

    async def progress(self, name: str) -> Sequence[WishProgress]:
        """Return how far a group is what it wants to be, by address; NotFoundError."""
        async with self._alone:
            return await asyncio.to_thread(self._progress.get, name)

    async def figures(self, name: str) -> Standing:
        """Return how many DCUs of a group are not what they are wanted to be; NotFoundError."""
        async with self._alone:
            return await asyncio.to_thread(self._figures.get, name)

    async def differences(
        self, name: str, *, after: str | None = None, limit: int = 100
    ) -> Page[DifferentDevice]:
        """Return the DCUs of a group that are not known to be as wanted; NotFoundError."""
        async with self._alone:
            return await asyncio.to_thread(self._groups.differences, name, after=after, limit=limit)

    def forget(self, name: str) -> None:
        """Count a group anew: it is another one, or wants something else."""
        self._progress.forget(name)
        self._figures.forget(name)


class _Kept(Generic[T]):
    """What was counted of groups. One thread at a time asks; any may say what to forget."""

    def __init__(self, count: Callable[[str], T], wall: Clock) -> None:
        self._count = count
        self._wall = wall
        self._kept: dict[str, tuple[float, T]] = {}
        self._forgotten = 0

    def get(self, name: str) -> T:
        began, kept = self._wall.now(), self._kept.get(name)
        if kept is not None and 0 <= began - kept[0] < FRESH_S:
            return kept[1]
        forgotten = self._forgotten
        found = self._count(name)  # whose name is no group's is not remembered
        slow = self._wall.now() - began >= QUICK_S
        if slow and forgotten == self._forgotten:  # else it may be of before the change
            if len(self._kept) >= MAX_GROUPS:  # some have been removed since
                self._kept.clear()
            self._kept[name] = began, found
        return found

    def forget(self, name: str) -> None:
        self._forgotten += 1
        self._kept.pop(name, None)
