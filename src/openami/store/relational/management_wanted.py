"""What is wanted of devices by their groups and themselves, for many devices at once.

Hundreds of sessions begin in a second: the statements are made once, and read rows as they are.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, case, select, true

from openami.fleet.desired import ScopeKind, effective
from openami.fleet.devices import DeviceKind, device_id
from openami.store.relational.devices import conditions
from openami.store.relational.management_models import DesiredRow, GroupRow
from openami.store.relational.management_rows import group_of, wish_of
from openami.store.relational.models import DeviceRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy.orm import Session

    from openami.fleet.desired import Group, Wish

_DESIRED: Final[Any] = DesiredRow.__table__
_GROUP: Final[Any] = GroupRow.__table__

_GROUPS: Final = select(_GROUP).order_by(_GROUP.c.priority, _GROUP.c.name)
_WISHES: Final = (
    select(_DESIRED)
    .where(_DESIRED.c.scope.in_(bindparam("b_scopes", expanding=True)))
    .order_by(_DESIRED.c.uri)
)


def all_groups(session: Session) -> tuple[Group, ...]:
    """Return all groups, those of low priority first."""
    return tuple(map(group_of, session.connection().execute(_GROUPS)))


def groups_of(session: Session, uids: Collection[str]) -> Mapping[str, tuple[Group, ...]]:
    """Return the groups whose filters find devices, by the same conditions that find devices."""
    groups = all_groups(session)
    if not groups:
        return {}
    ids = [device_id(DeviceKind.DCU, uid) for uid in uids]
    rows = session.connection().execute(_fits(groups), {"b_ids": ids})
    return {
        uid: tuple(group for group, fit in zip(groups, fits, strict=True) if fit)
        for uid, *fits in rows
    }


@lru_cache(maxsize=8)
def _fits(groups: tuple[Group, ...]) -> Any:
    """Return the query for which of some groups devices belong to."""
    fits = [case((and_(true(), *conditions(group.which)), 1), else_=0) for group in groups]
    which = DeviceRow.id.in_(bindparam("b_ids", expanding=True))
    return select(DeviceRow.serial, *fits).where(which)


def wishes_of(session: Session, scopes: Iterable[str]) -> tuple[Wish, ...]:
    """Return what is wanted of some groups or devices, by address."""
    return tuple(map(wish_of, session.connection().execute(_WISHES, {"b_scopes": list(scopes)})))


def wanted_of(session: Session, uids: Collection[str]) -> Mapping[str, Mapping[str, Wish]]:
    """Return what is wanted of devices by their groups and themselves, by UID and address."""
    groups = groups_of(session, uids)
    named = {group.name: group for found in groups.values() for group in found}
    own = {uid: f"{ScopeKind.DEVICE}:{uid}" for uid in uids}
    wishes: defaultdict[str, list[Wish]] = defaultdict(list)
    for wish in wishes_of(
        session, [*(str(group.scope) for group in named.values()), *own.values()]
    ):
        wishes[str(wish.scope)].append(wish)

    @cache  # most devices of the same groups want nothing of their own
    def together(names: tuple[str, ...], scope: str | None) -> Mapping[str, Wish]:
        found = [named[name] for name in names]
        asking = [str(group.scope) for group in found] + ([] if scope is None else [scope])
        return effective(found, [wish for each in asking for wish in wishes[each]])

    return {
        uid: together(
            tuple(group.name for group in groups.get(uid, ())), scope if scope in wishes else None
        )
        for uid, scope in own.items()
    }
