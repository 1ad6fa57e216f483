"""Programs, events, and the registry as their targets see it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, exists, func, select, union, update

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.demand.codec import event_json, program_json, read_event, read_program
from openami.fleet.demand.machine import OVER, EventState
from openami.fleet.demand.records import EventRecord, MeterStanding, Reach, Unheard
from openami.fleet.demand.standing import Answer, Counts, Standing, What
from openami.fleet.devices import DeviceKind, LifecycleState, MeterProtocol
from openami.store.relational.audit import audit_row
from openami.store.relational.campaign_census import slices
from openami.store.relational.demand_models import (
    DemandEventRow,
    DemandProgramRow,
    DemandStandingRow,
)
from openami.store.relational.demand_targets import named_by
from openami.store.relational.demand_tickets import repeated, ticket_values
from openami.store.relational.engine import insert_ignoring
from openami.store.relational.management_models import GroupRow
from openami.store.relational.management_rows import group_of, members, wake
from openami.store.relational.models import DeviceRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.demand.model import Event, Program, Targets
    from openami.fleet.demand.records import MeterNews
    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page
    from openami.fleet.tasks import Ticket
    from openami.store.relational.engine import Transactions

_STANDING: Final[Any] = DemandStandingRow.__table__
_TIMES: Final[Mapping[What, Any]] = {
    What.DELIVERED: DemandStandingRow.delivered,
    What.ACKNOWLEDGED: DemandStandingRow.acknowledged,
    What.LIMITED: DemandStandingRow.limited,
    What.RESTORED: DemandStandingRow.restored,
    What.REFUSED: DemandStandingRow.refused,
}
_METERS: Final = (
    DeviceRow.kind == DeviceKind.METER.value,
    DeviceRow.state != LifecycleState.RETIRED.value,
)


class DemandEvents:
    """The part of ``DemandStore`` that is about events."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    # Programs

    def add_program(self, program: Program, entry: AuditEntry) -> None:
        values = {
            "id": program.id, "name": program.name, "created": program.created,
            "kept": program_json(program),
        }  # fmt: skip
        put = insert_ignoring(self._transactions.dialect, DemandProgramRow.__table__)
        with self._transactions.writing() as session:
            made = session.scalar(put.values(values).returning(DemandProgramRow.id))
            if made is None:
                raise ConflictError(
                    f"there is a program {program.name} already", code="demand.program-name"
                )
            session.add(audit_row(entry))

    def program(self, id_: str) -> Program:
        with self._transactions.reading() as session:
            row = session.get(DemandProgramRow, id_)
            if row is None:
                raise NotFoundError(f"there is no program {id_}")
            return _program(row)

    def programs(self, *, after: str | None = None, limit: int = 100) -> Page[Program]:
        limit = bounded(limit)
        query = select(DemandProgramRow).order_by(DemandProgramRow.name).limit(limit + 1)
        if after is not None:
            query = query.where(DemandProgramRow.name > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _program, lambda row: (row.name,))

    # Events

    def add(
        self,
        event: Event,
        *,
        who: str,
        created: float,
        entry: AuditEntry,
        ticket: Ticket | None = None,
    ) -> EventRecord:
        values = {
            "id": event.id, "program": event.program, "state": EventState.DRAFT.value,
            "version": event.version, "created": created, "who": who, "meters": 0,
            "kept": event_json(event), **ticket_values(ticket),
        }  # fmt: skip
        put = insert_ignoring(self._transactions.dialect, DemandEventRow.__table__)
        with self._transactions.writing() as session:
            key = session.scalar(put.values(values).returning(DemandEventRow.key))
            if key is None:
                return _record(repeated(session, DemandEventRow, event.id, who, ticket))
            session.add(audit_row(entry))
            return _record(session.get_one(DemandEventRow, key))

    def get(self, id_: str) -> EventRecord:
        found = self.named([id_]).get(id_)
        if found is None:
            raise NotFoundError(f"there is no event {id_}")
        return found

    def named(self, ids: Collection[str]) -> Mapping[str, EventRecord]:
        found: dict[str, EventRecord] = {}
        with self._transactions.reading() as session:
            for some in slices(sorted(ids)):
                query = select(DemandEventRow).where(DemandEventRow.id.in_(some))
                found.update((row.id, _record(row)) for row in session.scalars(query))
        return found

    def list(
        self,
        *,
        state: EventState | None = None,
        program: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[EventRecord]:
        limit, row = bounded(limit), DemandEventRow
        query = select(row).order_by(row.key.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(row.state == state.value)
        if program is not None:
            query = query.where(row.program == program)
        if after is not None:
            query = query.where(row.key < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _record, lambda one: (one.key,))

    def in_states(self, states: Collection[EventState]) -> Sequence[EventRecord]:
        query = select(DemandEventRow).where(
            DemandEventRow.state.in_([one.value for one in states])
        )
        with self._transactions.reading() as session:
            return [_record(row) for row in session.scalars(query.order_by(DemandEventRow.key))]

    def move(self, record: EventRecord, before: EventRecord, entries: Sequence[AuditEntry]) -> None:
        values = {
            "state": record.state.value, "version": record.event.version,
            "published": record.published, "ended": record.ended, "meters": record.meters,
            "kept": event_json(record.event),
        }  # fmt: skip
        row = DemandEventRow
        still = (row.state == before.state.value, row.version == before.event.version)
        which = update(row).where(row.key == record.key, *still)
        with self._transactions.writing() as session:
            if session.scalar(which.values(values).returning(row.key)) is None:
                raise ConflictError("somebody else was first: look again", code="demand.moved")
            session.add_all(audit_row(entry) for entry in entries)

    # The registry

    def reach(self, targets: Targets) -> Reach:
        with self._transactions.reading() as session:
            which = named_by(session, targets)
            count = session.scalar(select(func.count()).where(*_METERS, *which)) or 0
            if not targets:
                return Reach(count, None)
            query = select(DeviceRow.dcu).where(*_METERS, *which, DeviceRow.dcu.is_not(None))
            return Reach(count, frozenset(filter(None, session.scalars(query.distinct()))))

    def behind(self, dcu: str) -> Sequence[tuple[str, str]]:
        its = select(DeviceRow.region).where(
            DeviceRow.kind == DeviceKind.DCU.value, DeviceRow.serial == dcu
        )
        query = select(DeviceRow.serial, DeviceRow.region).where(*_METERS, DeviceRow.dcu == dcu)
        with self._transactions.reading() as session:
            region = session.scalar(its) or ""
            return [(serial, own or region) for serial, own in session.execute(query)]

    def dcus(self) -> frozenset[str]:
        query = select(DeviceRow.serial).where(
            DeviceRow.kind == DeviceKind.DCU.value,
            DeviceRow.state != LifecycleState.RETIRED.value,
        )
        with self._transactions.reading() as session:
            return frozenset(session.scalars(query))

    def of_group(self, name: str) -> frozenset[str]:
        with self._transactions.reading() as session:
            row = session.get(GroupRow, name)
            return frozenset(() if row is None else session.scalars(members(group_of(row).which)))

    def wake(self, dcus: Collection[str], now: float) -> int:
        with self._transactions.writing() as session:
            return sum(wake(session, some, now) for some in slices(sorted(dcus)))

    # How events stand at meters

    def take(self, news: Sequence[MeterNews]) -> Sequence[tuple[int, str, Standing]]:
        changed: dict[tuple[int, str], Standing] = {}
        with self._transactions.writing() as session:
            known = _standings(session, news)
            for one in news:
                key = one.event, one.meter
                was = changed.get(key) or known.get(key, _NOTHING)
                told = was.after(one.news)
                if told is not was:
                    changed[key] = told
            _put(session, known, changed)
        return [(*key, standing) for key, standing in changed.items()]

    def standings(
        self, events: Collection[int], meters: Collection[str]
    ) -> Mapping[tuple[int, str], Standing]:
        found: dict[tuple[int, str], Standing] = {}
        row = DemandStandingRow
        with self._transactions.reading() as session:
            for event in sorted(events):
                for some in slices(sorted(meters)):
                    query = select(row).where(row.event == event, row.meter.in_(some))
                    found.update(((r.event, r.meter), _standing(r)) for r in session.scalars(query))
        return found

    def opted_out(
        self, events: Collection[int], meters: Collection[str]
    ) -> Collection[tuple[int, str]]:
        row, found = DemandStandingRow, set[tuple[int, str]]()
        out = (row.event.in_(sorted(events)), row.answer == Answer.OPTED_OUT.value)
        with self._transactions.reading() as session:
            for some in slices(sorted(meters)):
                query = select(row.event, row.meter).where(*out, row.meter.in_(some))
                found.update((event, meter) for event, meter in session.execute(query))
        return found

    def history(self, meter: str, *, limit: int = 100) -> Sequence[tuple[EventRecord, Standing]]:
        row, event = DemandStandingRow, DemandEventRow
        query = select(event, row).join(event, event.key == row.event).where(row.meter == meter)
        with self._transactions.reading() as session:
            rows = session.execute(query.order_by(row.event.desc()).limit(limit))
            return [(_record(one), _standing(other)) for one, other in rows]

    def page(
        self, event: int, *, only: What | None = None, after: str | None = None, limit: int = 100
    ) -> Page[MeterStanding]:
        limit, row = bounded(limit), DemandStandingRow
        query = select(row).where(row.event == event).order_by(row.meter).limit(limit + 1)
        if only is not None:
            at = _TIMES.get(only)
            query = query.where(row.answer == only.value if at is None else at.is_not(None))
        if after is not None:
            query = query.where(row.meter > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            rows = session.scalars(query).all()
            return page(
                rows, limit, lambda r: MeterStanding(r.meter, _standing(r)), lambda r: (r.meter,)
            )

    def asked(
        self, record: EventRecord, *, after: str | None = None, limit: int = 100
    ) -> Page[MeterStanding]:
        limit, row = bounded(limit), DemandStandingRow
        with self._transactions.reading() as session:
            meant = select(DeviceRow.serial.label("meter")).where(
                *_METERS, *named_by(session, record.event.targets)
            )
            # One that has moved or was retired since was asked all the same.
            heard = select(row.meter.label("meter")).where(row.event == record.key)
            meter = union(meant, heard).subquery().c.meter
            query = select(meter).order_by(meter).limit(limit + 1)
            if after is not None:
                query = query.where(meter > decode_cursor(after, str)[0])
            meters = session.scalars(query).all()
            which = select(row).where(row.event == record.key, row.meter.in_(meters))
            known = {one.meter: _standing(one) for one in session.scalars(which)}
        found = [MeterStanding(one, known.get(one, _NOTHING)) for one in meters]
        return page(found, limit, lambda one: one, lambda one: (one.meter,))

    def unheard(
        self, record: EventRecord, *, after: str | None = None, limit: int = 100
    ) -> Page[Unheard]:
        limit, row, meter = bounded(limit), DemandStandingRow, DeviceRow
        heard = exists().where(row.event == record.key, row.meter == meter.serial)
        with self._transactions.reading() as session:
            meant = (*_METERS, *named_by(session, record.event.targets), ~heard)
            query = select(meter.serial, meter.dcu, meter.protocol).where(*meant)
            query = query.order_by(meter.serial).limit(limit + 1)
            if after is not None:
                query = query.where(meter.serial > decode_cursor(after, str)[0])
            rows = session.execute(query).all()
        return page(
            rows, limit, lambda one: Unheard(one[0], one[1], MeterProtocol(one[2])),
            lambda one: (one[0],),
        )  # fmt: skip

    def counts(self, event: int) -> Counts:
        row = DemandStandingRow
        query = select(
            *(func.count(column) for column in (row.delivered, row.acknowledged, row.limited,
                                                row.restored, row.refused)),
            *(func.count().filter(row.answer == answer.value)
              for answer in (Answer.ACCEPTED, Answer.OPTED_OUT)),
        ).where(row.event == event)  # fmt: skip
        with self._transactions.reading() as session:
            found: Any = session.execute(query).one()
        delivered, acknowledged, limited, restored, refused, accepted, out = found
        return Counts(0, delivered, acknowledged, accepted, out, limited, restored, refused)

    def forget(self, *, before: float, limit: int) -> int:
        row, event = DemandStandingRow, DemandEventRow
        over = event.state.in_([state.value for state in OVER])
        old = select(event.key).where(over, event.ended < before)
        query = select(row.event, row.meter).where(row.event.in_(old)).limit(limit)
        with self._transactions.reading() as session:
            found = session.execute(query).all()
        if not found:
            return 0
        with self._transactions.writing() as session:
            for key in {key for key, _ in found}:
                for some in slices([meter for each, meter in found if each == key]):
                    session.execute(delete(row).where(row.event == key, row.meter.in_(some)))
        return len(found)


_NOTHING: Final = Standing()


def _standings(session: Session, news: Sequence[MeterNews]) -> Mapping[tuple[int, str], Standing]:
    row = DemandStandingRow
    found: dict[tuple[int, str], Standing] = {}
    for event in sorted({one.event for one in news}):
        meters = sorted({one.meter for one in news if one.event == event})
        for some in slices(meters):
            query = select(row).where(row.event == event, row.meter.in_(some)).order_by(row.meter)
            rows = session.scalars(query.with_for_update())
            found.update(((r.event, r.meter), _standing(r)) for r in rows)
    return found


def _put(
    session: Session,
    known: Mapping[tuple[int, str], Standing],
    changed: Mapping[tuple[int, str], Standing],
) -> None:
    rows = session.connection()
    fresh = [_values(*key, one) for key, one in changed.items() if key not in known]
    if fresh:
        rows.execute(_STANDING.insert(), fresh)
    for key, one in changed.items():
        if key in known:
            which = (_STANDING.c.event == key[0], _STANDING.c.meter == key[1])
            rows.execute(update(_STANDING).where(*which).values(_values(*key, one)))


def _values(event: int, meter: str, standing: Standing) -> dict[str, Any]:
    return {"event": event, "meter": meter, **asdict(standing)}


def _standing(row: DemandStandingRow) -> Standing:
    return Standing(
        row.delivered,
        row.limited,
        row.restored,
        row.acknowledged,
        None if row.answer is None else Answer(row.answer),
        row.answered,
        row.who,
        row.refused,
        row.code,
        row.reason,
    )


def _program(row: DemandProgramRow) -> Program:
    return read_program(row.id, row.name, row.created, row.kept)


def _record(row: DemandEventRow) -> EventRecord:
    return EventRecord(
        row.key,
        read_event(row.id, row.version, row.kept),
        EventState(row.state),
        row.created,
        row.who,
        row.published,
        row.ended,
        row.meters,
    )
