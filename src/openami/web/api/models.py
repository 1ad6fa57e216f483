"""What the REST API takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from openami.core.clock import utc
from openami.core.units import symbol
from openami.fleet.devices import (
    TRANSITIONS,
    AuditEntry,
    Contact,
    Device,
    DeviceKind,
    Health,
    LifecycleState,
    Location,
)
from openami.fleet.events import MeterEvent
from openami.fleet.jobs import MAX_ATTRIBUTES, Job, JobState, TargetResult
from openami.fleet.operators import Operator, Role, Session, SessionKind
from openami.fleet.ports import FleetCounts, StoreCounts
from openami.headend.statistics import DcuOverview, Overview, ReadRate

Cursor = Annotated[str | None, Field(description="`after` for the next page; null at the end.")]


class Model(BaseModel):
    """What the models have in common: a name that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorDetail(Model):
    """What went wrong."""

    code: str = Field(description="Stable between releases.", examples=["store.not-found"])
    message: str = Field(examples=["no device meter-A1"])
    hint: str | None = Field(None, description="What to do about it.")


class ErrorBody(Model):
    """The body of every answer that is an error."""

    error: ErrorDetail


class FaultModel(Model):
    """What last went wrong with a device."""

    code: str
    message: str


class LocationModel(Model):
    """Where a device is, in degrees (WGS 84)."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]

    def location(self) -> Location:
        """Return it as the registry takes it."""
        return Location(self.latitude, self.longitude)


class DeviceModel(Model):
    """A device of the registry."""

    id: str = Field(examples=["meter-A1000001"])
    kind: DeviceKind
    serial: str = Field(examples=["A1000001"])
    state: LifecycleState
    next_states: list[LifecycleState] = Field(description="What it can become from here.")
    contact: Contact = Field(description="What its DCU last said of it.")
    health: Health = Field(description="By when it was last read, or last reported.")
    system_title: str | None
    logical_device_name: str
    model: str
    firmware: str
    dcu: str | None = Field(description="Id of the DCU that looks after it.")
    address: str
    first_seen: datetime | None
    last_seen: datetime | None
    last_read: datetime | None
    clock_offset_s: float | None = Field(description="Seconds that its clock is ahead.")
    fault: FaultModel | None
    location: LocationModel | None
    label: str
    region: str

    @classmethod
    def of(cls, device: Device, health: Health) -> Self:
        """Return the model of a device."""
        place, fault = device.location, device.fault
        return cls(
            id=device.id,
            kind=device.kind,
            serial=device.serial,
            state=device.state,
            next_states=sorted(TRANSITIONS[device.state]),
            contact=device.contact,
            health=health,
            system_title=str(device.system_title) if device.system_title else None,
            logical_device_name=device.logical_device_name,
            model=device.model,
            firmware=device.firmware,
            dcu=device.dcu,
            address=device.address,
            first_seen=moment(device.first_seen),
            last_seen=moment(device.last_seen),
            last_read=moment(device.last_read),
            clock_offset_s=device.clock_offset,
            fault=FaultModel(code=fault.code, message=fault.message) if fault else None,
            location=LocationModel(latitude=place.latitude, longitude=place.longitude)
            if place
            else None,
            label=device.label,
            region=device.region,
        )


class DevicePage(Model):
    """Some devices, by kind and serial number."""

    items: list[DeviceModel]
    next: Cursor


class StateChange(Model):
    """A step in a device's lifecycle."""

    to: LifecycleState
    why: Annotated[str, Field(min_length=1, max_length=500)]


class DcuChange(Model):
    """Another DCU for a meter."""

    dcu: Annotated[str, Field(min_length=1, max_length=32)]
    why: Annotated[str, Field(min_length=1, max_length=500)]


class DescriptionChange(Model):
    """What people say of a device; what is left out stays."""

    label: Annotated[str, Field(max_length=200)] | None = None
    region: Annotated[str, Field(max_length=100)] | None = None
    location: LocationModel | None = None


class AuditModel(Model):
    """Who did what to what, when and why."""

    id: int
    who: str
    when: datetime
    what: str
    subject: str
    why: str

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """Return the model of an entry."""
        return cls(
            id=entry.id,
            who=entry.who,
            when=utc(entry.when),
            what=entry.what,
            subject=entry.subject,
            why=entry.why,
        )


class AuditPage(Model):
    """Some entries of the audit log, newest first."""

    items: list[AuditModel]
    next: Cursor


class CountsModel(Model):
    """How many devices there are of one kind."""

    total: int
    by_state: dict[str, int]
    by_health: dict[str, int]
    by_contact: dict[str, int]

    @classmethod
    def of(cls, counts: FleetCounts) -> Self:
        """Return the model of counts."""
        return cls(
            total=counts.total,
            by_state=dict(counts.by_state),
            by_health=dict(counts.by_health),
            by_contact=dict(counts.by_contact),
        )


class RateModel(Model):
    """How many intervals of a stretch of time are stored, of how many that should be."""

    stored: int
    expected: int
    share: float = Field(description="0 to 1.")

    @classmethod
    def of(cls, rate: ReadRate) -> Self:
        """Return the model of a rate."""
        return cls(stored=rate.stored, expected=rate.expected, share=rate.share)


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


class OverviewModel(Model):
    """The state of the whole fleet."""

    time: datetime
    meters: CountsModel
    dcus: CountsModel
    read_rate_hour: RateModel = Field(description="The last whole hour.")
    read_rate_day: RateModel = Field(description="The 24 hours before that hour ended.")
    store: StoreModel
    events_day: int

    @classmethod
    def of(cls, overview: Overview) -> Self:
        """Return the model of an overview."""
        return cls(
            time=utc(overview.time),
            meters=CountsModel.of(overview.meters),
            dcus=CountsModel.of(overview.dcus),
            read_rate_hour=RateModel.of(overview.hour),
            read_rate_day=RateModel.of(overview.day),
            store=StoreModel.of(overview.store),
            events_day=overview.events_day,
        )


class DcuFiguresModel(Model):
    """What a DCU last said of itself."""

    received: datetime
    version: str
    uptime_s: float
    spool_batches: int
    spool_octets: int
    frames: int
    errors: int


class DcuModel(Model):
    """A DCU and what can be said of its meters."""

    device: DeviceModel
    meters: int
    meters_by_contact: dict[str, int]
    meters_by_health: dict[str, int]
    read_last_hour: int = Field(description="Meters read in the last hour.")
    read_last_day: int = Field(description="Meters read in the last day.")
    figures: DcuFiguresModel | None

    @classmethod
    def of(cls, overview: DcuOverview, health: Health) -> Self:
        """Return the model of one DCU's overview."""
        figures = overview.figures
        names = [name for name in DcuFiguresModel.model_fields if name != "received"]
        return cls(
            device=DeviceModel.of(overview.device, health),
            meters=overview.meters,
            meters_by_contact=overview.by_contact,
            meters_by_health=overview.by_health,
            read_last_hour=overview.read_hour,
            read_last_day=overview.read_day,
            figures=DcuFiguresModel(
                received=utc(figures.received),
                **{name: getattr(figures, name) for name in names},
            )
            if figures
            else None,
        )


class Enrollment(Model):
    """A DCU to be."""

    dcu: Annotated[str, Field(min_length=1, max_length=32, examples=["DCU-1"])]
    why: Annotated[str, Field(max_length=500)] = ""


class CredentialsModel(Model):
    """What a DCU needs to connect, in PEM. The key is shown once and kept nowhere."""

    certificate: str
    key: str
    authority: str


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


class TargetModel(Model):
    """One attribute of one COSEM object."""

    class_id: Annotated[int, Field(ge=0, le=0xFFFF, examples=[3])]
    obis: Annotated[str, Field(max_length=32, examples=["1.0.1.8.0.255"])]
    attribute: Annotated[int, Field(ge=1, le=127)] = 2


class ReadRequest(Model):
    """What is to be read from a meter, now."""

    attributes: Annotated[list[TargetModel], Field(min_length=1, max_length=MAX_ATTRIBUTES)]


class ResultModel(Model):
    """What reading one attribute gave: a value, or an error's code."""

    class_id: int
    obis: str
    attribute: int
    value: Any = None
    scaler: int | None
    unit: int | None
    symbol: str | None
    error: str | None

    @classmethod
    def of(cls, result: TargetResult) -> Self:
        """Return the model of a result."""
        target = result.target
        return cls(
            class_id=target.class_id,
            obis=str(target.obis),
            attribute=target.attribute,
            value=result.value,
            scaler=result.scaler,
            unit=result.unit,
            symbol=None if result.unit is None else symbol(result.unit),
            error=result.error,
        )


class JobModel(Model):
    """An on-demand read."""

    id: str
    meter: str
    dcu: str
    who: str
    state: JobState
    progress: float = Field(description="0 to 1.")
    created: datetime
    updated: datetime
    expires: datetime
    attributes: list[TargetModel]
    results: list[ResultModel]
    error: ErrorDetail | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the model of a job."""
        return cls(
            id=job.id,
            meter=job.meter,
            dcu=job.dcu,
            who=job.who,
            state=job.state,
            progress=job.progress,
            created=utc(job.created),
            updated=utc(job.updated),
            expires=utc(job.expires),
            attributes=[
                TargetModel(class_id=t.class_id, obis=str(t.obis), attribute=t.attribute)
                for t in job.targets
            ],
            results=[ResultModel.of(result) for result in job.results],
            error=ErrorDetail(code=job.error_code, message=job.error_message, hint=None)
            if job.error_code
            else None,
        )


class JobPage(Model):
    """Some on-demand reads, newest first."""

    items: list[JobModel]
    next: Cursor


class Login(Model):
    """A name and its password."""

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024, repr=False)]


class SessionModel(Model):
    """A session or an API token."""

    id: int
    kind: SessionKind
    label: str
    created: datetime
    expires: datetime

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return the model of a session."""
        return cls(
            id=session.id,
            kind=session.kind,
            label=session.label,
            created=utc(session.created),
            expires=utc(session.expires),
        )


class CallerModel(Model):
    """Who is logged in. The CSRF token goes into `X-CSRF-Token` of what changes something."""

    name: str
    role: Role
    expires: datetime
    csrf_token: str | None = Field(description="Null for a token in the Authorization header.")


class TokenRequest(Model):
    """An API token to be."""

    label: Annotated[str, Field(min_length=1, max_length=100, examples=["billing export"])]
    days: Annotated[float, Field(gt=0)] = 90.0


class TokenModel(Model):
    """A new API token, which is shown once."""

    token: Annotated[str, Field(repr=False)]
    session: SessionModel


class OperatorModel(Model):
    """An account."""

    name: str
    role: Role
    created: datetime
    last_login: datetime | None
    disabled: bool

    @classmethod
    def of(cls, operator: Operator) -> Self:
        """Return the model of an account."""
        return cls(
            name=operator.name,
            role=operator.role,
            created=utc(operator.created),
            last_login=moment(operator.last_login),
            disabled=operator.disabled,
        )


class OperatorPage(Model):
    """Some accounts."""

    items: list[OperatorModel]
    next: Cursor


class NewOperator(Model):
    """An account to be."""

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024, repr=False)]
    role: Role = Role.VIEWER


class OperatorChange(Model):
    """What is to be different about an account."""

    role: Role | None = None
    disabled: bool | None = None


class PasswordChange(Model):
    """A new password of one's own."""

    old: Annotated[str, Field(max_length=1024, repr=False)]
    new: Annotated[str, Field(max_length=1024, repr=False)]


class ShipmentResult(Model):
    """What became of a shipment's meters."""

    added: int = Field(description="New to the registry.")
    known: int = Field(description="Known already; their keys were checked to be the same.")


class CheckModel(Model):
    """One thing that was looked at."""

    ok: bool
    detail: str


class HealthModel(Model):
    """Whether the head-end can do its work; the checks only for who is logged in."""

    status: str = Field(examples=["ok"])
    checks: dict[str, CheckModel] | None = None


def moment(seconds: float | None) -> datetime | None:
    """Return a time that may be unknown."""
    return None if seconds is None else utc(seconds)
