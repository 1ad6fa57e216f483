"""What downloads take of the network at this moment, of all campaigns together.

Rates are reserved: a download is given one, keeps to it, and it is given back at the end. So what
is reserved is never more than a budget allows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openami.fleet.campaigns.model import Budget


class Full(StrEnum):
    """Which budget has no room."""

    HEAD_END = "campaign.budget.head-end"
    SEGMENT = "campaign.budget.segment"
    LINK = "campaign.budget.link"


@dataclass(slots=True)
class Used:
    """What is reserved of one budget."""

    jobs: int = 0
    rate: int = 0


@dataclass(slots=True, eq=False)
class Allowance:
    """Reservations by segment and link, shared by the queues of several campaigns.

    ``freed`` of ``listen`` are sets in which segments are noted as room comes about.
    """

    total: Used = field(default_factory=Used)
    segments: dict[int, Used] = field(default_factory=dict)
    links: dict[int, tuple[int, int]] = field(default_factory=dict)
    _listeners: list[set[int]] = field(default_factory=list)

    def listen(self) -> set[int]:
        """Return a set in which segments stand that got room since it was last emptied."""
        freed: set[int] = set()
        self._listeners.append(freed)
        return freed

    def forget(self, freed: set[int]) -> None:
        """Note nothing any more in a set that ``listen`` gave; harmless when repeated."""
        self._listeners = [one for one in self._listeners if one is not freed]

    def take(self, dcu: int, segment: int, rate: int, budget: Budget) -> Full | None:
        """Reserve a DCU's download; return which budget has no room, None: it is reserved."""
        used = self.segments.get(segment, Used())
        if dcu in self.links:
            return Full.LINK
        if _over(self.total, rate, budget.jobs, budget.rate):
            return Full.HEAD_END
        if _over(used, rate, budget.segment_jobs, budget.segment_rate):
            return Full.SEGMENT
        self.retake(dcu, segment, rate)
        return None

    def retake(self, dcu: int, segment: int, rate: int) -> None:
        """Reserve what was reserved before a restart, whatever the budgets are now."""
        self.links[dcu] = segment, rate
        used = self.segments.setdefault(segment, Used())
        for one in (self.total, used):
            one.jobs += 1
            one.rate += rate

    def give_back(self, dcu: int) -> None:
        """End a DCU's reservation."""
        segment, rate = self.links.pop(dcu)
        used = self.segments[segment]
        for one in (self.total, used):
            one.jobs -= 1
            one.rate -= rate
        if not used.jobs:
            del self.segments[segment]
        for listener in self._listeners:
            listener.add(segment)


def _over(used: Used, rate: int, jobs: int | None, most: int | None) -> bool:
    return (jobs is not None and used.jobs >= jobs) or (
        most is not None and used.rate + rate > most
    )
