"""What the pages say of campaigns: bars, estimates, causes, what a dry run would take."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.fleet.campaigns.groups import GroupState
from openami.fleet.campaigns.machine import COMMANDS, TRANSITIONS, CampaignState
from openami.fleet.campaigns.model import READY, DeviceState
from openami.fleet.campaigns.why import Situation, explain, of_group
from openami.web.console.choosing import EVERY, filter_words
from openami.web.console.filters import THIN, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.fleet.campaigns.dryrun import DryRun, GroupForecast
    from openami.fleet.campaigns.engine import Estimate
    from openami.fleet.campaigns.model import Budget
    from openami.fleet.campaigns.timeline import Mark
    from openami.fleet.campaigns.why import Why
    from openami.fleet.ports import DeviceFilter
    from openami.headend.campaigns.views import GroupView, View

S, D, G = CampaignState, DeviceState, GroupState
HOUR: Final = 3600.0
# label and tone
STATES: Final[Mapping[CampaignState, tuple[str, str]]] = {
    S.DRAFT: ("draft", "idle"),
    S.PLANNED: ("waits for approval", "warn"),
    S.APPROVED: ("approved", "accent"),
    S.RUNNING: ("running", "good"),
    S.PAUSED: ("paused", "warn"),
    S.FINISHED: ("finished", "good"),
    S.STOPPED: ("stopped", "idle"),
    S.EMERGENCY: ("emergency stop", "bad"),
}
GROUPS: Final[Mapping[GroupState, tuple[str, str]]] = {
    G.WAITING: ("waits", "idle"),
    G.DOWNLOADING: ("downloading", "accent"),
    G.DOWNLOADED: ("downloaded", "accent"),
    G.ACTIVATING: ("activating", "accent"),
    G.SOAKING: ("watched", "accent"),
    G.SUCCEEDED: ("succeeded", "good"),
    G.FAILED: ("failed", "bad"),
}
# label and tone of a device's state, in the order of the bar
DEVICES: Final[Mapping[DeviceState, tuple[str, str]]] = {
    D.CONFIRMED: ("confirmed", "good"),
    D.SELF_TESTED: ("self-tested", "accent"),
    D.ACTIVATED: ("activated", "accent"),
    D.VERIFIED: ("verified", "accent"),
    D.TRANSFERRED: ("transferred", "accent"),
    D.DOWNLOADED: ("downloaded to its DCU", "accent"),
    D.OFFERED: ("offered", "idle"),
    D.WAITING: ("waiting", "idle"),
    D.DISCARDED: ("discarded", "bad"),
    D.REVERTED: ("reverted", "bad"),
    D.FAILED: ("failed", "bad"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a bar: ``start`` and ``share`` in percent of it."""

    key: str
    label: str
    count: int
    start: float
    share: float


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group of a live campaign."""

    view: GroupView
    pieces: tuple[Piece, ...]
    cause: Why | None
    rate: float | None  # devices an hour, as measured

    @property
    def confirmed(self) -> int:
        return self.view.states.get(D.CONFIRMED, 0)

    @property
    def estimate(self) -> Estimate | None:
        """When it is through, while it is under way."""
        return None if self.view.state in {G.WAITING, G.SUCCEEDED} else self.view.estimate


@dataclass(frozen=True, slots=True)
class Failure:
    """Devices that failed for one reason."""

    why: Why
    devices: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of time in the picture of a dry run, in percent of its width."""

    key: str
    start: float
    share: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """A group of a dry run, with its picture."""

    group: GroupForecast
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """A mark of a device, and how long after the one before it."""

    mark: Mark
    after: float | None
    why: Why | None


def pieces(states: Mapping[DeviceState, int]) -> tuple[Piece, ...]:
    """Return the parts of a bar of devices by state."""
    total, start, found = sum(states.values()) or 1, 0.0, []
    for state, (label, _) in DEVICES.items():
        count = states.get(state, 0)
        share = 100 * count / total
        if count:
            found.append(Piece(state.word, label, count, start, share))
        start += share
    return tuple(found)


def group_rows(view: View, now: float) -> list[GroupRow]:
    """Return the groups of a campaign for its page."""
    return [
        GroupRow(
            group,
            pieces(group.states),
            None if group.cause is None else of_group(group.cause),
            rate_of(group, now),
        )
        for group in view.groups
    ]


def failures(view: View, now: float) -> list[Failure]:
    """Return why devices of a campaign have failed, the most frequent first."""
    counts: dict[str, int] = {}
    for group in view.groups:
        for code, devices in group.codes.items():
            counts[code] = counts.get(code, 0) + devices
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    return [Failure(words(code, now), devices) for code, devices in ordered]


def words(code: str, now: float) -> Why:
    """Return the words for a code."""
    return explain(code, Situation(S.RUNNING, now))


def may(view: View) -> set[str]:
    """Return the commands that may follow."""
    return {act.value for act in COMMANDS if (view.run.state, act) in TRANSITIONS}


def forecasts(found: DryRun, now: float) -> list[Forecast]:
    """Return the groups of a dry run, each with what happens when as bars from now to its end."""
    times = [time for group in found.groups for time in _times(group) if math.isfinite(time)]
    length = max(max(times, default=now) - now, 1.0)
    return [Forecast(group, tuple(_bars(group, now, length))) for group in found.groups]


def horizon(found: DryRun, now: float) -> float:
    """Return the moment at which the picture of a dry run ends."""
    times = [time for group in found.groups for time in _times(group) if math.isfinite(time)]
    return max([now + 1.0, *times])


def passed(marks: Sequence[Mark], now: float) -> list[Passed]:
    """Return marks with the time between them."""
    earlier: list[Mark | None] = [None, *marks][: len(marks)]
    return [
        Passed(
            mark,
            None if before is None else max(0.0, mark.at - before.at),
            None if mark.code is None else words(mark.code, now),
        )
        for before, mark in zip(earlier, marks, strict=True)
    ]


def whom_words(which: DeviceFilter, noun: str) -> str:
    """Return whom a filter finds, such as ``meters behind DCU D1, region north``."""
    said = filter_words(replace(which, dcu=None))
    others = "" if said == EVERY else said
    if which.dcu:
        return ", ".join(filter(None, (f"{noun}s behind DCU {which.dcu}", others)))
    return f"{noun}s: {others}" if others else f"every {noun}"


def budget_words(budget: Budget) -> str:
    """Return what downloads may take at the same time."""
    rates = (
        ("head-end", budget.rate),
        ("each segment", budget.segment_rate),
        ("each DCU", budget.link_rate),
    )
    said = [f"{where} {rate / 1000:g}{THIN}kB/s" for where, rate in rates if rate is not None]
    if budget.jobs is not None:
        said.append(f"{counted(budget.jobs, 'download')} at once")
    if budget.segment_jobs is not None:
        said.append(f"{counted(budget.segment_jobs, 'download')} in a segment")
    return ", ".join(said) or "as much as there is"


def rate_of(group: GroupView, now: float) -> float | None:
    """Return how many devices an hour the estimate comes from, while there is one."""
    estimate = group.estimate
    end = None if estimate is None else estimate.settled or estimate.downloaded
    if end is None or end <= now:
        return None
    ready = sum(group.states.get(state, 0) for state in READY)
    done = group.states.get(D.CONFIRMED, 0) if estimate and estimate.settled else ready
    left = group.total - done - sum(group.states.get(state, 0) for state in _ENDED)
    return left / (end - now) * HOUR if left > 0 else None


_ENDED: Final = (D.REVERTED, D.DISCARDED, D.FAILED)


def _times(group: GroupForecast) -> tuple[float, float, float, float]:
    return group.begins, group.downloaded, group.activated, group.ends


def _bars(group: GroupForecast, now: float, length: float) -> Iterator[Bar]:
    begins, downloaded, activated, ends = _times(group)
    if not group.dcus:
        return
    parts = (
        ("load", begins, downloaded),
        ("switch", downloaded, activated),
        ("watch", activated, ends),
    )
    for key, begin, end in parts:
        if not math.isfinite(begin):
            return
        until = min(end, now + length)
        if until > begin:
            yield Bar(key, 100 * (begin - now) / length, 100 * (until - begin) / length)
