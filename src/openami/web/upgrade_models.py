"""What DCUs and head-end say of meters' upgrades in JSON, bounded and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from openami.fleet.campaigns.model import BY_WORD, STATES, StepKind
from openami.fleet.campaigns.progress import MAX_CODE, MAX_CODES, MAX_NUMBER, StepFailed
from openami.headend.campaigns.uplink import Asked, Said, SaidMark

if TYPE_CHECKING:
    from openami.headend.campaigns.uplink import Told, ToldOrder, ToldStep

REPORTS: Final = 64
"""Campaigns that a DCU has orders of at the same time, several times over."""
MARKS: Final = 2000
"""Of a report: 200 meters tell all of their states in one."""
METERS: Final = 4096
"""On one DCU."""
WORDS: Final = 500

_NAME: Final = f"^({'|'.join(name for name in BY_WORD if name != 'waiting')})$"

StateName = Annotated[str, Field(pattern=_NAME)]
Count = Annotated[int, Field(ge=0, le=METERS)]
Code = Annotated[str, Field(min_length=1, max_length=MAX_CODE)]
Attempt = Annotated[int, Field(ge=1, lt=2**31)]


class _Message(BaseModel):
    """Names that we do not know are passed over: a newer DCU may say more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class MarkSaid(_Message):
    """A meter has reached a state."""

    meter: Annotated[str, Field(min_length=1, max_length=32)]
    state: StateName
    at: FiniteFloat
    attempt: Attempt = 1
    code: Code | None = None
    reason: Annotated[str, Field(max_length=WORDS)] = ""

    def mark(self) -> SaidMark:
        """Return it as campaigns take it."""
        return SaidMark(
            self.meter, BY_WORD[self.state], self.at, self.attempt, self.code, self.reason
        )


class StepFailure(_Message):
    """A step that the DCU itself could not do."""

    step: StepKind
    attempt: Attempt
    code: Code


class CampaignReport(_Message):
    """How far a DCU's meters are in one campaign."""

    campaign: Annotated[str, Field(min_length=1, max_length=64)]
    number: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    counts: Annotated[dict[StateName, Count], Field(max_length=len(STATES))] = {}
    codes: Annotated[dict[Code, Count], Field(max_length=MAX_CODES)] = {}
    failed: StepFailure | None = None
    marks: Annotated[tuple[MarkSaid, ...], Field(max_length=MARKS)] = ()

    def said(self) -> Said:
        """Return it as campaigns take it."""
        failed = self.failed
        return Said(
            self.campaign,
            self.number,
            {BY_WORD[name]: count for name, count in self.counts.items()},
            self.codes,
            None if failed is None else StepFailed(failed.step, failed.attempt, failed.code),
            tuple(mark.mark() for mark in self.marks),
        )


class UpgradeReport(_Message):
    """What a DCU says of its meters' upgrades."""

    epoch: Annotated[int, Field(ge=0, le=MAX_NUMBER)] = 0
    reports: Annotated[tuple[CampaignReport, ...], Field(max_length=REPORTS)] = ()

    def asked(self, dcu: str) -> Asked:
        """Return it as campaigns take it."""
        return Asked(dcu, tuple(report.said() for report in self.reports))


def upgrade_answer(told: Told) -> dict[str, Any]:
    """Return all that holds for a DCU."""
    return {
        "epoch": told.epoch,
        "revision": told.revision,
        "taken": dict(told.taken),
        "orders": [_order(order) for order in told.orders],
    }


def _order(order: ToldOrder) -> dict[str, Any]:
    download = order.steps.get(StepKind.DOWNLOAD)
    activate = order.steps.get(StepKind.ACTIVATE)
    return {
        "campaign": order.campaign,
        "epoch": order.epoch,
        "release": order.release,
        "meters": list(order.meters),
        "directive": order.directive,
        "until": order.until,
        "download": None if download is None else {**_step(download), "rate": download.rate},
        "activate": None if activate is None else _step(activate),
    }


def _step(step: ToldStep) -> dict[str, Any]:
    return {
        "attempt": step.attempt,
        "begin": step.begin,
        "end": step.end,
        "until": step.until,
    }
