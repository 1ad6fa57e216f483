"""What the REST API takes and gives about the fleet and the head-end itself."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.demand.supply import MOST_S, OrderState, SupplyOrder, Wanted
from openami.fleet.devices import (
    TRANSITIONS,
    Contact,
    Device,
    DeviceKind,
    Health,
    LifecycleState,
    Location,
    MeterProtocol,
)
from openami.fleet.ports import FleetCounts
from openami.headend.c1222.directory import Seen
from openami.headend.demand.supply import PATIENCE_S
from openami.headend.statistics import DcuOverview, Overview, ReadRate
from openami.web.api.models.common import Cursor, Model, moment
from openami.web.api.models.readings import StoreModel


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
    protocol: MeterProtocol | None = Field(description="What is spoken to a meter.")
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
            protocol=device.protocol if device.kind is DeviceKind.METER else None,
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


class NodeModel(Model):
    """A meter as a node of C12.22; what is null is not known: it is not registered."""

    ap_title: str = Field(examples=[".123.8437"])
    address: str = Field(description="Where it is asked.", examples=["192.0.2.7:1153/tcp"])
    via: str | None = Field(description="ApTitle of the relay that it registered through.")
    registered_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(cls, seen: Seen) -> Self:
        """Return the model of a node."""
        standing = seen.standing
        return cls(
            ap_title=seen.title,
            address=seen.address,
            via=standing.via if standing else None,
            registered_at=moment(standing.registered_at) if standing else None,
            expires_at=moment(standing.expires_at) if standing else None,
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


class SupplyWish(Model):
    """Whether a meter's supply is to be connected."""

    connected: bool
    by_hand: Annotated[
        bool, Field(description="Connect only when somebody presses the meter's button.")
    ] = False
    within_s: Annotated[
        int, Field(ge=1, le=MOST_S, description="Until when a DCU may do it, by meters' clocks.")
    ] = int(PATIENCE_S)
    why: Annotated[str, Field(min_length=1, max_length=500)]

    def wanted(self) -> Wanted:
        """Return what the supply is to be."""
        if not self.connected:
            return Wanted.DISCONNECTED
        return Wanted.READY if self.by_hand else Wanted.CONNECTED


class SupplyOrderModel(Model):
    """An order to switch a supply, which a DCU carries out."""

    id: str
    meter: str
    wanted: Wanted
    state: OrderState
    found: str = Field(description="The state that was found after, or what was in the way.")
    reason: str
    who: str
    created: datetime
    until: datetime
    ended: datetime | None

    @classmethod
    def of(cls, order: SupplyOrder) -> Self:
        """Return the model of an order."""
        return cls(
            id=order.id, meter=order.meter, wanted=order.wanted, state=order.state,
            found=order.found, reason=order.reason, who=order.who, created=utc(order.created),
            until=utc(order.until), ended=moment(order.ended),
        )  # fmt: skip


class SupplyResult(Model):
    """What a meter has done with its supply."""

    connected: bool
    said: str = Field(description="What the meter says of it.", examples=["done"])
    order: SupplyOrderModel | None = Field(None, description="To follow, where a DCU does it.")


class DescriptionChange(Model):
    """What people say of a device; what is left out stays."""

    label: Annotated[str, Field(max_length=200)] | None = None
    region: Annotated[str, Field(max_length=100)] | None = None
    location: LocationModel | None = None


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
    spool_full: bool = Field(description="It reads no meter until there is room.")
    refused_batches: int = Field(description="What the head-end took for good as no batch.")
    frames: int
    errors: int
    line_up: bool | None = Field(description="Null if the DCU does not say.")
    line_conflicts: dict[str, str] = Field(
        description="By address: who answers there and should not."
    )


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
        counts, figures = overview.meters, overview.figures
        names = [name for name in DcuFiguresModel.model_fields if name != "received"]
        return cls(
            device=DeviceModel.of(overview.device, health),
            meters=counts.total,
            meters_by_contact=dict(counts.by_contact),
            meters_by_health=dict(counts.by_health),
            read_last_hour=counts.read_hour,
            read_last_day=counts.read_day,
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
