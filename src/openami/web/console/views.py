"""What the pages show, gathered from the services. All of it blocks: pages call it in threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.core.obis import Obis
from openami.core.units import Quantity, Unit, symbol
from openami.dlms.obis_names import describe
from openami.fleet.devices import Contact, Device, DeviceKind, Health
from openami.fleet.jobs import JobState
from openami.fleet.ports import DeviceFilter, ReadingFilter
from openami.headend.readings import Span
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from openami.fleet.events import MeterEvent
    from openami.fleet.jobs import Job, TargetResult
    from openami.fleet.ports import Page
    from openami.headend.services import Services

LOAD_PROFILE: Final = "1.0.99.1.0.255"
IMPORTED: Final = "1.0.1.29.0.255"
EXPORTED: Final = "1.0.2.29.0.255"
PAGE: Final = 50
HOUR: Final = 3600
LATEST_EVENTS: Final = 12

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
JOB_TEXTS: Final[Mapping[JobState, str]] = {
    JobState.QUEUED: "Waiting for the DCU to ask for work…",
    JobState.OFFERED: "The DCU has the request…",
    JobState.RUNNING: "Reading the meter…",
    JobState.DONE: "Read.",
    JobState.FAILED: "The reading failed",
    JobState.EXPIRED: "Nobody answered in time.",
}
# The DCU and the waiting are the first tenth of the bar, so that it moves from the start.
_STATE_PERCENT: Final = {JobState.QUEUED: 3, JobState.OFFERED: 8}


@dataclass(frozen=True, slots=True)
class StateCount:
    """One part of the bar of meters by state: ``start`` and ``share`` in percent of the bar."""

    key: str
    label: str
    tone: str
    count: int
    start: float
    share: float


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A meter or DCU in a table; ``energy`` in Wh, as stored."""

    serial: str
    state: str
    tone: str
    dcu: str | None
    model: str
    address: str
    last_read: float | None
    clock_offset: float | None
    energy: int | None


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value with its name."""

    obis: str
    name: str
    value: str
    unit: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of a meter."""

    at: float
    meter: str
    text: str
    log: str


def state_counts(counts: Mapping[Contact, int]) -> list[StateCount]:
    """Return the parts of the bar, in the order of CONTACTS."""
    total = sum(counts.values()) or 1
    parts, start = [], 0.0
    for contact, (label, tone) in CONTACTS.items():
        count = counts.get(contact, 0)
        share = 100 * count / total
        parts.append(StateCount(contact.value, label, tone, count, start, share))
        start += share
    return parts


def energies(services: Services, meters: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return by meter the stored imported energy in Wh and its number of intervals."""
    if not meters:
        return {}
    rows = services.readings.sums(meters).to_pylist()
    return {
        row["meter"]: (int(row["sum"]), row["count"])
        for row in rows
        if row["channel"] == IMPORTED and row["profile"] == LOAD_PROFILE
    }


def device_row(device: Device, energy: int | None) -> DeviceRow:
    """Return a meter as a row."""
    label, tone = CONTACTS[device.contact]
    return DeviceRow(
        serial=device.serial,
        state=label,
        tone=tone,
        dcu=device.dcu,
        model=device.model,
        address=device.address,
        last_read=device.last_read,
        clock_offset=device.clock_offset,
        energy=energy,
    )


def meter_rows(
    services: Services, which: DeviceFilter, after: str | None
) -> tuple[list[DeviceRow], str | None]:
    """Return a page of meters and the cursor of the next."""
    page = services.registry.devices(which, after=after, limit=PAGE)
    stored = energies(services, [device.serial for device in page.items])
    rows = [device_row(device, stored.get(device.serial, (None, 0))[0]) for device in page.items]
    return rows, page.next


def overview(services: Services) -> dict[str, Any]:
    """Return the figures, the parts of the bar and the DCUs."""
    found = services.statistics.overview()
    counts = services.statistics.contacts()
    newest = services.statistics.newest()
    figures = {
        "meters": found.meters.total,
        "dcus": found.dcus.total,
        "read_hour": found.hour.share if found.hour.stored or found.meters.total else None,
        "read_hour_count": found.hour.stored,
        "expected_hour": found.hour.expected,
        "read_day": found.day.share,
        "missing_day": max(0, found.day.expected - found.day.stored),
        "readings": found.store.readings,
        "newest": newest,
        "states": state_counts(counts),
    }
    page = services.registry.devices(DeviceFilter(kind=DeviceKind.DCU), after=None, limit=PAGE)
    return {"figures": figures, "dcus": [dcu_facts(services, device) for device in page.items]}


def dcu_facts(services: Services, device: Device) -> dict[str, Any]:
    """Return what there is to say of a DCU."""
    found = services.statistics.dcu(device)
    label, tone = HEALTHS[services.statistics.health(device)]
    figures = found.figures
    line = []
    if figures is not None and figures.frames:
        line.append(("Frames on its line", f"{figures.frames:,}".replace(",", "\u202f")))
        line.append(("Frames in error", f"{100 * figures.errors / figures.frames:.2f}\u202f%"))
    return {
        "id": device.serial,
        "state": label,
        "tone": tone,
        "meters": found.meters,
        "reachable": found.by_contact.get(Contact.OK.value, 0)
        + found.by_contact.get(Contact.READING.value, 0),
        "last_report": device.last_seen,
        "version": device.firmware,
        "uptime": figures.uptime_s if figures else None,
        "spool_batches": figures.spool_batches if figures else None,
        "spool_octets": figures.spool_octets if figures else None,
        "line": line,
    }


def meter_facts(services: Services, serial: str) -> dict[str, Any]:
    """Return what there is to say of a meter."""
    device = services.registry.meter(serial)
    label, tone = CONTACTS[device.contact]
    energy, intervals = energies(services, [serial]).get(serial, (None, 0))
    last_time, last_value, period = last_interval(services, serial)
    facts = [
        ("Serial number", device.serial),
        ("System title", str(device.system_title) if device.system_title else "–"),
        ("Logical device name", device.logical_device_name or "–"),
        ("Model", device.model or "–"),
        ("Firmware", device.firmware or "–"),
        ("Address on the line", device.address or "–"),
        ("In the registry as", device.state.value),
        ("Clock", f"{device.clock_offset:+.1f}\u202fs" if device.clock_offset is not None else "–"),
    ]
    if device.fault is not None:
        facts.append(("Last fault", f"{device.fault.message} [{device.fault.code}]"))
    return {
        "serial": device.serial,
        "dcu": device.dcu,
        "state": label,
        "tone": tone,
        "last_read": device.last_read,
        "energy": energy,
        "intervals": intervals,
        "last_time": last_time,
        "last_value": last_value,
        "period": period,
        "mean_power": None if last_value is None or not period else last_value * 3600 / period,
        "facts": facts,
    }


def last_interval(services: Services, serial: str) -> tuple[int | None, int | None, int | None]:
    """Return end, energy and length in seconds of a meter's newest interval."""
    newest = [
        row for row in seconds(services.readings.latest(serial)) if row["channel"] == IMPORTED
    ]
    if not newest:
        return None, None, None
    return newest[0]["time"], newest[0]["value"], services.readings.period


def seconds(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table as rows with times as seconds UTC."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        row["time"] = int(row["time"].timestamp())
    return rows


def registers(services: Services, serial: str) -> list[ValueRow]:
    """Return a meter's newest stored registers, those of intervals left out."""
    return [
        value_row(row["channel"], row["value"], row["scaler"], row["unit"], row["time"])
        for row in seconds(services.readings.latest(serial))
        if row["profile"] != LOAD_PROFILE
    ]


def value_row(
    obis: str, value: object, scaler: int | None, unit: int | None, at: float | None = None
) -> ValueRow:
    """Return a value as a row: exact where it has a scaler."""
    name = describe(Obis.parse(obis))
    if isinstance(value, int) and not isinstance(value, bool) and scaler is not None:
        quantity = Quantity(value, scaler, Unit.COUNT if unit is None else unit)
        shown = f"{quantity.decimal():,f}".replace(",", "\u202f")
        return ValueRow(obis, name, shown, symbol(quantity.unit), at)
    return ValueRow(obis, name, str(value), "" if unit is None else symbol(unit), at)


def job_view(job: Job) -> dict[str, Any]:
    """Return how an on-demand read stands."""
    failed = job.state in {JobState.FAILED, JobState.EXPIRED}
    text = JOB_TEXTS[job.state]
    if job.state is JobState.FAILED:
        text = f"{text}: {job.error_message or job.error_code}."
    percent = _STATE_PERCENT.get(job.state, 10 + round(90 * job.progress))
    return {
        "id": job.id,
        "active": not job.final,
        "failed": failed,
        "text": text,
        "percent": percent,
        "results": [_result(result) for result in job.results],
    }


def _result(result: TargetResult) -> ValueRow:
    obis = str(result.target.obis)
    if result.error is not None:
        return ValueRow(obis, describe(result.target.obis), f"[{result.error}]", "")
    return value_row(obis, result.value, result.scaler, result.unit)


def event_rows(page: Page[MeterEvent]) -> list[EventRow]:
    """Return events as rows."""
    return [_event(event) for event in page.items]


def _event(event: MeterEvent) -> EventRow:
    log = describe(Obis.parse(event.log)).removeprefix("event log: ")
    text = describe_event(event.code)
    if event.detail:
        text = f"{text} ({event.detail})"
    return EventRow(event.time, event.meter, text, log)


def describe_event(code: int) -> str:
    """Return the meaning of an event's code in words; the code itself if it is not known."""
    try:
        return Event(code).name.replace("_", " ").capitalize()
    except ValueError:
        return f"Event {code}"


def profile_columns(
    rows: Iterable[Mapping[str, Any]], channels: Sequence[str], period: int, scale: float = 1.0
) -> dict[str, Any]:
    """Return rows of time, channel and value as columns for a chart, with None where one lacks."""
    by_channel: dict[str, dict[int, float]] = {channel: {} for channel in channels}
    for row in rows:
        if row["channel"] in by_channel:
            by_channel[row["channel"]][row["time"]] = row["value"] * scale
    times = sorted(set().union(*by_channel.values()))
    if times:
        # Every interval between the first and the last has a place: a gap is drawn as one.
        times = sorted({*times, *range(times[0], times[-1] + 1, period)})
    return {
        "time": times,
        "series": [[values.get(time) for time in times] for values in by_channel.values()],
        "interval": period,
    }


def load_profile(services: Services, serial: str, *, start: int, end: int) -> dict[str, Any]:
    """Return a meter's imported and exported energy, in Wh for each interval."""
    channels = (IMPORTED, EXPORTED)
    which = ReadingFilter(serial, channels=channels, profile=LOAD_PROFILE, start=start, end=end)
    rows, after = [], None
    while True:
        table, after = services.readings.page(which, after=after)
        rows += seconds(table)
        if after is None:
            return profile_columns(rows, channels, services.readings.period)


def fleet_profile(services: Services, *, start: int, end: int) -> dict[str, Any]:
    """Return the imported energy of all meters, in kWh for each hour, named by the hour's end."""
    rows = [
        {"channel": IMPORTED, "time": row["time"], "value": int(row["sum"] or 0)}
        for row in seconds(services.readings.hourly(IMPORTED, Span(start, end)))
    ]
    return profile_columns(rows, (IMPORTED,), HOUR, scale=0.001)
