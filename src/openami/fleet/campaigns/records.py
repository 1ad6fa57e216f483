"""Campaigns as a store keeps them: what was drafted, how far each DCU is, and what has changed.

One row per DCU and campaign; what a row has for each of its devices is the list of their serial
numbers, made when the DCU is given its first order, and the marks that came of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from openami.fleet.campaigns.model import STATES
from openami.fleet.campaigns.plan import NOWHERE, Plan
from openami.fleet.campaigns.sites import Sites

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openami.fleet.campaigns.dispatch import Position
    from openami.fleet.campaigns.machine import Run
    from openami.fleet.campaigns.model import StepKind
    from openami.fleet.campaigns.progress import SiteProgress
    from openami.fleet.campaigns.sites import Ints
    from openami.fleet.campaigns.timeline import Mark
    from openami.fleet.devices import AuditEntry
    from openami.fleet.tasks import Result, TaskState


@dataclass(frozen=True, slots=True)
class GroupSum:
    """What is counted of a group: DCUs, devices by state, failures by code."""

    dcus: int = 0
    counts: tuple[int, ...] = (0,) * len(STATES)
    codes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """A campaign as a whole.

    Attributes:
        key: the store's number of it.
        release: number of the release on its shelf.
        sums: of its groups.
    """

    key: int
    run: Run
    release: int
    created: float
    sums: tuple[GroupSum, ...]


@dataclass(frozen=True, slots=True)
class PlannedSite:
    """A DCU as it was planned; that never changes.

    Attributes:
        dcu: its serial number.
        devices: that were counted when it was planned.
        place: its order within its group: what comes late comes last.
    """

    row: int
    dcu: str
    area: str
    cell: str
    segment: str
    rate: int
    line_rate: int
    devices: int
    group: int
    place: int


@dataclass(frozen=True, slots=True)
class Given:
    """What a DCU was told of a step: the attempt, the rate, and when to begin and to end."""

    attempt: int
    rate: int
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class SiteState:
    """How far a DCU is.

    Attributes:
        named: which devices its orders name, as a number that changes with them; 0: none yet.
    """

    progress: SiteProgress
    positions: Mapping[StepKind, Position]
    given: Mapping[StepKind, Given]
    named: int


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A job of device management that carries a part of an order to a DCU."""

    job: str
    row: int
    step: StepKind
    attempt: int
    part: str


@dataclass(frozen=True, slots=True)
class TaskNews:
    """How far such a job is; ``state`` None: device management does not have it."""

    task: TaskRecord
    state: TaskState | None
    status: int | None = None
    results: tuple[Result, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What one moment changes in a campaign; kept all or nothing.

    Attributes:
        record: as it is then.
        sites: that are otherwise.
        more: DCUs that have come.
        named: serial numbers by row, where they are otherwise.
        marks: of devices, by serial number; those that are known change nothing.
        tasks: new jobs; ``closed``: those of which nothing more is expected.
        recall: jobs that have not left are taken back.
        entries: for the audit log.
    """

    record: CampaignRecord
    sites: Sequence[SiteState] = ()
    more: Sequence[PlannedSite] = ()
    named: Mapping[int, Sequence[str]] = field(default_factory=dict)
    marks: Sequence[tuple[str, Mark]] = ()
    tasks: Sequence[TaskRecord] = ()
    closed: Sequence[str] = ()
    recall: bool = False
    entries: Sequence[AuditEntry] = ()


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many devices of a class a DCU has; an empty text is not known."""

    dcu: str
    model: str
    hardware: str
    firmware: str
    count: int


@dataclass(frozen=True, slots=True)
class DcuFacts:
    """What the registry knows of a DCU."""

    serial: str
    region: str
    state: str
    last_seen: float | None


def number_of(name: str) -> int:
    """Return the number of a DCU, an area, a cell or a segment: the same in every campaign."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 1


def planned_sites(
    sites: Sites, plan: Plan, serials: Sequence[str], names: Sequence[tuple[str, str, str]]
) -> tuple[PlannedSite, ...]:
    """Return the rows of a plan that have devices, numbered anew in the plan's order.

    Args:
        sites: all DCUs that were counted.
        plan: made of them.
        serials: of each row the DCU's.
        names: of each row the area, the cell and the segment.
    """
    rows = plan.order[sites.devices[plan.order] > 0].tolist()
    return tuple(
        PlannedSite(
            number,
            serials[row],
            area,
            cell,
            segment,
            int(sites.rate[row]),
            int(sites.line_rate[row]),
            int(sites.devices[row]),
            int(plan.group[row]),
            number,
        )
        for number, row, (area, cell, segment) in zip(
            range(len(rows)), rows, (names[row] for row in rows), strict=True
        )
    )


def columns_of(planned: Sequence[PlannedSite]) -> Sites:
    """Return planned DCUs as columns."""
    area = {one.area: number_of(one.area) for one in planned}
    cell = {one.cell: number_of(one.cell) for one in planned}
    segment = {one.segment: number_of(one.segment) for one in planned}
    return Sites(
        dcu=_column(number_of(one.dcu) for one in planned),
        devices=_column(one.devices for one in planned),
        area=_column(area[one.area] for one in planned),
        cell=_column(cell[one.cell] for one in planned),
        segment=_column(segment[one.segment] for one in planned),
        rate=_column(one.rate for one in planned),
        line_rate=_column(one.line_rate for one in planned),
        areas=area,
        cells=cell,
    )


def plan_of(planned: Sequence[PlannedSite], groups: int) -> Plan:
    """Return the plan that rows were made of, and what came later behind it in each group."""
    group = _column(one.group for one in planned)
    place = _column(one.place for one in planned)
    inside = np.flatnonzero(group != NOWHERE)
    order = inside[np.lexsort((place[inside], group[inside]))]
    places = np.full(len(group), NOWHERE, np.int64)
    places[order] = np.arange(len(order))
    starts = np.searchsorted(group[order], np.arange(groups + 1))
    return Plan(group, places, order, tuple(starts.tolist()))


def _column(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)
