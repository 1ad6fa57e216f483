"""What the REST API takes and gives about campaigns and how far they are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.campaigns.groups import GroupState
from openami.fleet.campaigns.machine import COMMANDS, MAX_REASON, TRANSITIONS, Act, CampaignState
from openami.fleet.campaigns.model import DeviceState
from openami.fleet.campaigns.timeline import Mark
from openami.fleet.campaigns.why import Why as WhyWords
from openami.fleet.campaigns.why import of_group
from openami.fleet.devices import DeviceKind
from openami.headend.campaigns.views import DeviceView, GroupView, TimelineView, View
from openami.web.api.models.campaign_plans import CampaignSpec, Reason
from openami.web.api.models.common import Cursor, Model, moment

Why = Annotated[str, Field(max_length=MAX_REASON, description="In words, for the audit log.")]
Number = Annotated[
    int, Field(ge=1, le=2**31, description="`next_number` of the campaign as it was seen.")
]


class CampaignRequest(Model):
    """A campaign that is to be."""

    campaign: CampaignSpec
    why: Why = ""


class CampaignRevision(Model):
    """What a campaign is to be instead."""

    campaign: CampaignSpec
    number: Number
    why: Why = ""


class CampaignCommand(Model):
    """What an operator does; what was sent twice counts once."""

    number: Number | None = Field(None, description="To stop needs none.")
    why: Why = ""


class EmergencyStop(Model):
    """Why everything is stopped."""

    why: Annotated[str, Field(min_length=1, max_length=MAX_REASON)]


class Stopped(Model):
    """What an emergency stop has stopped."""

    campaigns: int
    epoch: int = Field(description="The fleet's: no DCU goes on with an order of before.")


class FailureModel(Reason):
    """Devices that failed for one reason."""

    devices: int


class EstimateModel(Model):
    """When a group will be through, by the rates that were measured; null: nobody knows yet."""

    downloaded: datetime | None
    settled: datetime | None


class GroupProgress(Model):
    """How far one group is."""

    name: str
    state: GroupState
    since: datetime
    cause: Reason | None = Field(description="Why it has failed.")
    dcus: int
    devices: int
    states: dict[str, int] = Field(examples=[{"confirmed": 90, "verified": 10}])
    failures: list[FailureModel] = Field(description="The most frequent first.")
    estimate: EstimateModel | None

    @classmethod
    def of(cls, group: GroupView, now: float) -> Self:
        """Return the model of a group."""
        found = group.estimate
        return cls(
            name=group.name,
            state=group.state,
            since=utc(group.since),
            cause=None if group.cause is None else _reason(of_group(group.cause)),
            dcus=group.dcus,
            devices=group.total,
            states=_named(group.states),
            failures=[
                FailureModel(**Reason.of_code(code, now).model_dump(), devices=count)
                for code, count in group.codes.items()
            ],
            estimate=None
            if found is None
            else EstimateModel(downloaded=moment(found.downloaded), settled=moment(found.settled)),
        )


class CampaignModel(Model):
    """A campaign and how far it is."""

    id: str
    name: str
    release: int = Field(description="Its number on the shelf.")
    package: str = Field(examples=["meter-image/openami/1.2.3"])
    kind: DeviceKind
    state: CampaignState
    since: datetime
    cause: Reason | None = Field(description="Why it is paused, or how it ended.")
    authors: list[str] = Field(description="Who wrote or planned it, and may not approve it.")
    approver: str | None
    epoch: int
    next_number: int = Field(description="What the next command on it carries.")
    next: list[Act] = Field(description="The commands that may follow.")
    dcus: int
    devices: int
    states: dict[str, int] = Field(examples=[{"confirmed": 90, "verified": 10}])
    groups: list[GroupProgress]

    @classmethod
    def of(cls, view: View, now: float) -> Self:
        """Return the model of a campaign."""
        run = view.run
        return cls(
            id=view.id,
            name=run.campaign.name,
            release=view.number,
            package=str(view.package),
            kind=run.campaign.kind,
            state=run.state,
            since=utc(run.since),
            cause=None if run.cause is None else Reason.of_code(run.cause, now),
            authors=list(run.authors),
            approver=run.approver,
            epoch=run.epoch,
            next_number=run.commands + 1,
            next=[act for act in COMMANDS if (run.state, act) in TRANSITIONS],
            dcus=view.dcus,
            devices=view.total,
            states=_named(view.states),
            groups=[GroupProgress.of(group, now) for group in view.groups],
        )


class CampaignDetail(Model):
    """How far a campaign is, and what it is."""

    progress: CampaignModel
    campaign: CampaignSpec = Field(description="What was written; as a new one it is taken, too.")

    @classmethod
    def of(cls, view: View, now: float) -> Self:
        """Return the model of a campaign."""
        spec = CampaignSpec.of(view.campaign, view.number)
        return cls(progress=CampaignModel.of(view, now), campaign=spec)


class CampaignPage(Model):
    """A page of campaigns."""

    items: list[CampaignModel]
    next: Cursor


class CampaignDevice(Model):
    """One device of a campaign."""

    serial: str
    dcu: str
    group: str | None
    state: str = Field(examples=["verified"])
    since: datetime | None
    code: str | None = Field(description="Why it ended badly.")
    why: Reason | None = Field(description="Why it is not upgraded, and what to do; null: it is.")

    @classmethod
    def of(cls, device: DeviceView) -> Self:
        """Return the model of a device."""
        return cls(
            serial=device.serial,
            dcu=device.dcu,
            group=device.group,
            state=device.state.word,
            since=moment(device.since),
            code=device.code,
            why=None if device.state is DeviceState.CONFIRMED else _reason(device.why),
        )


class CampaignDevicePage(Model):
    """A page of a campaign's devices."""

    items: list[CampaignDevice]
    next: Cursor


class MarkModel(Model):
    """A device reached a state."""

    state: str = Field(examples=["verified"])
    at: datetime = Field(description="By the clock of who saw it.")
    attempt: int
    code: str | None = Field(description="Why it ended badly.")
    reason: str | None = Field(description="The same in the device's words.")

    @classmethod
    def of(cls, mark: Mark) -> Self:
        """Return the model of a mark."""
        return cls(
            state=mark.state.word,
            at=utc(mark.at),
            attempt=mark.attempt,
            code=mark.code,
            reason=mark.reason or None,
        )


class TimelineModel(Model):
    """What happened to one device in one campaign."""

    campaign: str
    name: str = Field(description="Of the campaign.")
    package: str
    device: CampaignDevice
    marks: list[MarkModel]

    @classmethod
    def of(cls, view: TimelineView) -> Self:
        """Return the model of a timeline."""
        return cls(
            campaign=view.campaign,
            name=view.name,
            package=str(view.package),
            device=CampaignDevice.of(view.device),
            marks=[MarkModel.of(mark) for mark in view.marks],
        )


def _named(states: Mapping[DeviceState, int]) -> dict[str, int]:
    return {state.word: count for state, count in states.items()}


def _reason(why: WhyWords) -> Reason:
    return Reason(code=why.code, cause=why.cause, step=why.step)
