"""Campaigns, their DCUs and devices, and the fleet's epoch."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, exists, func, insert, select, update

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.campaigns.codec import (
    campaign_json,
    read_campaign,
    read_run,
    read_site,
    read_sums,
    run_json,
    site_json,
    sums_json,
)
from openami.fleet.campaigns.machine import OVER
from openami.fleet.campaigns.model import STATES, StepKind
from openami.fleet.campaigns.records import (
    CampaignRecord,
    PlannedSite,
    TaskNews,
    TaskRecord,
)
from openami.fleet.campaigns.timeline import Mark
from openami.fleet.tasks import OPEN_STATES, Cancelled, TaskState
from openami.store.relational.audit import audit_row
from openami.store.relational.campaign_census import CampaignCensus, slices
from openami.store.relational.campaign_models import (
    CampaignMarkRow,
    CampaignMetersRow,
    CampaignRow,
    CampaignSiteRow,
    CampaignTaskRow,
    FleetEpochRow,
)
from openami.store.relational.engine import insert_ignoring, inserting
from openami.store.relational.management_models import DmTaskRow
from openami.store.relational.management_rows import task_of
from openami.store.relational.management_tasks import move_all
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.campaigns.machine import CampaignState, Run
    from openami.fleet.campaigns.records import Changes, GroupSum, SiteState
    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page
    from openami.fleet.tasks import Ticket

_EPOCH: Final = 1
_SITE: Final[Any] = CampaignSiteRow.__table__
_PLANNED: Final = tuple(_SITE.c[name] for name in PlannedSite.__dataclass_fields__)
_MARK: Final[Any] = CampaignMarkRow.__table__
_TASK: Final[Any] = CampaignTaskRow.__table__


class CampaignRepository(CampaignCensus):
    """Implements ``CampaignStore``."""

    # Campaigns

    def add(
        self,
        run: Run,
        sums: Sequence[GroupSum],
        *,
        release: int,
        created: float,
        entries: Sequence[AuditEntry],
        ticket: Ticket | None = None,
    ) -> CampaignRecord:
        values = {
            "id": run.campaign.id, "state": run.state.value, "release": release, "created": created,
            "spec": campaign_json(run.campaign), "run": run_json(run), "sums": sums_json(sums),
        }  # fmt: skip
        if ticket is not None:
            said = {"drafter": run.authors[0], "ticket": ticket.key, "digest": ticket.digest}
            values.update(said)
        with self._transactions.writing() as session:
            put = insert_ignoring(self._transactions.dialect, CampaignRow.__table__)
            key = session.scalar(put.values(values).returning(CampaignRow.key))
            if key is None:
                return _repeated(session, run, ticket)
            session.add_all(audit_row(entry) for entry in entries)
            return _record(session.get_one(CampaignRow, key))

    def get(self, id_: str) -> CampaignRecord:
        with self._transactions.reading() as session:
            row = session.scalars(select(CampaignRow).where(CampaignRow.id == id_)).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no campaign {id_}")
            return _record(row)

    def list(
        self, *, state: CampaignState | None = None, after: str | None = None, limit: int = 100
    ) -> Page[CampaignRecord]:
        limit = bounded(limit)
        query = select(CampaignRow).order_by(CampaignRow.key.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(CampaignRow.state == state.value)
        if after is not None:
            query = query.where(CampaignRow.key < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _record, lambda row: (row.key,))

    def in_states(self, states: Collection[CampaignState]) -> Sequence[CampaignRecord]:
        query = select(CampaignRow).where(CampaignRow.state.in_([one.value for one in states]))
        with self._transactions.reading() as session:
            return [_record(row) for row in session.scalars(query.order_by(CampaignRow.key))]

    def counts(self) -> Mapping[str, int]:
        query = select(CampaignRow.state, func.count()).group_by(CampaignRow.state)
        with self._transactions.reading() as session:
            return {state: count for state, count in session.execute(query)}  # noqa: C416 - rows

    def epoch(self) -> int:
        with self._transactions.reading() as session:
            return session.scalar(select(FleetEpochRow.epoch)) or 0

    def keep(
        self,
        changes: Iterable[Changes],
        *,
        epoch: int | None = None,
        entries: Sequence[AuditEntry] = (),
    ) -> None:
        with self._transactions.writing() as session:
            if epoch is not None:
                put = inserting(self._transactions.dialect, FleetEpochRow)
                put = put.values(id=_EPOCH, epoch=epoch)
                session.execute(
                    put.on_conflict_do_update(index_elements=["id"], set_={"epoch": epoch})
                )
            session.add_all(audit_row(entry) for entry in entries)
            for one in changes:
                self._keep(session, one)

    def plan(self, changes: Changes) -> None:
        """Keep a campaign that was planned; a plan of before is dropped."""
        key = changes.record.key
        with self._transactions.writing() as session:
            session.execute(delete(CampaignSiteRow).where(CampaignSiteRow.campaign == key))
            spec = campaign_json(changes.record.run.campaign)
            session.execute(update(CampaignRow).where(CampaignRow.key == key).values(spec=spec))
            self._keep(session, changes)

    def purge(self, *, before: float, limit: int) -> int:
        with self._transactions.reading() as session:
            key = next(_to_forget(session, before), None)
        if key is None:  # who finds nothing has nobody wait
            return 0
        some = select(CampaignSiteRow.row).where(CampaignSiteRow.campaign == key).limit(limit)
        with self._transactions.writing() as session:
            rows = session.scalars(some).all()
            meters, sites = CampaignMetersRow, CampaignSiteRow
            named = select(meters.serials).where(meters.campaign == key, meters.row.in_(rows))
            for serials in session.scalars(named).all():
                theirs = CampaignMarkRow.device.in_(serials.split("\n"))
                which = delete(CampaignMarkRow).where(theirs, CampaignMarkRow.campaign == key)
                session.execute(which)
            for table in (meters, sites):
                session.execute(delete(table).where(table.campaign == key, table.row.in_(rows)))
            session.execute(
                delete(CampaignTaskRow).where(
                    CampaignTaskRow.campaign == key, CampaignTaskRow.row.in_(rows)
                )
            )
            return len(rows)

    # DCUs and devices

    def sites(self, key: int) -> Sequence[tuple[PlannedSite, SiteState | None]]:
        table = _SITE.c
        query = select(*_PLANNED, table.kept).where(table.campaign == key).order_by(table.row)
        with self._transactions.reading() as session:
            return [
                (PlannedSite(*some), None if kept is None else read_site(some[0], kept))
                for *some, kept in session.connection().execute(query)
            ]

    def site(self, key: int, dcu: str) -> PlannedSite | None:
        query = select(*_PLANNED).where(_SITE.c.campaign == key, _SITE.c.dcu == dcu)
        with self._transactions.reading() as session:
            row: Any = session.connection().execute(query).one_or_none()
            return None if row is None else PlannedSite(*row)

    def of_dcu(self, dcu: str) -> Sequence[CampaignRecord]:
        query = (
            select(CampaignRow)
            .join(CampaignSiteRow, CampaignSiteRow.campaign == CampaignRow.key)
            .where(CampaignSiteRow.dcu == dcu)
            .order_by(CampaignRow.key.desc())
        )
        with self._transactions.reading() as session:
            return [_record(row) for row in session.scalars(query)]

    def of_device(self, serial: str) -> Sequence[CampaignRecord]:
        marked = select(CampaignMarkRow.campaign).where(CampaignMarkRow.device == serial)
        query = select(CampaignRow).where(CampaignRow.key.in_(marked))
        with self._transactions.reading() as session:
            return [_record(row) for row in session.scalars(query.order_by(CampaignRow.key.desc()))]

    def named(self, which: Collection[tuple[int, int]]) -> Mapping[tuple[int, int], Sequence[str]]:
        found: dict[tuple[int, int], Sequence[str]] = {}
        rows: defaultdict[int, list[int]] = defaultdict(list)
        for key, row in sorted(which):  # by pairs SQLite would look through all there are
            rows[key].append(row)
        table = CampaignMetersRow
        with self._transactions.reading() as session:
            for key, mine in rows.items():
                for some in slices(mine):
                    query = select(table).where(table.campaign == key, table.row.in_(some))
                    for one in session.scalars(query):
                        found[key, one.row] = one.serials.split("\n") if one.serials else ()
        return found

    def marks(self, key: int, serials: Collection[str]) -> Mapping[str, Sequence[Mark]]:
        found: defaultdict[str, list[Mark]] = defaultdict(list)
        table = CampaignMarkRow
        with self._transactions.reading() as session:
            for some in slices(sorted(serials)):
                query = select(table).where(table.campaign == key, table.device.in_(some))
                for row in session.scalars(query.order_by(table.attempt, table.state)):
                    mark = Mark(STATES[row.state], row.at, row.attempt, row.code, row.reason)
                    found[row.device].append(mark)
        return found

    def task_news(self, *, most: int) -> Sequence[tuple[str, TaskNews]]:
        waits = DmTaskRow.state.in_(sorted(state.value for state in OPEN_STATES))
        query = (
            select(CampaignRow.id, CampaignTaskRow, DmTaskRow)
            .join(CampaignTaskRow, CampaignTaskRow.campaign == CampaignRow.key)
            .outerjoin(DmTaskRow, DmTaskRow.job == CampaignTaskRow.job)
            .where(CampaignTaskRow.open.is_(True), waits.is_not(True))
            .limit(most)
        )
        with self._transactions.reading() as session:
            return [(id_, _news(row, task)) for id_, row, task in session.execute(query)]

    def open_tasks(self) -> Sequence[tuple[str, TaskRecord]]:
        query = (
            select(CampaignRow.id, CampaignTaskRow)
            .join(CampaignTaskRow, CampaignTaskRow.campaign == CampaignRow.key)
            .where(CampaignTaskRow.open.is_(True))
        )
        with self._transactions.reading() as session:
            return [(id_, _task(row)) for id_, row in session.execute(query)]

    # Writing

    def _keep(self, session: Session, changes: Changes) -> None:
        record, key = changes.record, changes.record.key
        run = record.run
        session.execute(
            update(CampaignRow)
            .where(CampaignRow.key == key)
            .values(
                state=run.state.value, release=record.release,
                run=run_json(run), sums=sums_json(record.sums),
            )
        )  # fmt: skip
        session.add_all(audit_row(entry) for entry in changes.entries)
        rows = session.connection()
        if changes.more:
            rows.execute(insert(_SITE), [_site_values(key, one) for one in changes.more])
        if changes.sites:
            which = (_SITE.c.campaign == key, _SITE.c.row == bindparam("which"))
            rows.execute(
                update(_SITE).where(*which).values(kept=bindparam("state")),
                [{"which": one.progress.row, "state": site_json(one)} for one in changes.sites],
            )
        self._name(session, key, changes.named)
        if changes.marks:
            rows.execute(
                insert_ignoring(self._transactions.dialect, _MARK),
                [_mark_values(key, serial, mark) for serial, mark in changes.marks],
            )
        if changes.tasks:
            rows.execute(insert(_TASK), [_task_values(key, one) for one in changes.tasks])
        _close(session, changes)

    def _name(self, session: Session, key: int, named: Mapping[int, Sequence[str]]) -> None:
        if not named:
            return
        put = inserting(self._transactions.dialect, CampaignMetersRow.__table__)
        put = put.on_conflict_do_update(
            index_elements=["campaign", "row"], set_={"serials": put.excluded.serials}
        )
        values = [
            {"campaign": key, "row": row, "serials": "\n".join(serials)}
            for row, serials in named.items()
        ]
        session.connection().execute(put, values)


def _repeated(session: Session, run: Run, ticket: Ticket | None) -> CampaignRecord:
    """Return the campaign that the same draft has made before, as it is now."""
    row = None
    if ticket is not None:
        mine = (CampaignRow.drafter == run.authors[0], CampaignRow.ticket == ticket.key)
        row = session.scalars(select(CampaignRow).where(*mine)).one_or_none()
    if ticket is None or row is None:
        raise ConflictError(f"there is a campaign {run.campaign.id} already")
    if row.digest != ticket.digest:
        raise ConflictError("this key was given to another draft", code="campaign.key")
    return _record(row)


def _to_forget(session: Session, before: float) -> Iterator[int]:
    """Yield campaigns that are over since before a time and have DCUs."""
    has = exists().where(CampaignSiteRow.campaign == CampaignRow.key)
    over = CampaignRow.state.in_([state.value for state in OVER])
    query = select(CampaignRow.key, CampaignRow.run).where(over, has).order_by(CampaignRow.key)
    for key, run in session.execute(query):
        if run["since"] < before:
            yield key


def _close(session: Session, changes: Changes) -> None:
    for some in slices(changes.closed):
        which = update(CampaignTaskRow).where(CampaignTaskRow.job.in_(some))
        session.execute(which.values(open=False))
    if changes.recall:
        mine = select(CampaignTaskRow.job).where(
            CampaignTaskRow.campaign == changes.record.key, CampaignTaskRow.open.is_(True)
        )
        move_all(session, Cancelled(changes.record.run.since), DmTaskRow.job.in_(mine))


def _record(row: CampaignRow) -> CampaignRecord:
    run = read_run(read_campaign(row.spec), row.run)
    return CampaignRecord(row.key, run, row.release, row.created, read_sums(row.sums))


def _site_values(key: int, one: PlannedSite) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in PlannedSite.__dataclass_fields__}
    return {"campaign": key, **values, "kept": None}


def _mark_values(key: int, serial: str, mark: Mark) -> dict[str, Any]:
    return {
        "device": serial, "campaign": key, "attempt": mark.attempt, "state": mark.state.value,
        "at": mark.at, "code": mark.code, "reason": mark.reason,
    }  # fmt: skip


def _task_values(key: int, one: TaskRecord) -> dict[str, Any]:
    return {
        "job": one.job, "campaign": key, "row": one.row, "step": one.step.value,
        "attempt": one.attempt, "part": one.part, "open": True,
    }  # fmt: skip


def _task(row: CampaignTaskRow) -> TaskRecord:
    return TaskRecord(row.job, row.row, StepKind(row.step), row.attempt, row.part)


def _news(row: CampaignTaskRow, found: DmTaskRow | None) -> TaskNews:
    if found is None:
        return TaskNews(_task(row), None)
    task = task_of(found)
    return TaskNews(_task(row), TaskState(task.state), task.status, task.results)
