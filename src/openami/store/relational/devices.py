"""The registry of devices."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import case, func, or_, select, tuple_

from openami.core.errors import ConflictError, NotFoundError
from openami.core.identifiers import SystemTitle
from openami.fleet.devices import (
    AuditEntry,
    Contact,
    Device,
    DeviceKind,
    Fault,
    Health,
    LifecycleState,
    Location,
    MeterProtocol,
    device_id,
    move,
    sight,
)
from openami.fleet.ports import FleetCounts, Page
from openami.store.relational.audit import audit_row
from openami.store.relational.models import DeviceRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from openami.fleet.devices import ReadSchedule, Sighting
    from openami.fleet.ports import DeviceFilter
    from openami.store.relational.engine import Transactions

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S


class DeviceRepository:
    """Implements ``DeviceStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def get(self, device_id: str) -> Device:
        with self._transactions.reading() as session:
            return read_device(_found(session, device_id))

    def by_system_title(self, title: SystemTitle) -> Device | None:
        query = select(DeviceRow).where(DeviceRow.system_title == str(title))
        with self._transactions.reading() as session:
            row = session.scalars(query).one_or_none()
            return None if row is None else read_device(row)

    def add(self, device: Device, *, who: str, when: float, why: str = "") -> Device:
        with self._transactions.writing() as session:
            if session.get(DeviceRow, device.id) is not None:
                raise ConflictError(f"{device.id} is registered already")
            if device.system_title and _owners(session, [device.system_title]):
                raise ConflictError(f"system title {device.system_title} is another device's")
            add_device(session, device, who=who, when=when, why=why)
        return device

    def sight(self, sightings: Sequence[Sighting], *, now: float) -> Sequence[Device]:
        ids = [device_id(sighting.kind, sighting.serial) for sighting in sightings]
        with self._transactions.writing() as session:
            query = (
                select(DeviceRow)
                .where(DeviceRow.id.in_(ids))
                .order_by(DeviceRow.id)
                .with_for_update()
            )
            rows = {row.id: row for row in session.scalars(query)}
            owners = _owners(session, [s.system_title for s in sightings if s.system_title])
            seen = []
            for key, sighting in zip(ids, sightings, strict=True):
                told = _without_taken_title(sighting, key, owners)
                seen.append(_record(session, rows, key, told, now=now))
            return tuple(seen)

    def describe(
        self,
        device_id: str,
        *,
        who: str,
        when: float,
        label: str | None = None,
        region: str | None = None,
        location: Location | None = None,
    ) -> Device:
        given = {"label": label, "region": region, "location": location}
        changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        with self._transactions.writing() as session:
            row = _locked(session, device_id)
            device = replace(read_device(row), **changes)
            _update(row, device)
            what = f"device.described: {', '.join(sorted(changes))}"
            session.add(audit_row(AuditEntry(who, when, what, device_id)))
        return device

    def move(
        self, device_id: str, to: LifecycleState, *, who: str, when: float, why: str
    ) -> Device:
        with self._transactions.writing() as session:
            return move_device(session, device_id, to, who=who, when=when, why=why)

    def advance(
        self,
        device_ids: Collection[str],
        onward: Mapping[LifecycleState, LifecycleState],
        *,
        who: str,
        when: float,
        why: str,
    ) -> Sequence[Device]:
        query = select(DeviceRow).where(DeviceRow.id.in_(device_ids)).order_by(DeviceRow.id)
        with self._transactions.writing() as session:
            moved = []
            for row in session.scalars(query.with_for_update()):
                device = read_device(row)
                while (to := onward.get(device.state)) is not None:
                    device, entry = move(device, to, who=who, when=when, why=why)
                    session.add(audit_row(entry))
                _update(row, device)
                moved.append(device)
            return tuple(moved)

    def list(
        self, which: DeviceFilter | None = None, *, after: str | None = None, limit: int = 100
    ) -> Page[Device]:
        limit = bounded(limit)
        query = select(DeviceRow).order_by(DeviceRow.kind, DeviceRow.serial).limit(limit + 1)
        if which is not None:
            query = query.where(*conditions(which))
        if after is not None:
            query = query.where(
                tuple_(DeviceRow.kind, DeviceRow.serial) > tuple_(*decode_cursor(after, str, str))
            )
        with self._transactions.reading() as session:
            rows = session.scalars(query).all()
            return page(rows, limit, read_device, lambda row: (row.kind, row.serial))

    def counts(
        self, kind: DeviceKind, *, schedule: ReadSchedule, now: float, dcu: str | None = None
    ) -> FleetCounts:
        by_state: Counter[str] = Counter()
        by_health = Counter(dict.fromkeys((health.value for health in Health), 0))
        by_contact = Counter(dict.fromkeys((contact.value for contact in Contact), 0))
        hours = days = 0
        with self._transactions.reading() as session:
            found = session.execute(_counting(kind, schedule, now, dcu))
            for state, how, contact, count, hour, day in found:
                by_state[state] += count
                by_health[how] += count
                by_contact[contact] += count
                hours += hour
                days += day
        return FleetCounts(by_state.total(), by_state, by_health, by_contact, hours, days)


def locked_device(session: Session, key: str) -> Device | None:
    """Return a device that nobody else changes until the transaction ends, if there is one."""
    row = session.get(DeviceRow, key, with_for_update=True)
    return None if row is None else read_device(row)


def add_device(session: Session, device: Device, *, who: str, when: float, why: str = "") -> None:
    """Add a device that is not there, and its audit entry, within a transaction."""
    session.add(_row(device))
    entry = AuditEntry(who, when, f"device.added as {device.state}", device.id, why)
    session.add(audit_row(entry))


def move_device(
    session: Session, key: str, to: LifecycleState, *, who: str, when: float, why: str
) -> Device:
    """Move a device in its lifecycle, with the audit entry, within a transaction."""
    row = _locked(session, key)
    device, entry = move(read_device(row), to, who=who, when=when, why=why)
    _update(row, device)
    session.add(audit_row(entry))
    return device


def _counting(
    kind: DeviceKind, schedule: ReadSchedule, now: float, dcu: str | None
) -> Select[str, str, str, int, int, int]:
    since = func.coalesce(DeviceRow.last_read, DeviceRow.first_seen)
    health = case(
        (since >= schedule.late_before(now), Health.OK.value),
        (since >= schedule.lost_before(now), Health.LATE.value),
        else_=Health.UNREACHABLE.value,
    )
    hour = func.sum(case((DeviceRow.last_read >= now - HOUR_S, 1), else_=0))
    day = func.sum(case((DeviceRow.last_read >= now - DAY_S, 1), else_=0))
    query = select(DeviceRow.state, health, DeviceRow.contact, func.count(), hour, day).where(
        DeviceRow.kind == kind.value
    )
    if dcu is not None:
        query = query.where(DeviceRow.dcu == dcu)
    return query.group_by(DeviceRow.state, health, DeviceRow.contact)


def _found(session: Session, key: str, *, lock: bool = False) -> DeviceRow:
    row = session.get(DeviceRow, key, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"no device {key}")
    return row


def _locked(session: Session, key: str) -> DeviceRow:
    """Return a row that nobody else changes until the transaction ends."""
    return _found(session, key, lock=True)


def _owners(session: Session, titles: Sequence[SystemTitle]) -> dict[str, str]:
    query = select(DeviceRow.system_title, DeviceRow.id).where(
        DeviceRow.system_title.in_([str(title) for title in titles])
    )
    return {title: key for title, key in session.execute(query) if title is not None}


def _without_taken_title(sighting: Sighting, key: str, owners: dict[str, str]) -> Sighting:
    title = sighting.system_title
    if title is None or owners.setdefault(str(title), key) == key:
        return sighting
    return replace(sighting, system_title=None)


def _record(
    session: Session, rows: dict[str, DeviceRow], key: str, sighting: Sighting, *, now: float
) -> Device:
    row = rows.get(key)
    before = None if row is None else read_device(row)
    device = sight(before, sighting, now=now)
    if row is None:
        rows[key] = row = _row(device)
        session.add(row)
    else:
        _update(row, device)
    if before is None or before.dcu != device.dcu:
        what = f"device.{'registered' if before is None else 'found'} at {device.dcu or 'no DCU'}"
        session.add(audit_row(AuditEntry(f"dcu {device.dcu}", now, what, key, "reported")))
    return device


def conditions(which: DeviceFilter) -> Sequence[Any]:
    """Return what a filter asks of ``DeviceRow``; nothing: it finds all devices."""
    exact = {
        DeviceRow.kind: which.kind,
        DeviceRow.state: which.state,
        DeviceRow.dcu: which.dcu,
        DeviceRow.contact: which.contact,
        DeviceRow.region: which.region,
        DeviceRow.model: which.model,
    }
    found = [column == value for column, value in exact.items() if value is not None]
    if which.search:
        texts = (DeviceRow.serial, DeviceRow.label, DeviceRow.model)
        found.append(or_(*(text.icontains(which.search, autoescape=True) for text in texts)))
    return found


def read_device(row: DeviceRow) -> Device:
    """Return the device of a row."""
    located = row.latitude is not None and row.longitude is not None
    return Device(
        kind=DeviceKind(row.kind),
        serial=row.serial,
        state=LifecycleState(row.state),
        system_title=SystemTitle.parse(row.system_title) if row.system_title else None,
        logical_device_name=row.logical_device_name,
        model=row.model,
        firmware=row.firmware,
        dcu=row.dcu,
        address=row.address,
        contact=Contact(row.contact),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        last_read=row.last_read,
        clock_offset=row.clock_offset,
        fault=Fault(row.fault_code, row.fault_message) if row.fault_code else None,
        location=Location(row.latitude or 0.0, row.longitude or 0.0) if located else None,
        label=row.label,
        region=row.region,
        protocol=MeterProtocol(row.protocol),
    )


def _row(device: Device) -> DeviceRow:
    row = DeviceRow(id=device.id, kind=device.kind.value, serial=device.serial)
    _update(row, device)
    return row


def _update(row: DeviceRow, device: Device) -> None:
    row.state = device.state.value
    row.system_title = str(device.system_title) if device.system_title else None
    row.logical_device_name = device.logical_device_name
    row.model = device.model
    row.firmware = device.firmware
    row.dcu = device.dcu
    row.address = device.address
    row.contact = device.contact.value
    row.first_seen = device.first_seen
    row.last_seen = device.last_seen
    row.last_read = device.last_read
    row.clock_offset = device.clock_offset
    row.fault_code = device.fault.code if device.fault else None
    row.fault_message = device.fault.message if device.fault else ""
    row.latitude = device.location.latitude if device.location else None
    row.longitude = device.location.longitude if device.location else None
    row.label = device.label
    row.region = device.region
    row.protocol = device.protocol.value
