"""What every session begins with, in as few and as ready-made statements as can be.

Hundreds of sessions begin in a second: the statements are made once, and read rows as they are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, case, exists, select, true

from openami.fleet.desired import ScopeKind, effective
from openami.fleet.devices import DeviceKind, device_id
from openami.fleet.management import Brief
from openami.fleet.tasks import WAITING_STATES, TaskKind
from openami.store.relational.devices import conditions
from openami.store.relational.management_models import (
    AccountRow,
    DesiredRow,
    DmJobRow,
    DmTaskRow,
    GroupRow,
    KnownRow,
)
from openami.store.relational.management_rows import group_of, node_of, wish_of
from openami.store.relational.models import DeviceRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.desired import Group, KnownNode, Wish

_ACCOUNT: Final[Any] = AccountRow.__table__
_DESIRED: Final[Any] = DesiredRow.__table__
_GROUP: Final[Any] = GroupRow.__table__
_KNOWN: Final[Any] = KnownRow.__table__
_JOB: Final[Any] = DmJobRow.__table__
_TASK: Final[Any] = DmTaskRow.__table__
_OPEN: Final = sorted(state.value for state in WAITING_STATES)

_STANDING: Final = select(
    _ACCOUNT.c.tree_known,
    exists().where(_TASK.c.uid == _ACCOUNT.c.uid, _TASK.c.state.in_(_OPEN)),
).where(_ACCOUNT.c.uid == bindparam("b_uid"))
_GROUPS: Final = select(_GROUP).order_by(_GROUP.c.priority, _GROUP.c.name)
_WISHES: Final = (
    select(_DESIRED)
    .where(_DESIRED.c.scope.in_(bindparam("b_scopes", expanding=True)))
    .order_by(_DESIRED.c.uri)
)
# What a session may have to tell next: its tasks go out by the dozen.
_TO_SET: Final = (
    select(_JOB.c.commands)
    .join(_TASK, _TASK.c.job == _JOB.c.id)
    .where(
        _TASK.c.uid == bindparam("b_uid"),
        _TASK.c.state.in_(_OPEN),
        _JOB.c.kind == TaskKind.SET.value,
    )
    .order_by(_JOB.c.created, _JOB.c.id)
    .limit(64)
)
_NODES: Final = select(_KNOWN).where(
    _KNOWN.c.uid == bindparam("b_uid"), _KNOWN.c.uri.in_(bindparam("b_uris", expanding=True))
)


def brief(session: Session, uid: str) -> Brief:
    """Return what a session with a device begins with."""
    rows = session.connection()
    standing = rows.execute(_STANDING, {"b_uid": uid}).one_or_none()
    wanted = wanted_of(session, uid)
    uris = set(wanted)
    if standing is not None and standing[1]:
        found = rows.execute(_TO_SET, {"b_uid": uid}).scalars()
        uris.update(command["uri"] for commands in found for command in commands)
    nodes: dict[str, KnownNode] = {}
    if uris:
        known = rows.execute(_NODES, {"b_uid": uid, "b_uris": sorted(uris)})
        nodes = {row.uri: node_of(row) for row in known}
    if standing is None:
        return Brief(wanted=wanted, nodes=nodes)
    return Brief(standing[0] is not None, wanted, nodes, bool(standing[1]))


def all_groups(session: Session) -> tuple[Group, ...]:
    """Return all groups, those of low priority first."""
    return tuple(map(group_of, session.connection().execute(_GROUPS)))


def groups_of(session: Session, uid: str) -> tuple[Group, ...]:
    """Return the groups whose filters find a device, by the same conditions that find devices."""
    groups = all_groups(session)
    if not groups:
        return ()
    key = device_id(DeviceKind.DCU, uid)
    row = session.connection().execute(_fits(groups), {"b_id": key}).one_or_none()
    return () if row is None else tuple(g for g, fit in zip(groups, row, strict=True) if fit)


@lru_cache(maxsize=8)
def _fits(groups: tuple[Group, ...]) -> Any:
    """Return the query for which of some groups a device belongs to."""
    fits = [case((and_(true(), *conditions(group.which)), 1), else_=0) for group in groups]
    return select(*fits).where(DeviceRow.id == bindparam("b_id"))


def wishes_of(session: Session, scopes: Sequence[str]) -> tuple[Wish, ...]:
    """Return what is wanted of some groups or devices, by address."""
    return tuple(map(wish_of, session.connection().execute(_WISHES, {"b_scopes": scopes})))


def wanted_of(session: Session, uid: str) -> Mapping[str, Wish]:
    """Return what is wanted of a device by its groups and itself."""
    groups = groups_of(session, uid)
    scopes = [str(group.scope) for group in groups]
    wishes = wishes_of(session, [*scopes, f"{ScopeKind.DEVICE}:{uid}"])
    return effective(groups, wishes) if wishes else {}
