"""How far a fleet is what it is wanted to be, counted by the database."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, func, or_, select, tuple_

from openami.fleet.desired import ABSENT, LOOSE, equal
from openami.fleet.management import WishProgress
from openami.store.relational.management_models import AccountRow, DesiredRow, KnownRow
from openami.store.relational.management_rows import members, node_of, wish_of
from openami.store.relational.models import DeviceRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.desired import Group, KnownNode
    from openami.fleet.ports import DeviceFilter, Page

_GONE: Final = or_(KnownRow.uid.is_(None), KnownRow.format == ABSENT)
_THERE: Final = KnownRow.format != ABSENT
_SO: Final = case(
    (DesiredRow.format == ABSENT, _GONE),
    else_=and_(_THERE, KnownRow.value == DesiredRow.value),
)
# What is written otherwise and may mean the same; the database can not tell.
_LOOSE: Final = and_(
    DesiredRow.format != ABSENT,
    _THERE,
    KnownRow.value != DesiredRow.value,
    DesiredRow.format.in_(LOOSE),
)


def progress_of(session: Session, group: Group) -> Sequence[WishProgress]:
    """Return for each wish of a group how many of its devices are as it says."""
    seen = AccountRow.tree_known.is_not(None)
    query = _of(
        group,
        DesiredRow,
        func.count(),
        func.sum(case((and_(seen, _SO), 1), else_=0)),
        func.sum(case((KnownRow.refused.is_not(None), 1), else_=0)),
    ).group_by(*DesiredRow.__table__.c)
    same = _meant(session, group)
    return tuple(
        WishProgress(wish_of(row), total, (so or 0) + same[row.uri], refused or 0)
        for row, total, so, refused in session.execute(query.order_by(DesiredRow.uri))
    )


def _meant(session: Session, group: Group) -> Counter[str]:
    """Return how many devices have what is wanted in another form, by address.

    They are few forms of few values; a fleet is not read row by row.
    """
    what = (DesiredRow.uri, DesiredRow.format, DesiredRow.value, KnownRow.value)
    query = (
        _of(group, *what, func.count())
        .where(AccountRow.tree_known.is_not(None), _LOOSE)
        .group_by(*what)
    )
    found: Counter[str] = Counter()
    for uri, form, wanted, known, count in session.execute(query):
        if equal(form, wanted, known):
            found[uri] += count
    return found


def _of(group: Group, *columns: Any) -> Any:
    """Return the query for something of a group's wishes at each of its devices."""
    return (
        select(*columns)
        .select_from(DesiredRow)
        .join(AccountRow, AccountRow.uid.in_(members(group.which)))
        .outerjoin(KnownRow, and_(KnownRow.uid == AccountRow.uid, KnownRow.uri == DesiredRow.uri))
        .where(DesiredRow.scope == str(group.scope))
    )


def refused_nodes(
    session: Session, which: DeviceFilter, after: str | None, limit: int
) -> Page[tuple[str, KnownNode]]:
    """Return what devices have refused, by device and address."""
    limit = bounded(limit)
    # What is refused has an index, and is rare: the devices are asked for by it, not walked.
    member = members(which).where(DeviceRow.serial == KnownRow.uid).exists()
    query = select(KnownRow).where(KnownRow.refused.is_not(None), member)
    if after is not None:
        query = query.where(
            tuple_(KnownRow.uid, KnownRow.uri) > tuple_(*decode_cursor(after, str, str))
        )
    rows = session.scalars(query.order_by(KnownRow.uid, KnownRow.uri).limit(limit + 1)).all()
    return page(rows, limit, lambda row: (row.uid, node_of(row)), lambda row: (row.uid, row.uri))
