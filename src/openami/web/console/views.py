"""What the pages say of devices. All of it blocks: pages call it in threads."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.core.clock import isoformat
from openami.fleet.devices import Contact, Device, DeviceKind, Health, MeterProtocol
from openami.fleet.ports import DeviceFilter
from openami.web.console.filters import NOTHING, THIN, counted, duration, octets, offset, thousands
from openami.web.console.values import IMPORTED, LOAD_PROFILE, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.headend.c1222.directory import Seen
    from openami.headend.reports import DcuFigures
    from openami.headend.services import Services
    from openami.headend.statistics import DcuOverview

S = TypeVar("S", bound=Enum)

PAGE: Final = 50
FIRST_CONFLICTS: Final = 5  # of a line: more have one cause
DCUS: Final = DeviceFilter(kind=DeviceKind.DCU)
FIRST_DCUS: Final = 10  # of the overview: the rest has a page of its own

# label and tone of what the DCU last said of a meter
CONTACTS: Final[Mapping[Contact, tuple[str, str]]] = {
    Contact.OK: ("read", "good"),
    Contact.READING: ("being read", "good"),
    Contact.DISCOVERED: ("found", "warn"),
    Contact.UNREACHABLE: ("unreachable", "bad"),
    Contact.REFUSED: ("refused", "bad"),
    Contact.UNKNOWN: ("not found yet", "idle"),
}
HEALTHS: Final[Mapping[Health, tuple[str, str]]] = {
    Health.OK: ("in contact", "good"),
    Health.LATE: ("late", "warn"),
    Health.UNREACHABLE: ("out of reach", "bad"),
}


@dataclass(frozen=True, slots=True)
class StateCount:
    """One part of a bar of devices by state: ``start`` and ``share`` in percent of the bar."""

    key: str
    label: str
    tone: str
    count: int
    start: float
    share: float


@dataclass(frozen=True, slots=True)
class Energy:
    """The imported energy that is stored of a meter, exact."""

    watt_hours: Decimal
    intervals: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A meter's newest interval; ``end`` in seconds UTC, ``length`` in seconds."""

    end: int
    watt_hours: Decimal
    length: int

    @property
    def watts(self) -> float:
        """The mean power."""
        return float(self.watt_hours) * 3600 / self.length


@dataclass(frozen=True, slots=True)
class MeterRow:
    """A meter in a table."""

    serial: str
    label: str
    state: str
    tone: str
    dcu: str | None
    protocol: str
    model: str
    address: str
    last_read: float | None
    clock_offset: float | None
    energy: Decimal | None


@dataclass(frozen=True, slots=True)
class DcuRow:
    """A DCU in a table."""

    id: str
    state: str
    tone: str
    meters: int
    reachable: int
    last_report: float | None
    spool_batches: int | None


def state_counts(
    states: Mapping[S, tuple[str, str]], counts: Mapping[S, int]
) -> tuple[StateCount, ...]:
    """Return the parts of a bar, in the order of the states, whose label and tone are given."""
    total = sum(counts.values()) or 1
    parts, start = [], 0.0
    for state, (label, tone) in states.items():
        count = counts.get(state, 0)
        share = 100 * count / total
        parts.append(StateCount(state.value, label, tone, count, start, share))
        start += share
    return tuple(parts)


def energies(services: Services, meters: Sequence[str]) -> dict[str, Energy]:
    """Return by meter the imported energy that is stored."""
    found: dict[str, Energy] = {}
    if not meters:
        return found
    for row in services.readings.sums(meters).to_pylist():
        if row["channel"] == IMPORTED and row["profile"] == LOAD_PROFILE:
            # A meter whose scaler was changed has one row for each.
            before = found.get(row["meter"], Energy(Decimal(0), 0))
            added = Decimal(row["sum"]).scaleb(row["scaler"])
            found[row["meter"]] = Energy(before.watt_hours + added, before.intervals + row["count"])
    return found


def last_interval(services: Services, serial: str) -> Interval | None:
    """Return a meter's newest interval."""
    found = [
        Interval(row["time"], Decimal(row["value"]).scaleb(row["scaler"]), services.readings.period)
        for row in seconds(services.readings.latest(serial))
        if row["channel"] == IMPORTED and row["profile"] == LOAD_PROFILE
    ]
    return max(found, key=lambda interval: interval.end, default=None)


def meter_rows(
    services: Services, which: DeviceFilter, after: str | None
) -> tuple[list[MeterRow], str | None]:
    """Return a page of meters and the cursor of the next."""
    page = services.registry.devices(which, after=after, limit=PAGE)
    stored = energies(services, [device.serial for device in page.items])
    return [_meter_row(device, stored.get(device.serial)) for device in page.items], page.next


def _meter_row(device: Device, energy: Energy | None) -> MeterRow:
    label, tone = CONTACTS[device.contact]
    return MeterRow(
        serial=device.serial,
        label=device.label,
        state=label,
        tone=tone,
        dcu=device.dcu,
        protocol=device.protocol.value,
        model=device.model,
        address=device.address,
        last_read=device.last_read,
        clock_offset=device.clock_offset,
        energy=energy.watt_hours if energy else None,
    )


def overview(services: Services) -> dict[str, Any]:
    """Return the figures, the parts of the bar and the first DCUs."""
    found = services.statistics.overview()
    figures = {
        "meters": found.meters.total,
        "dcus": found.dcus.total,
        "hour": found.hour,
        "day": found.day,
        "missing_day": max(0, found.day.expected - found.day.stored),
        "readings": found.store.readings,
        "newest": found.store.newest,
        "states": state_counts(CONTACTS, services.statistics.contacts()),
    }
    dcus, following = dcu_rows(services, None, limit=FIRST_DCUS)
    return {"figures": figures, "dcus": dcus, "more_dcus": following is not None}


def dcu_rows(
    services: Services, after: str | None, which: DeviceFilter = DCUS, *, limit: int = PAGE
) -> tuple[list[DcuRow], str | None]:
    """Return a page of the DCUs that a filter finds, and the cursor of the next."""
    page = services.registry.devices(which, after=after, limit=limit)
    return [_dcu_row(services, device) for device in page.items], page.next


def _dcu_row(services: Services, device: Device) -> DcuRow:
    found = services.statistics.dcu(device)
    label, tone = HEALTHS[services.statistics.health(device)]
    reachable = (found.meters.by_contact[c.value] for c in (Contact.OK, Contact.READING))
    return DcuRow(
        id=device.serial,
        state=label,
        tone=tone,
        meters=found.meters.total,
        reachable=sum(reachable),
        last_report=device.last_seen,
        spool_batches=found.figures.spool_batches if found.figures else None,
    )


def dcu_facts(services: Services, name: str) -> dict[str, Any]:
    """Return what there is to say of a DCU; NotFoundError."""
    device = services.registry.dcu(name)
    label, tone = HEALTHS[services.statistics.health(device)]
    found = services.statistics.dcu(device)
    return {
        "id": device.serial,
        "state": label,
        "tone": tone,
        "last_report": device.last_seen,
        "faults": list(_dcu_faults(found.figures)) if found.figures else [],
        "facts": list(_dcu_words(found)),
    }


def _dcu_faults(said: DcuFigures) -> Iterator[tuple[str, str]]:
    """Return what somebody has to look after, with what it means."""
    if said.line_up is False:
        yield "Line down", "the DCU reaches no meter"
    if said.spool_full:
        yield "Spool full", "the DCU reads nothing until its uploads make room"
    if said.refused_batches:
        refused = counted(said.refused_batches, "batch", "es")
        yield "Refused", f"{refused} that this head-end did not take, kept at the DCU"
    conflicts = list(said.line_conflicts.items())
    for address, what in conflicts[:FIRST_CONFLICTS]:
        yield f"Conflict at address {address}", what
    if len(conflicts) > FIRST_CONFLICTS:
        yield "Conflicts", f"at {thousands(len(conflicts) - FIRST_CONFLICTS)} more addresses"


def _dcu_words(found: DcuOverview) -> Iterator[tuple[str, str]]:
    yield from _described(found.device)
    yield "Version", found.device.firmware or NOTHING
    yield "Meters", thousands(found.meters.total)
    said = found.figures
    if said is None:
        return
    yield "Up for", duration(said.uptime_s)
    yield "In spool", f"{counted(said.spool_batches, 'batch', 'es')}, {octets(said.spool_octets)}"
    if said.frames:
        yield "Frames on its line", thousands(said.frames)
        yield "Frames in error", f"{100 * said.errors / said.frames:.2f}{THIN}%"


def meter_facts(services: Services, serial: str) -> dict[str, Any]:
    """Return what there is to say of a meter; NotFoundError."""
    device = services.registry.meter(serial)
    label, tone = CONTACTS[device.contact]
    return {
        "serial": device.serial,
        "dcu": device.dcu,
        "state": label,
        "tone": tone,
        "fault": device.fault,
        "last_read": device.last_read,
        "energy": energies(services, [serial]).get(serial),
        "last": last_interval(services, serial),
        "facts": list(_meter_words(device, services)),
    }


def _meter_words(device: Device, services: Services) -> Iterator[tuple[str, str]]:
    yield "Serial number", device.serial
    yield from _described(device)
    yield "System title", str(device.system_title) if device.system_title else NOTHING
    yield "Logical device name", device.logical_device_name or NOTHING
    yield "Model", device.model or NOTHING
    yield "Firmware", device.firmware or NOTHING
    if device.protocol is MeterProtocol.C1222:
        yield from _node_words(services.nodes.seen(device.serial))
    else:
        yield "Address on the line", device.address or NOTHING
    yield "Clock", offset(device.clock_offset)


def _node_words(seen: Seen | None) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a meter as a node of C12.22."""
    yield "Protocol", MeterProtocol.C1222.value
    standing = None if seen is None else seen.standing
    yield "ApTitle", NOTHING if seen is None else seen.title
    yield "Address", NOTHING if seen is None else seen.address or NOTHING
    if standing is None:
        yield "Registered", "no"
        return
    yield "Registered", isoformat(standing.registered_at)
    yield "Registered until", isoformat(standing.expires_at)
    if standing.via is not None:
        yield "Through the relay", standing.via


def _described(device: Device) -> Iterator[tuple[str, str]]:
    if device.label:
        yield "Label", device.label
    if device.region:
        yield "Region", device.region
    yield "In the registry as", device.state.value
