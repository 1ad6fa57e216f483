"""Rows of device management as values, and the devices that a filter finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from openami.fleet.desired import Group, KnownNode, Scope, Setting, Wish
from openami.fleet.devices import Contact, DeviceKind, LifecycleState
from openami.fleet.known import TreeChange
from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import Command, ManagementJob, Result, Task, TaskKind, TaskState
from openami.store.relational.devices import conditions
from openami.store.relational.management_models import (
    AccountRow,
    ChangeRow,
    DesiredRow,
    DmJobRow,
    DmTaskRow,
    GroupRow,
    KnownRow,
)
from openami.store.relational.models import DeviceRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Row, Select
    from sqlalchemy.orm import Session

    from openami.fleet.tasks import Ticket

_FIELDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "state": LifecycleState,
    "dcu": str,
    "contact": Contact,
    "region": str,
    "search": str,
    "model": str,
}


def plain_filter(which: DeviceFilter) -> dict[str, str]:
    """Return a filter as JSON has it; of what kind the devices are goes without saying."""
    told = {name: getattr(which, name) for name in _FIELDS}
    return {name: str(value) for name, value in told.items() if value is not None}


def read_filter(plain: Mapping[str, Any]) -> DeviceFilter:
    """Return a filter of DCUs."""
    told = {name: _FIELDS[name](value) for name, value in plain.items() if name in _FIELDS}
    return DeviceFilter(kind=DeviceKind.DCU, **told)


def members(which: DeviceFilter) -> Select[str]:
    """Return a query for the UIDs of the DCUs that a filter finds."""
    return select(DeviceRow.serial).where(
        DeviceRow.kind == DeviceKind.DCU.value, *conditions(which)
    )


def wake(session: Session, whom: Select[str] | Sequence[str], now: float) -> int:
    """Have devices woken in one statement; return how many of them have a live account."""
    statement = (
        update(AccountRow)
        .where(AccountRow.uid.in_(whom), AccountRow.suspended.is_(False))
        .values(wake_due=now, wake_failures=0)
        .execution_options(synchronize_session=False)
    )
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]  # of an UPDATE


def group_of(row: GroupRow | Row[Any]) -> Group:
    """Return the group of a row."""
    return Group(row.name, read_filter(row.filter), row.priority, row.created, row.who)


def wish_of(row: DesiredRow | Row[Any]) -> Wish:
    """Return the wish of a row."""
    setting = Setting(row.uri, row.format, row.value)
    return Wish(Scope.parse(row.scope), setting, row.at, row.who)


def node_of(row: KnownRow | Row[Any]) -> KnownNode:
    """Return the node of a row."""
    said = row.status, row.words, row.bond
    return known_node((row.uri, row.format, row.value, row.acl, row.at, row.refused, *said))


def known_node(columns: Sequence[Any]) -> KnownNode:
    """Return the node of a row's columns, all but the UID, in their order."""
    uri, form, value, acl, at, refused, *said = columns
    setting = None
    if refused is not None:
        wanted, _, told = refused.partition(":")
        setting = Setting(uri, wanted, told)
    return KnownNode(uri, form, value, acl, at, setting, *said)


def node_row(uid: str, node: KnownNode) -> dict[str, Any]:
    """Return the columns of a node's row."""
    refused = node.refused
    return {
        "uid": uid,
        "uri": node.uri,
        "format": node.format,
        "value": node.value,
        "acl": node.acl,
        "at": node.at,
        "refused": None if refused is None else f"{refused.format}:{refused.value}",
        "status": node.status,
        "words": node.words,
        "bond": node.bond,
    }


def change_of(row: ChangeRow) -> TreeChange:
    """Return the change of a row."""
    return TreeChange(
        row.uid, row.uri, row.old, row.new, row.status, row.at, row.origin, row.words, row.id
    )


def change_row(change: TreeChange) -> dict[str, Any]:
    """Return the columns of the row of a change that has no number yet."""
    return {
        "uid": change.uid,
        "uri": change.uri,
        "old": change.old,
        "new": change.new,
        "status": change.status,
        "at": change.at,
        "origin": change.origin,
        "words": change.words,
    }


def job_row(job: ManagementJob, ticket: Ticket | None) -> dict[str, Any]:
    """Return the columns of a job's row."""
    devices = {"devices": list(job.devices)}
    return {
        "id": job.id,
        "kind": job.kind.value,
        "who": job.who,
        "why": job.why,
        "created": job.created,
        "expires": job.expires,
        "filter": devices if job.which is None else plain_filter(job.which),
        "commands": [
            {"uri": each.uri, "format": each.format, "value": each.value} for each in job.commands
        ],
        "repeatable": job.repeatable,
        "key": None if ticket is None else ticket.key,
        "digest": None if ticket is None else ticket.digest,
    }


def job_of(row: DmJobRow | Row[Any]) -> ManagementJob:
    """Return the job of a row."""
    devices = tuple(row.filter.get("devices", ()))
    return ManagementJob(
        id=row.id,
        kind=TaskKind(row.kind),
        commands=tuple(Command(**command) for command in row.commands),
        who=row.who,
        created=row.created,
        expires=row.expires,
        which=None if devices else read_filter(row.filter),
        devices=devices,
        why=row.why,
        repeatable=row.repeatable,
    )


def task_of(row: DmTaskRow | Row[Any]) -> Task:
    """Return the task of a row."""
    return Task(
        job=row.job,
        uid=row.uid,
        expires=row.expires,
        once=row.once,
        state=TaskState(row.state),
        updated=row.updated,
        attempts=row.attempts,
        status=row.status,
        results=tuple(Result(**result) for result in row.results),
    )
