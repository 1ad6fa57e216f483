"""What the REST API takes and gives of what a campaign is to do, and would do."""

import math
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.campaigns.dryrun import DryRun, Excluded, GroupForecast
from openami.fleet.campaigns.machine import CampaignState
from openami.fleet.campaigns.model import (
    MAX_GROUPS,
    MAX_NAMES,
    MAX_TEXT,
    WHOLE,
    Areas,
    Budget,
    Campaign,
    Cells,
    Group,
    Rest,
    Retry,
    Rule,
    Share,
    Step,
    Thresholds,
)
from openami.fleet.campaigns.spoken import DAYS, clock_words, read_clock
from openami.fleet.campaigns.why import Situation, explain
from openami.fleet.campaigns.windows import MAX_WINDOWS, Window
from openami.fleet.devices import Contact, DeviceKind, LifecycleState
from openami.fleet.ports import DeviceFilter
from openami.headend.errors import RequestError
from openami.web.api.models.common import Model, moment

NEW: Final = "new"  # the id of what has none yet
MAX_SECONDS: Final = 10 * 366 * 86_400.0  # ten years, after which no campaign goes on
_PERCENT: Final = WHOLE // 100

Name = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Amount = Annotated[int, Field(ge=1, le=2**53)]
Clock = Annotated[str, Field(pattern=r"^\d{1,2}:\d\d$", examples=["01:30"])]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Places = Annotated[list[Name], Field(min_length=1, max_length=MAX_NAMES)]


class CampaignFilter(Model):
    """Which devices; what is not given is any. What the release does not fit is left out anyway."""

    state: LifecycleState | None = None
    contact: Contact | None = None
    dcu: str | None = Field(default=None, max_length=32, description="Meters of this DCU.")
    region: str | None = Field(default=None, max_length=128)
    model: str | None = Field(
        default=None, max_length=128, description="All of it, as lists of devices have it."
    )
    search: str | None = Field(
        default=None, max_length=64, description="Part of serial number, label or model."
    )


class GroupModel(Model):
    """Devices that go together, by one of share, areas and cells; by none: whatever is left."""

    name: Name
    share: Percent | None = Field(None, description="Percent of all devices, two digits.")
    areas: Places | None = Field(None, description="The devices of these areas.")
    cells: Places | None = Field(None, description="The devices of these communication cells.")
    canary: bool = Field(default=False, description="The first group, to find out.")
    success: Percent = Field(95.0, description="Percent that must be confirmed.")
    error: Percent = Field(2.0, description="Percent of failures at which the campaign pauses.")
    least: Annotated[int, Field(ge=1, le=2**31)] = Field(
        1, description="Failures that it takes at least."
    )
    soak_s: Seconds = Field(0.0, description="For how long it is watched before the next one.")

    def group(self) -> Group:
        """Return the group; ValueError."""
        thresholds = Thresholds(_parts(self.success), _parts(self.error), self.least)
        return Group(self.name, self._rule(), thresholds, self.soak_s, self.canary)

    def _rule(self) -> Rule:
        rules: list[Rule] = []
        if self.share is not None:
            rules.append(Share(_parts(self.share)))
        if self.areas is not None:
            rules.append(Areas(frozenset(self.areas)))
        if self.cells is not None:
            rules.append(Cells(frozenset(self.cells)))
        if len(rules) > 1:
            raise ValueError(f"group {self.name} has one of share, areas and cells")
        return rules[0] if rules else Rest()

    @classmethod
    def of(cls, group: Group) -> Self:
        """Return the model of a group."""
        rule, thresholds = group.rule, group.thresholds
        return cls(
            name=group.name,
            share=rule.parts / _PERCENT if isinstance(rule, Share) else None,
            areas=sorted(rule.names) if isinstance(rule, Areas) else None,
            cells=sorted(rule.names) if isinstance(rule, Cells) else None,
            canary=group.canary,
            success=thresholds.success / _PERCENT,
            error=thresholds.error / _PERCENT,
            least=thresholds.least,
            soak_s=group.soak_s,
        )


class WindowModel(Model):
    """A part of some days of the week, by the local clock."""

    opens: Clock
    closes: Clock = Field(description="At or before `opens`: on the next day.")
    days: Annotated[list[Day], Field(min_length=1, max_length=7)] = Field(
        default_factory=lambda: list(DAYS), description="On which it opens.", validate_default=True
    )

    def window(self) -> Window:
        """Return the window; ValueError."""
        days = frozenset(DAYS.index(day) for day in self.days)
        return Window(read_clock(self.opens), read_clock(self.closes), days)

    @classmethod
    def of(cls, window: Window) -> Self:
        """Return the model of a window."""
        days: Any = [DAYS[day] for day in sorted(window.days)]
        opens, closes = clock_words(window.opens), clock_words(window.closes)
        return cls(opens=opens, closes=closes, days=days)


class StepModel(Model):
    """When one step is taken: not before a time, and within windows; without any, always."""

    not_before: datetime | None = None
    windows: Annotated[list[WindowModel], Field(max_length=MAX_WINDOWS)] = Field(
        default_factory=list
    )

    def step(self) -> Step:
        """Return the step; ValueError."""
        begin = 0.0 if self.not_before is None else self.not_before.timestamp()
        return Step(begin, tuple(window.window() for window in self.windows))

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return the model of a step."""
        windows = [WindowModel.of(window) for window in step.windows]
        return cls(not_before=moment(step.not_before or None), windows=windows)


class BudgetModel(Model):
    """What downloads may take at the same time, in octets a second and in downloads."""

    rate: Amount | None = Field(default=None, description="Of the head-end.")
    jobs: Amount | None = Field(default=None, description="From the head-end.")
    segment_rate: Amount | None = Field(default=None, description="Of each segment of the network.")
    segment_jobs: Amount | None = Field(default=None, description="In each segment.")
    link_rate: Amount | None = Field(default=None, description="Of each DCU's link.")


class RetryModel(Model):
    """What is done about a step that did not go well."""

    attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    first_s: Seconds = Field(
        default=900.0, description="The rest after the first failure; it doubles."
    )
    most_s: Seconds = Field(default=86_400.0, description="The longest rest.")
    lease_s: Seconds = Field(
        default=7_200.0, description="How long a DCU may be silent about a step."
    )
    longest_s: Seconds = Field(default=86_400.0, description="How long a step may take in all.")


class CampaignSpec(Model):
    """Which devices get which release, in which groups, when and how fast."""

    name: Name
    release: int = Field(ge=1, le=2**31, description="Its number on the shelf.", examples=[7])
    filter: CampaignFilter = CampaignFilter()
    groups: Annotated[list[GroupModel], Field(min_length=1, max_length=MAX_GROUPS)]
    zone: str | None = Field(
        None, max_length=64, description="In which the windows are; null: the head-end's."
    )
    download: StepModel = StepModel()
    activation: StepModel = StepModel()
    budget: BudgetModel = BudgetModel()
    retry: RetryModel = RetryModel()
    activations: Amount | None = Field(None, description="DCUs that activate at the same time.")
    jitter_s: Seconds = Field(60.0, description="Within which what is given at one time begins.")
    dynamic: bool = Field(default=False, description="Take in devices that come to fit.")
    ahead: bool = Field(
        default=False, description="A group downloads while the one before it activates."
    )
    until: datetime | None = Field(None, description="When it ends whatever was reached.")

    def campaign(self, package: str, kind: DeviceKind, zone: str) -> Campaign:
        """Return the campaign.

        Args:
            package: the id of the release.
            kind: of the devices that the release is for.
            zone: the head-end's.

        Raises:
            RequestError: ``request.campaign``, it can not be meant.
        """
        try:
            return Campaign(
                id=NEW,
                name=self.name,
                release=package,
                which=DeviceFilter(kind=kind, **self.filter.model_dump()),
                groups=tuple(group.group() for group in self.groups),
                kind=kind,
                zone=self.zone or zone,
                download=self.download.step(),
                activation=self.activation.step(),
                budget=Budget(**self.budget.model_dump()),
                retry=Retry(**self.retry.model_dump()),
                activations=self.activations,
                jitter_s=self.jitter_s,
                dynamic=self.dynamic,
                ahead=self.ahead,
                until=None if self.until is None else self.until.timestamp(),
            )
        except ValueError as error:
            raise RequestError(str(error), code="request.campaign") from error

    @classmethod
    def of(cls, campaign: Campaign, release: int) -> Self:
        """Return the model of a campaign; ``release`` is its number on the shelf."""
        which = asdict(campaign.which)
        which.pop("kind")
        return cls(
            name=campaign.name,
            release=release,
            filter=CampaignFilter(**which),
            groups=[GroupModel.of(group) for group in campaign.groups],
            zone=campaign.zone,
            download=StepModel.of(campaign.download),
            activation=StepModel.of(campaign.activation),
            budget=BudgetModel(**asdict(campaign.budget)),
            retry=RetryModel(**asdict(campaign.retry)),
            activations=campaign.activations,
            jitter_s=campaign.jitter_s,
            dynamic=campaign.dynamic,
            ahead=campaign.ahead,
            until=moment(campaign.until),
        )


class Reason(Model):
    """Why, in words: the cause, and what to do next."""

    code: str = Field(description="Stable between releases.", examples=["campaign.window"])
    cause: str
    step: str

    @classmethod
    def of_code(cls, code: str, now: float) -> Self:
        """Return the model of a code."""
        found = explain(code, Situation(CampaignState.RUNNING, now))
        return cls(code=code, cause=found.cause, step=found.step)


class ForecastModel(Model):
    """What one group would do; a time that is null never comes, with these windows."""

    name: str
    dcus: int
    devices: int
    begins: datetime | None
    downloaded: datetime | None = Field(description="When all of it is verified on its devices.")
    activated: datetime | None
    ends: datetime | None = Field(description="When it has been watched for long enough.")
    bound: str = Field(description="What its downloads wait for.", examples=["head-end rate"])

    @classmethod
    def of(cls, group: GroupForecast) -> Self:
        """Return the model of a forecast."""
        times = ("begins", "downloaded", "activated", "ends")
        said: dict[str, Any] = asdict(group)
        return cls(**{**said, **{name: finite(said[name]) for name in times}})


class ExcludedModel(Reason):
    """What is left out for one reason."""

    dcus: int
    devices: int

    @classmethod
    def of(cls, found: Excluded, now: float) -> Self:
        """Return the model of what is left out."""
        reason = Reason.of_code(found.code, now)
        return cls(dcus=found.dcus, devices=found.devices, **reason.model_dump())


class TurnModel(Model):
    """A DCU in the order in which a campaign would go to them."""

    place: int = Field(ge=1, description="1 for the first.")
    dcu: str
    group: str
    area: str
    cell: str
    devices: int


class DryRunModel(Model):
    """What a campaign would do if it were started now."""

    dcus: int
    devices: int
    groups: list[ForecastModel]
    excluded: list[ExcludedModel]
    order: list[TurnModel] = Field(description="Some of its DCUs, in the order that spreads load.")
    ends: datetime | None = Field(description="null: never, with these windows.")
    in_time: bool = Field(description="Whether that is before `until`.")

    @classmethod
    def of(cls, found: DryRun, now: float) -> Self:
        """Return the model of a dry run."""
        return cls(
            dcus=found.dcus,
            devices=found.devices,
            groups=[ForecastModel.of(group) for group in found.groups],
            excluded=[ExcludedModel.of(each, now) for each in found.excluded],
            order=[
                TurnModel(
                    place=one.place + 1,
                    dcu=one.dcu,
                    group=found.groups[one.group].name,
                    area=one.area,
                    cell=one.cell,
                    devices=one.devices,
                )
                for one in found.order
            ],
            ends=finite(found.ends),
            in_time=found.in_time,
        )


def finite(seconds: float) -> datetime | None:
    """Return a time that may never come."""
    return utc(seconds) if math.isfinite(seconds) else None


def _parts(percent: float) -> int:
    """Return a percentage in ten-thousandths; ValueError: it is finer."""
    parts = round(percent * _PERCENT)
    if abs(parts - percent * _PERCENT) > 1e-6:
        raise ValueError("a percentage has at most two digits behind the point")
    return parts
