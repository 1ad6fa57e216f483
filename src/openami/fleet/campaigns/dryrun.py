"""What a campaign would do: how many, which, how long, and what is left out and why.

The time is what the narrowest budget allows at best, and the longest single DCU on top: where one
budget binds, work that is given out in order takes no longer than both together. Where several bind
by turns it is an estimate. Time passes only within windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openami.fleet.campaigns.plan import left_out
from openami.fleet.campaigns.sites import NO_DEVICES
from openami.fleet.campaigns.windows import after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import tzinfo

    import numpy.typing as npt

    from openami.fleet.campaigns.model import Budget, Campaign
    from openami.fleet.campaigns.plan import Plan
    from openami.fleet.campaigns.records import PlannedSite
    from openami.fleet.campaigns.sites import Fitting, Ints, Sites

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Load:
    """What one DCU's part is.

    Attributes:
        octets: that its link carries, once for all its devices.
        line_octets: that the line to its meters carries: framing, repetitions and rounds counted.
        activation_s: from the word to activate to confirmed devices.
    """

    octets: int
    line_octets: int = 0
    activation_s: float = 900.0


@dataclass(frozen=True, slots=True)
class GroupForecast:
    """What a group would do.

    Attributes:
        begins: when downloads begin.
        downloaded: when the new image is verified on all its devices.
        activated: when they run it.
        ends: when the group has been watched for long enough.
        bound: what the time of its downloads depends on: ``link``, ``head-end rate``, ``head-end
            jobs``, ``segment rate`` or ``segment jobs``.
    """

    name: str
    dcus: int
    devices: int
    begins: float
    downloaded: float
    activated: float
    ends: float
    bound: str


@dataclass(frozen=True, slots=True)
class Excluded:
    """What is left out for one reason."""

    code: str
    dcus: int
    devices: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a campaign would do.

    Attributes:
        in_time: whether that is before its own end.
        order: some of its DCUs, as they follow each other.
    """

    dcus: int
    devices: int
    groups: tuple[GroupForecast, ...]
    excluded: tuple[Excluded, ...]
    in_time: bool
    order: tuple[PlannedSite, ...] = ()

    @property
    def ends(self) -> float:
        """When the last group ends; infinity: never, with these windows."""
        return self.groups[-1].ends


def dry_run(
    campaign: Campaign,
    sites: Sites,
    plan: Plan,
    load: Load,
    *,
    now: float,
    tz: tzinfo,
    fitting: Fitting | None = None,
) -> DryRun:
    """Return what the campaign would do if it were started at ``now``.

    Args:
        campaign: what is to be done.
        sites: the DCUs.
        plan: made of both.
        load: what one DCU's part is.
        now: when it is started.
        tz: the campaign's time zone.
        fitting: what the devices were counted with, for what it has left out.
    """
    groups = tuple(_groups(campaign, sites, plan, load, now=now, tz=tz))
    return DryRun(
        dcus=int((sites.devices[plan.order] > 0).sum()),
        devices=int(sites.devices[plan.order].sum()),
        groups=groups,
        excluded=tuple(_excluded(sites, plan, fitting)),
        in_time=campaign.until is None or groups[-1].ends <= campaign.until,
    )


def _groups(
    campaign: Campaign, sites: Sites, plan: Plan, load: Load, *, now: float, tz: tzinfo
) -> Iterator[GroupForecast]:
    download, activation = campaign.download, campaign.activation
    begins, turn = max(now, download.not_before), now
    for number, group in enumerate(campaign.groups):
        rows = plan.rows(number)
        rows = rows[sites.devices[rows] > 0]  # of a dynamic campaign there may be others
        seconds, bound = download_seconds(campaign.budget, sites, rows, load)
        empty = not len(rows)
        seconds += 0.0 if empty else campaign.jitter_s
        downloaded = begins if empty else after(download.windows, begins, seconds, tz)
        ready = max(downloaded, turn, activation.not_before)
        waves = -(-len(rows) // (campaign.activations or max(1, len(rows))))
        seconds = waves * (load.activation_s + campaign.jitter_s)
        activated = turn if empty else after(activation.windows, ready, seconds, tz)
        turn = activated if empty else activated + group.soak_s
        devices = int(sites.devices[rows].sum())
        yield GroupForecast(
            group.name, len(rows), devices, begins, downloaded, activated, turn, bound
        )
        begins = max(download.not_before, downloaded if campaign.ahead else turn)


def download_seconds(budget: Budget, sites: Sites, rows: Ints, load: Load) -> tuple[float, str]:
    """Return how long the downloads of some DCUs take, and what that depends on."""
    if not len(rows):
        return 0.0, "link"
    caps = (budget.rate, budget.segment_rate, budget.link_rate)
    cap = min([cap for cap in caps if cap is not None], default=None)
    rate = sites.rate[rows] if cap is None else np.minimum(sites.rate[rows], cap)
    link = load.octets / rate
    line_rate = sites.line_rate[rows]
    line = np.where(line_rate > 0, load.line_octets / np.maximum(line_rate, 1), 0.0)
    _, segment = np.unique(sites.segment[rows], return_inverse=True)
    bounds = dict(_bounds(budget, load, link, segment))
    bound = max(bounds, key=lambda name: bounds[name], default="link")
    longest = float((link + line).max())
    if bounds.get(bound, 0.0) <= float(link.max()):
        return longest, "link"
    return bounds[bound] + longest, bound


def _bounds(
    budget: Budget, load: Load, link: Floats, segment: npt.NDArray[np.intp]
) -> Iterator[tuple[str, float]]:
    if budget.rate:
        yield "head-end rate", load.octets * len(link) / budget.rate
    if budget.jobs:
        yield "head-end jobs", float(link.sum()) / budget.jobs
    if budget.segment_rate:
        yield "segment rate", load.octets * int(np.bincount(segment).max()) / budget.segment_rate
    if budget.segment_jobs:
        yield "segment jobs", float(np.bincount(segment, link).max()) / budget.segment_jobs


def _excluded(sites: Sites, plan: Plan, fitting: Fitting | None) -> Iterable[Excluded]:
    if fitting is not None:
        for code, devices in fitting.excluded.items():
            yield Excluded(code, len(fitting.excluded_rows[code]), devices)
    for code, rows in left_out(plan, sites).items():
        if code != NO_DEVICES or fitting is None:  # what was counted out has its reason already
            yield Excluded(code, len(rows), int(sites.devices[rows].sum()))
