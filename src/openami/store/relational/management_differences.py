"""Which devices of a filter are not what they are wanted to be, found by the database.

What is wanted of a device is what its groups and itself want, as ``fleet.desired.effective`` has
it: a wish ends earlier ones for the same node, for a node below one that is not to be, and for one
above that is not to be. Earlier are those of weaker groups; of one scope, those for what is not to
be. What groups want against each other is the same for all devices, and is compared once; what a
device itself wants is looked up by the key of the table.
"""

from __future__ import annotations

from contextlib import closing
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, exists, false, func, literal, or_, select, union_all
from sqlalchemy.orm import aliased

from openami.fleet.desired import ABSENT, LOOSE, ScopeKind, equal
from openami.fleet.devices import DeviceKind
from openami.fleet.management import DifferentDevice, DifferentNode, Standing
from openami.store.relational.devices import conditions
from openami.store.relational.management_models import AccountRow, DesiredRow, KnownRow
from openami.store.relational.management_rows import members, node_of, wish_of
from openami.store.relational.management_wanted import all_groups
from openami.store.relational.models import DeviceRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from sqlalchemy import CTE, ColumnElement, Subquery
    from sqlalchemy.orm import Session

    from openami.fleet.desired import Group
    from openami.fleet.ports import DeviceFilter, Page

SLICE: Final = 2000
"""Devices that one statement compares for a page: a fleet that differs is not compared as a whole
for its first page; one that is as wanted takes some dozen statements."""
NODES: Final = 16
"""Of one device that are listed: it may differ at thousands, and its tree has them all."""
FETCH: Final = 500
"""Rows in memory at once."""

_UNSEEN: Final = AccountRow.tree_known.is_(None)
_THERE: Final = and_(KnownRow.uid.is_not(None), KnownRow.format != ABSENT)
_GONE: Final = or_(KnownRow.uid.is_(None), KnownRow.format == ABSENT)
_OTHER: Final = and_(DesiredRow.format != ABSENT, _THERE, KnownRow.value != DesiredRow.value)
# What is written otherwise and may mean the same: the database can not tell.
_LOOSE: Final = and_(_OTHER, DesiredRow.format.in_(LOOSE))
_HARD: Final = or_(
    and_(DesiredRow.format == ABSENT, _THERE),
    and_(DesiredRow.format != ABSENT, _GONE),
    and_(_OTHER, DesiredRow.format.not_in(LOOSE)),
)
_REFUSED: Final = and_(
    KnownRow.status.is_not(None),
    KnownRow.refused == DesiredRow.format + ":" + DesiredRow.value,
)


def _flag(condition: ColumnElement[bool]) -> Any:
    return case((condition, 1), else_=0)


_FLAGS: Final = {"unseen": _UNSEEN, "hard": _HARD, "loose": _LOOSE, "refused": _REFUSED}


def standing_of(session: Session, which: DeviceFilter) -> Standing:
    """Return how many devices of a filter are not what they are wanted to be."""
    total = session.scalar(select(func.count()).select_from(members(which).subquery())) or 0
    node = _apart(_groups(session), conditions(which)).c
    flags = (func.max(node[name]).label(name) for name in _FLAGS)
    device = select(node.uid, *flags).group_by(node.uid).subquery().c
    seen = device.unseen == 0
    unsure = and_(seen, device.hard == 0, device.loose == 1)
    counted = (device.unseen == 1, and_(seen, device.hard == 1), device.refused == 1, unsure)
    found = session.execute(select(*(func.sum(_flag(each)) for each in counted))).one()
    unseen, different, refused, doubtful = (int(count or 0) for count in found)
    if doubtful:
        values = select(node.uid, node.format, node.wanted, node.known)
        query = values.where(node.loose == 1, node.uid == device.uid, unsure)
        rows = session.execute(query.execution_options(yield_per=FETCH))
        different += len({uid for uid, *texts in rows if not equal(*texts)})
    return Standing(total, different, unseen, refused)


def differences_of(
    session: Session, which: DeviceFilter, after: str | None, limit: int
) -> Page[DifferentDevice]:
    """Return the devices of a filter that are not known to be as wanted, in their order."""
    limit = bounded(limit)
    start = "" if after is None else decode_cursor(after, str)[0]
    with closing(_different(session, which, start)) as devices:
        found = list(islice(devices, limit + 1))
    return page(found, limit, lambda device: device, lambda device: (device.uid,))


def _different(
    session: Session, which: DeviceFilter, low: str
) -> Generator[DifferentDevice, None, None]:
    groups = _groups(session)
    ends = members(which).order_by(DeviceRow.serial).offset(SLICE - 1).limit(1)
    while True:
        high = session.scalar(ends.where(DeviceRow.serial > low))
        last = () if high is None else (DeviceRow.serial <= high,)
        node = _apart(groups, (*conditions(which), DeviceRow.serial > low, *last)).c
        query = (
            select(node.uid, node.known_at, DesiredRow, KnownRow)
            .join(DesiredRow, and_(DesiredRow.scope == node.scope, DesiredRow.uri == node.uri))
            .outerjoin(KnownRow, and_(KnownRow.uid == node.uid, KnownRow.uri == node.uri))
            .order_by(node.uid, node.uri)
        )
        with closing(session.execute(query.execution_options(yield_per=FETCH))) as rows:
            yield from _devices(rows)
        if high is None:
            return
        low = high


def _devices(rows: Iterable[Any]) -> Iterator[DifferentDevice]:
    """Yield the devices of rows that come by device, without those that differ in form only."""
    for (uid, known_at), of_device in groupby(rows, key=lambda row: (row[0], row[1])):
        nodes: list[DifferentNode] = []
        more = 0
        for _, _, wanted, known in of_device:
            node = DifferentNode(wish_of(wanted), None if known is None else node_of(known))
            if not node.differs:
                continue
            if len(nodes) < NODES:
                nodes.append(node)
            else:
                more += 1
        if nodes or known_at is None:
            yield DifferentDevice(uid, known_at, tuple(nodes), more)


def _groups(session: Session) -> tuple[Group, ...]:
    """Return the groups that want something, the weakest first."""
    groups = all_groups(session)
    scopes = [str(group.scope) for group in groups]
    wanting = select(DesiredRow.scope).distinct().where(DesiredRow.scope.in_(scopes))
    found = set(session.scalars(wanting))
    return tuple(group for group in groups if str(group.scope) in found)


def _apart(groups: Sequence[Group], whom: Sequence[Any]) -> Subquery:
    """Return the nodes of DCUs that are not surely as wanted.

    Args:
        groups: that want something, the weakest first.
        whom: conditions for the DCUs.
    """
    scoped = _scoped(groups, whom)
    its = and_(KnownRow.uid == scoped.c.uid, KnownRow.uri == DesiredRow.uri)
    wish = (DesiredRow.scope, DesiredRow.uri, DesiredRow.format, DesiredRow.value.label("wanted"))
    flags = (_flag(condition).label(name) for name, condition in _FLAGS.items())
    what = (AccountRow.tree_known.label("known_at"), KnownRow.value.label("known"), *flags)
    # Few wishes are not fulfilled: only for these it is worth while to ask whether they hold.
    node = _materialized(
        select(scoped.c.uid, *wish, *what)
        .select_from(scoped)
        .join(DesiredRow, DesiredRow.scope == scoped.c.scope)
        .outerjoin(AccountRow, AccountRow.uid == scoped.c.uid)
        .outerjoin(KnownRow, its)
        .where(or_(_UNSEEN, _HARD, _LOOSE)),
        "node",
    )
    holds = (~_ended_by_group(groups, node, scoped), ~_ended_by_own(node))
    return select(node).where(*holds).subquery()


def _scoped(groups: Sequence[Group], whom: Sequence[Any]) -> CTE:
    """Return the scopes that DCUs belong to, by device: ``uid`` and ``scope``."""
    dcus = (DeviceRow.kind == DeviceKind.DCU.value, *whom)
    own = literal(f"{ScopeKind.DEVICE}:") + DeviceRow.serial
    found = [select(DeviceRow.serial.label("uid"), own.label("scope")).where(*dcus)]
    for group in groups:
        scope = literal(str(group.scope)).label("scope")
        found.append(select(DeviceRow.serial, scope).where(*dcus, *conditions(group.which)))
    return union_all(*found).cte("scoped")


def _ended_by_group(groups: Sequence[Group], node: CTE, scoped: CTE) -> ColumnElement[bool]:
    """Return the condition that a later wish of another group of the device ends this one."""
    if not groups:
        return false()
    ends = _ends(groups)
    return exists().where(
        ends.c.scope == node.c.scope,
        ends.c.uri == node.c.uri,
        ends.c.by == scoped.c.scope,
        scoped.c.uid == node.c.uid,
    )


def _ends(groups: Sequence[Group]) -> CTE:
    """Return which wish of a group, ``scope`` and ``uri``, is ended ``by`` which group."""
    ranks = union_all(
        *(
            select(literal(str(group.scope)).label("scope"), literal(rank).label("rank"))
            for rank, group in enumerate(groups)
        )
    ).cte("ranks")
    early, late = ranks.alias("early"), ranks.alias("late")
    one, other = aliased(DesiredRow, name="one"), aliased(DesiredRow, name="other")
    pairs = (
        select(one.scope, one.uri, other.scope.label("by"))
        .select_from(early)
        .join(one, one.scope == early.c.scope)
        .join(late, late.c.rank >= early.c.rank)
        .join(other, other.scope == late.c.scope)
    )
    stronger = late.c.rank > early.c.rank
    return _materialized(
        union_all(
            pairs.where(stronger, other.uri == one.uri),
            pairs.where(stronger, _removes(other, one.uri)),
            pairs.where(_removes(one, other.uri), other.format != ABSENT),
        ),
        "ends",
    )


def _ended_by_own(node: CTE) -> ColumnElement[bool]:
    """Return the condition that what is wanted of the device itself ends this wish."""
    own = aliased(DesiredRow, name="own")
    scope = literal(f"{ScopeKind.DEVICE}:") + node.c.uid
    stronger = or_(own.uri == node.c.uri, _removes(own, node.c.uri))
    return exists().where(
        own.scope == scope,
        or_(
            and_(node.c.scope != scope, stronger),
            and_(_removes(node.c, own.uri), own.format != ABSENT),
        ),
    )


def _materialized(query: Any, name: str) -> CTE:
    """Return a part of a statement that the database makes once, and does not mix with others."""
    found: CTE = query.cte(name).prefix_with("MATERIALIZED")
    return found


def _removes(wish: Any, uri: Any) -> ColumnElement[bool]:
    """Return the condition that a wish is for a node not to be which ``uri`` is below."""
    begins = func.substr(uri, 1, func.length(wish.uri) + 1) == wish.uri + "/"
    return and_(wish.format == ABSENT, begins)
