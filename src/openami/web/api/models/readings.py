"""What the REST API gives of what was measured."""

from datetime import datetime
from typing import Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.events import MeterEvent
from openami.fleet.ports import StoreCounts
from openami.web.api.models.common import Cursor, Model, moment


class StoreModel(Model):
    """The figures of the store of readings."""

    readings: int = Field(description="Latest versions.")
    versions: int = Field(description="All versions.")
    meters: int
    batches: int
    octets: int = Field(description="What the files take.")
    newest: datetime | None = Field(description="The last time of any reading.")
    duplicates: int | None = Field(
        description="Rows that repeat key and value of another; null where it was not looked for."
    )

    @classmethod
    def of(cls, counts: StoreCounts, duplicates: int | None = None) -> Self:
        """Return the model of a store's figures."""
        return cls(
            readings=counts.readings,
            versions=counts.versions,
            meters=counts.meters,
            batches=counts.batches,
            octets=counts.octets,
            newest=moment(counts.newest),
            duplicates=duplicates,
        )


class ReadingModel(Model):
    """One reading: `value` times ten to the power of `scaler`, in `unit`."""

    meter: str
    channel: str = Field(examples=["1.0.1.29.0.255"])
    profile: str = Field(examples=["1.0.99.1.0.255"])
    time: datetime = Field(description="The interval's END.")
    value: int
    scaler: int
    unit: int
    symbol: str = Field(examples=["Wh"])
    status: int
    version: int = Field(description="Higher is newer.")


class ReadingPage(Model):
    """Some readings of a meter, by time and channel."""

    items: list[ReadingModel]
    next: Cursor


class RegisterPage(Model):
    """The newest reading of each of a meter's channels."""

    items: list[ReadingModel]


class SumModel(Model):
    """What a meter's stored readings of one channel add up to."""

    meter: str
    profile: str
    channel: str
    scaler: int
    unit: int
    symbol: str
    count: int
    sum: int = Field(description="Times ten to the power of `scaler`, in `unit`; exact.")
    first: datetime
    last: datetime


class SumPage(Model):
    """Sums by meter, profile and channel."""

    items: list[SumModel]


class GapModel(Model):
    """Intervals in a row that should be there and are not."""

    meter: str
    channel: str
    first: datetime
    last: datetime


class GapPage(Model):
    """The gaps in a time range."""

    items: list[GapModel]


class EventModel(Model):
    """One entry of one of a meter's event logs."""

    meter: str
    log: str = Field(examples=["0.0.99.98.0.255"])
    time: datetime
    code: int
    ordinal: int = Field(description="Counts events of the same log and second, from 0.")
    detail: str | None

    @classmethod
    def of(cls, event: MeterEvent) -> Self:
        """Return the model of an event."""
        return cls(
            meter=event.meter,
            log=event.log,
            time=utc(event.time),
            code=event.code,
            ordinal=event.ordinal,
            detail=event.detail,
        )


class EventPage(Model):
    """Some events, newest first."""

    items: list[EventModel]
    next: Cursor
