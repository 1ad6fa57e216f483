"""What DCUs and head-end say of demand response in JSON, bounded and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from openami.fleet.demand.codec import told_event, told_notice
from openami.fleet.demand.model import MAX_ID
from openami.fleet.demand.standing import MAX_CODE, What
from openami.headend.demand.uplink import Asked, Said

if TYPE_CHECKING:
    from openami.headend.demand.uplink import Told, ToldMeter

REPORTS: Final = 1000
"""Of a request: 200 meters with five news each; what is more comes with the next."""
MAX_NUMBER: Final = 2**62
WORDS: Final = 500


class _Message(BaseModel):
    """Names that we do not know are passed over: a newer DCU may say more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ReportSaid(_Message):
    """One thing that a DCU reports of a meter, by an event or an order to its supply."""

    number: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    meter: Annotated[str, Field(min_length=1, max_length=32)]
    event: Annotated[str, Field(min_length=1, max_length=MAX_ID)] | None = None
    what: What
    at: AwareDatetime
    code: Annotated[str, Field(min_length=1, max_length=MAX_CODE)] | None = None
    reason: Annotated[str, Field(max_length=WORDS)] | None = None

    def said(self) -> Said:
        """Return it as the service takes it."""
        return Said(
            self.number, self.meter, self.event, self.what, self.at.timestamp(), self.code,
            self.reason or "",
        )  # fmt: skip


class DemandReport(_Message):
    """What a DCU knows, and what it reports; it asks what holds."""

    revision: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = None
    reports: Annotated[tuple[ReportSaid, ...], Field(max_length=REPORTS)] = ()

    def asked(self, dcu: str) -> Asked:
        """Return it as the service takes it."""
        return Asked(dcu, tuple(report.said() for report in self.reports))


def demand_answer(told: Told) -> dict[str, Any]:
    """Return all that holds for a DCU; meters of which there is nothing to say are left out."""
    return {
        "revision": told.revision,
        "taken": told.taken,
        "meters": {meter.serial: _meter(meter) for meter in told.meters},
    }


def _meter(meter: ToldMeter) -> dict[str, Any]:
    return {
        "events": [
            told_event(one.event, one.program, opted_out=one.opted_out) for one in meter.events
        ],
        "notices": [told_notice(notice) for notice in meter.notices],
        "comparison": meter.comparison,
        "supply": meter.supply,
        "forget": meter.forget,
    }
