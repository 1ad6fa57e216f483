"""Campaigns as operators see them. Times are seconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.fleet.campaigns.model import STATES
from openami.headend.campaigns.release import package_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.firmware.packages import PackageId
    from openami.fleet.campaigns.engine import Estimate
    from openami.fleet.campaigns.groups import GroupState
    from openami.fleet.campaigns.machine import Run
    from openami.fleet.campaigns.model import Campaign, DeviceState
    from openami.fleet.campaigns.records import CampaignRecord, GroupSum
    from openami.fleet.campaigns.timeline import Mark
    from openami.fleet.campaigns.why import Why
    from openami.headend.campaigns.work import AtWork


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group of a campaign.

    Attributes:
        state: how far it is; ``since`` when.
        cause: if it has failed, the code of why.
        dcus: that have devices in it; 0 before the campaign is planned.
        total: its devices.
        states: devices by state, without states that none is in.
        codes: failures by code, the most frequent first.
        estimate: when it will be through, if it goes on as it went; None: it is not at work.
    """

    name: str
    state: GroupState
    since: float
    cause: str | None
    dcus: int
    total: int
    states: Mapping[DeviceState, int]
    codes: Mapping[str, int]
    estimate: Estimate | None


@dataclass(frozen=True, slots=True)
class View:
    """A campaign, and how far it is.

    Attributes:
        number: of the release on its shelf.
        package: the release's id; ``campaign.release`` is the same as a text.
        run: state, since when, cause, authors, approver, commands taken, epoch.
        groups: in their order.
        dcus: that have devices in it.
        total: its devices.
        states: of all groups together, as ``GroupView.states``.
    """

    run: Run
    number: int
    package: PackageId
    groups: tuple[GroupView, ...]
    dcus: int
    total: int
    states: Mapping[DeviceState, int]

    @property
    def id(self) -> str:
        """The campaign's id."""
        return self.run.campaign.id

    @property
    def campaign(self) -> Campaign:
        """What was drafted."""
        return self.run.campaign


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device of a campaign.

    Attributes:
        serial: of the meter, or of the DCU itself.
        dcu: who looks after it.
        group: name of its group; None: it is in none.
        state: the last that is known of it.
        since: of that state; None: nobody has said anything of it.
        code: why it ended badly, if it did.
        why: one line of cause and next step.
    """

    serial: str
    dcu: str
    group: str | None
    state: DeviceState
    since: float | None
    code: str | None
    why: Why


@dataclass(frozen=True, slots=True)
class TimelineView:
    """What happened to one device in one campaign.

    Attributes:
        name: of the campaign.
        marks: by attempt and state; by the clock of who saw it.
    """

    campaign: str
    name: str
    package: PackageId
    device: DeviceView
    marks: tuple[Mark, ...]


def view_of(record: CampaignRecord, live: AtWork | None, now: float) -> View:
    """Return how far a campaign is.

    Args:
        record: as it was stored.
        live: the campaign at work; None: it is not, and ``record`` says all.
        now: estimates are from then.
    """
    record = record if live is None else live.record
    campaign = record.run.campaign
    groups = tuple(
        GroupView(
            name=group.name,
            state=run.state,
            since=run.since,
            cause=run.cause,
            dcus=sums.dcus,
            total=sum(sums.counts),
            states=_by_state(sums),
            codes=sums.codes,
            estimate=None if live is None else live.engine.estimate(number, now),
        )
        for number, (group, run, sums) in enumerate(
            zip(campaign.groups, record.run.groups, record.sums, strict=True)
        )
    )
    return View(
        run=record.run,
        number=record.release,
        package=package_of(campaign.release),
        groups=groups,
        dcus=sum(group.dcus for group in groups),
        total=sum(group.total for group in groups),
        states=_together(groups),
    )


def _by_state(sums: GroupSum) -> Mapping[DeviceState, int]:
    return {state: n for state, n in zip(STATES, sums.counts, strict=True) if n}


def _together(groups: tuple[GroupView, ...]) -> Mapping[DeviceState, int]:
    total: Counter[DeviceState] = Counter()
    for group in groups:
        total.update(group.states)
    return {state: total[state] for state in STATES if total[state]}
