"""What is wanted and what is known of devices' trees, in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, or_, select, update

from openami.core.errors import ConflictError
from openami.fleet.desired import MAX_GROUPS, object_of
from openami.fleet.devices import AuditEntry
from openami.store.relational.audit import audit_row
from openami.store.relational.management_differences import differences_of, standing_of
from openami.store.relational.management_figures import progress_of, refused_nodes
from openami.store.relational.management_models import (
    AccountRow,
    ChangeRow,
    DesiredRow,
    GroupRow,
)
from openami.store.relational.management_nodes import (
    below,
    forgive,
    known_nodes,
    under,
)
from openami.store.relational.management_rows import (
    change_of,
    group_of,
    members,
    plain_filter,
    wake,
)
from openami.store.relational.management_wanted import (
    all_groups,
    groups_of,
    wanted_of,
    wishes_of,
)
from openami.store.relational.management_wishes import (
    check,
    dcu_id,
    found_group,
    touch,
    unwant,
    want,
)
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.desired import Group, KnownNode, Scope, Setting, Wish
    from openami.fleet.known import TreeChange
    from openami.fleet.management import (
        DifferentDevice,
        Standing,
        WishProgress,
    )
    from openami.fleet.ports import DeviceFilter, Page
    from openami.store.relational.engine import Transactions


class TreeRepository:
    """Implements ``TreeRecords``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    # Groups.

    def groups(self) -> Sequence[Group]:
        with self._transactions.reading() as session:
            return all_groups(session)

    def group(self, name: str) -> Group:
        with self._transactions.reading() as session:
            return group_of(found_group(session, name))

    def put_group(self, group: Group, *, who: str, now: float) -> int:
        with self._transactions.writing() as session:
            row = session.get(GroupRow, group.name, with_for_update=True)
            concerned = 0
            if row is None:
                if len(all_groups(session)) >= MAX_GROUPS:
                    raise ConflictError(f"there are {MAX_GROUPS} groups already", code="dm.groups")
                row = GroupRow(name=group.name, created=now)
                session.add(row)
            else:  # who leaves the group is no longer wanted to be as it says
                concerned = touch(session, group_of(row).scope, now, _objects(session, group.scope))
            row.priority, row.filter, row.who = group.priority, plain_filter(group.which), who
            session.flush()
            objects = _objects(session, group.scope)
            concerned = max(concerned, touch(session, group.scope, now, objects))
            what = f"dm.group priority {group.priority}, {row.filter or 'all DCUs'}"
            session.add(audit_row(AuditEntry(who, now, what, str(group.scope))))
            return concerned

    def remove_group(self, name: str, *, who: str, now: float) -> int:
        with self._transactions.writing() as session:
            row = found_group(session, name)
            scope = group_of(row).scope
            concerned = touch(session, scope, now, _objects(session, scope))
            session.execute(delete(DesiredRow).where(DesiredRow.scope == str(scope)))
            session.delete(row)
            session.add(audit_row(AuditEntry(who, now, "dm.group removed", str(scope))))
            return concerned

    def groups_of(self, uid: str) -> Sequence[Group]:
        with self._transactions.reading() as session:
            return groups_of(session, [uid]).get(uid, ())

    def check(self, scope: Scope) -> None:
        with self._transactions.reading() as session:
            check(session, scope)

    def count(self, which: DeviceFilter) -> int:
        found = members(which).subquery()
        with self._transactions.reading() as session:
            return session.scalar(select(func.count()).select_from(found)) or 0

    # What is wanted.

    def want(self, scope: Scope, settings: Sequence[Setting], *, who: str, now: float) -> int:
        with self._transactions.writing() as session:
            return want(session, scope, settings, who=who, now=now)

    def unwant(self, scope: Scope, uris: Sequence[str], *, who: str, now: float) -> int:
        with self._transactions.writing() as session:
            return unwant(session, scope, uris, who=who, now=now)

    def wishes(self, scope: Scope) -> Sequence[Wish]:
        with self._transactions.reading() as session:
            return wishes_of(session, [str(scope)])

    def wanted(self, uid: str) -> Mapping[str, Wish]:
        with self._transactions.reading() as session:
            return wanted_of(session, [uid])[uid]

    # What is known.

    def known(self, uid: str, *, below: str | None = None) -> Mapping[str, KnownNode]:
        with self._transactions.reading() as session:
            return known_nodes(session, uid, () if below is None else (under([below]),))

    def known_at(self, uid: str) -> float | None:
        query = select(AccountRow.tree_known).where(AccountRow.uid == uid)
        with self._transactions.reading() as session:
            return session.scalar(query)

    def doubt(self, uid: str) -> None:
        with self._transactions.writing() as session:
            session.execute(update(AccountRow).where(AccountRow.uid == uid).values(tree_known=None))

    def forgive(self, uid: str, *, who: str, now: float) -> int:
        with self._transactions.writing() as session:
            count = forgive(session, [uid])
            if count:
                wake(session, [uid], now)
                entry = AuditEntry(who, now, f"dm.retry {count} nodes", dcu_id(uid))
                session.add(audit_row(entry))
            return count

    def history(
        self, uid: str, *, uri: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[TreeChange]:
        limit = bounded(limit)
        query = select(ChangeRow).where(ChangeRow.uid == uid).order_by(ChangeRow.id.desc())
        if uri is not None:
            query = query.where(or_(ChangeRow.uri == uri, below(ChangeRow.uri, uri)))
        if after is not None:
            query = query.where(ChangeRow.id < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            rows = session.scalars(query.limit(limit + 1)).all()
            return page(rows, limit, change_of, lambda row: (row.id,))

    def purge(self, *, before: float, limit: int = 1000) -> int:
        oldest = select(ChangeRow.id, ChangeRow.at).order_by(ChangeRow.id).limit(limit)
        with self._transactions.reading() as session:
            keys = [key for key, at in session.execute(oldest) if at < before]
        if keys:  # who finds nothing has nobody wait
            with self._transactions.writing() as session:
                session.execute(delete(ChangeRow).where(ChangeRow.id.in_(keys)))
        return len(keys)

    def progress(self, name: str) -> Sequence[WishProgress]:
        with self._transactions.reading() as session:
            return progress_of(session, group_of(found_group(session, name)))

    def standing(self, which: DeviceFilter) -> Standing:
        with self._transactions.reading() as session:
            return standing_of(session, which)

    def differences(
        self, which: DeviceFilter, *, after: str | None = None, limit: int = 100
    ) -> Page[DifferentDevice]:
        with self._transactions.reading() as session:
            return differences_of(session, which, after, limit)

    def refused(
        self, which: DeviceFilter, *, after: str | None = None, limit: int = 100
    ) -> Page[tuple[str, KnownNode]]:
        with self._transactions.reading() as session:
            return refused_nodes(session, which, after, limit)

    def wake(self, uids: Sequence[str], *, now: float) -> int:
        with self._transactions.writing() as session:
            return wake(session, uids, now)


def _objects(session: Session, scope: Scope) -> frozenset[str]:
    return frozenset(object_of(wish.setting.uri) for wish in wishes_of(session, [str(scope)]))
