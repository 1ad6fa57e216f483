"""Devices: what is known of each, its lifecycle, and how well it is in contact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError
from openami.core.identifiers import SystemTitle, check_serial

if TYPE_CHECKING:
    from collections.abc import Mapping


class DeviceKind(StrEnum):
    """What a device is."""

    HEADEND = "headend"
    DCU = "dcu"
    METER = "meter"
    IHD = "ihd"


class LifecycleState(StrEnum):
    """Where a device stands between the factory and the scrapyard."""

    MANUFACTURED = "manufactured"
    REGISTERED = "registered"
    COMMISSIONED = "commissioned"
    IN_SERVICE = "in service"
    SUSPENDED = "suspended"
    RETIRED = "retired"


_S = LifecycleState

# A device may be taken out of use from anywhere, and comes back only from suspension; a retired
# one never comes back, since its keys and certificates are gone. A device that a DCU finds on its
# line without being expected starts as registered.
TRANSITIONS: Final[Mapping[LifecycleState, frozenset[LifecycleState]]] = {
    _S.MANUFACTURED: frozenset({_S.REGISTERED, _S.RETIRED}),
    _S.REGISTERED: frozenset({_S.COMMISSIONED, _S.SUSPENDED, _S.RETIRED}),
    _S.COMMISSIONED: frozenset({_S.IN_SERVICE, _S.SUSPENDED, _S.RETIRED}),
    _S.IN_SERVICE: frozenset({_S.SUSPENDED, _S.RETIRED}),
    _S.SUSPENDED: frozenset({_S.REGISTERED, _S.COMMISSIONED, _S.IN_SERVICE, _S.RETIRED}),
    _S.RETIRED: frozenset(),
}


ITSELF: Final = ""
"""In the place of a DCU: the head-end itself, which reads meters that have their own way to it."""


class Contact(StrEnum):
    """What the DCU last said of a meter; ``unknown`` before it has said anything."""

    UNKNOWN = "unknown"
    DISCOVERED = "discovered"
    READING = "reading"
    OK = "ok"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


class MeterProtocol(StrEnum):
    """What is spoken to a meter to read it."""

    DLMS = "DLMS"
    C1222 = "C12.22"


class Health(StrEnum):
    """How well a device is in contact, by what it has delivered."""

    OK = "ok"
    LATE = "late"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Location:
    """Where a device is, in degrees (WGS 84)."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ValueError("a location is -90 to 90 degrees north, -180 to 180 degrees east")


@dataclass(frozen=True, slots=True)
class Fault:
    """What last went wrong with a device: a stable code and words for a person."""

    code: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One device of the registry.

    Times are seconds since 1970-01-01T00:00:00Z; ``clock_offset`` is seconds that the device's
    clock is ahead of ours. ``dcu`` is the serial number of the DCU that looks after a meter, and
    ``address`` how it is reached there. A meter that speaks C12.22 and has no DCU is read by the
    head-end itself; of other devices than meters ``protocol`` says nothing.
    """

    kind: DeviceKind
    serial: str
    state: LifecycleState = LifecycleState.REGISTERED
    system_title: SystemTitle | None = None
    logical_device_name: str = ""
    model: str = ""
    firmware: str = ""
    dcu: str | None = None
    address: str = ""
    contact: Contact = Contact.UNKNOWN
    first_seen: float | None = None
    last_seen: float | None = None
    last_read: float | None = None
    clock_offset: float | None = None
    fault: Fault | None = None
    location: Location | None = None
    label: str = ""
    region: str = ""
    protocol: MeterProtocol = MeterProtocol.DLMS

    def __post_init__(self) -> None:
        check_serial(self.serial)

    @property
    def id(self) -> str:
        """The device's name in the whole system, fit for a URL, such as ``meter-A1``."""
        return device_id(self.kind, self.serial)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one report said of a device; ``None`` and empty texts say nothing."""

    kind: DeviceKind
    serial: str
    system_title: SystemTitle | None = None
    logical_device_name: str = ""
    model: str = ""
    firmware: str = ""
    dcu: str | None = None
    address: str = ""
    contact: Contact = Contact.UNKNOWN
    last_read: float | None = None
    clock_offset: float | None = None
    fault: Fault | None = None
    protocol: MeterProtocol | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, when and why; ``id`` is given by the log.

    Args:
        number: the place in the chain (``openami.fleet.audit``); None: it has none yet.
        hash: at that place.
    """

    who: str
    when: float
    what: str
    subject: str
    why: str = ""
    id: int = 0
    number: int | None = None
    hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReadSchedule:
    """How often readings are expected, and how much patience there is.

    A device is late when nothing came for ``late_periods`` periods, and unreachable after
    ``lost_periods``: one missed round of reading is ordinary on a power line.
    """

    period: float = 900.0
    late_periods: float = 3.0
    lost_periods: float = 24.0

    def late_before(self, now: float) -> float:
        """Return the time before which a last reading is late."""
        return now - self.period * self.late_periods

    def lost_before(self, now: float) -> float:
        """Return the time before which a last reading means that the device is out of reach."""
        return now - self.period * self.lost_periods


def device_id(kind: DeviceKind, serial: str) -> str:
    """Return the name of a device in the whole system."""
    return f"{kind}-{serial}"


def sight(device: Device | None, sighting: Sighting, *, now: float) -> Device:
    """Return ``device`` with what a report at ``now`` said of it; None: a device new to us.

    A report never moves the lifecycle, never takes away what was known, and a ``last_read`` never
    goes back. The fault is the report's own: none means that all is well.
    """
    known = device or Device(sighting.kind, sighting.serial, first_seen=now)
    contact = sighting.contact if sighting.contact is not Contact.UNKNOWN else known.contact
    offset = sighting.clock_offset
    return replace(
        known,
        system_title=sighting.system_title or known.system_title,
        logical_device_name=sighting.logical_device_name or known.logical_device_name,
        model=sighting.model or known.model,
        firmware=sighting.firmware or known.firmware,
        dcu=sighting.dcu or known.dcu,
        address=sighting.address or known.address,
        contact=contact,
        first_seen=now if known.first_seen is None else known.first_seen,
        last_seen=now,
        last_read=latest(known.last_read, sighting.last_read),
        clock_offset=known.clock_offset if offset is None else offset,
        fault=sighting.fault,
        protocol=sighting.protocol or known.protocol,
    )


def latest(one: float | None, other: float | None) -> float | None:
    """Return the later of two times, either of which may be unknown."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def move(
    device: Device, to: LifecycleState, *, who: str, when: float, why: str
) -> tuple[Device, AuditEntry]:
    """Return ``device`` in state ``to``, and the entry for the audit log.

    Raises:
        ConflictError: ``device.transition``, no way leads there from the present state.
    """
    if to not in TRANSITIONS[device.state]:
        raise ConflictError(
            f"{device.id} is {device.state} and cannot become {to}",
            code="device.transition",
            hint=f"it can become: {', '.join(sorted(TRANSITIONS[device.state])) or 'nothing'}",
        )
    entry = AuditEntry(who, when, f"device.state {device.state} to {to}", device.id, why)
    return replace(device, state=to), entry


def health(
    last_read: float | None, *, schedule: ReadSchedule, now: float, first_seen: float | None = None
) -> Health:
    """Return how well a device is in contact.

    A device that was never read is judged from when it was first seen; one never seen at all is
    unreachable.
    """
    since = last_read if last_read is not None else first_seen
    if since is None or since < schedule.lost_before(now):
        return Health.UNREACHABLE
    return Health.LATE if since < schedule.late_before(now) else Health.OK
