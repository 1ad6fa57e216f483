"""The known nodes of devices' trees: read, kept, dropped, and refusals forgotten in bulk."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, insert, or_, select, true, update

from openami.store.relational.engine import inserting
from openami.store.relational.management_models import ChangeRow, KnownRow
from openami.store.relational.management_rows import change_row, node_of, node_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.orm import Session

    from openami.fleet.desired import KnownNode
    from openami.fleet.known import TreeChange

# As they are: making an object for each of hundreds of rows takes longer than reading them.
_KNOWN: Final[Any] = KnownRow.__table__
_NAMED: Final = select(_KNOWN).where(
    _KNOWN.c.uid == bindparam("b_uid"), _KNOWN.c.uri.in_(bindparam("b_uris", expanding=True))
)
_DROP: Final = delete(_KNOWN).where(
    _KNOWN.c.uid == bindparam("b_uid"), _KNOWN.c.uri == bindparam("b_uri")
)
CHANGES: Final = 4096
"""Of one device that are kept: twice all nodes that a scope may want. Whatever a device says of
itself, session after session, makes no more."""

_CHANGE: Final[Any] = ChangeRow.__table__
_BEYOND: Final = (
    select(_CHANGE.c.id)
    .where(_CHANGE.c.uid == bindparam("b_uid"))
    .order_by(_CHANGE.c.id.desc())
    .offset(CHANGES)
    .limit(1)
)
_TRIM: Final = delete(_CHANGE).where(
    _CHANGE.c.uid == bindparam("b_uid"), _CHANGE.c.id <= bindparam("b_id")
)


def below(column: Any, uri: str) -> ColumnElement[bool]:
    """Return the condition that a node stands below ``uri``."""
    found: ColumnElement[bool] = column.startswith(f"{uri}/", autoescape=True)
    return found


def under(uris: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that a known node is one of ``uris``, or stands below one."""
    named = list(uris)
    return or_(KnownRow.uri.in_(named), *(below(KnownRow.uri, uri) for uri in named))


def known_nodes(
    session: Session, uid: str, conditions: Sequence[ColumnElement[bool]]
) -> Mapping[str, KnownNode]:
    """Return what is known of a device under some conditions, by address."""
    query = select(_KNOWN).where(_KNOWN.c.uid == uid, *conditions).order_by(_KNOWN.c.uri)
    return {row.uri: node_of(row) for row in session.connection().execute(query)}


def named_nodes(session: Session, uid: str, uris: Sequence[str]) -> Mapping[str, KnownNode]:
    """Return what is known of some nodes of a device, by address."""
    which = {"b_uid": uid, "b_uris": uris}
    return {row.uri: node_of(row) for row in session.connection().execute(_NAMED, which)}


@lru_cache(maxsize=2)
def _putting(dialect: str) -> Any:
    """Return the statement that keeps a node in place of what was known of it."""
    statement = inserting(dialect, _KNOWN)
    fresh = {c.name: statement.excluded[c.name] for c in _KNOWN.c if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(_KNOWN.primary_key), set_=fresh)


def put_nodes(session: Session, uid: str, nodes: Sequence[KnownNode]) -> None:
    """Keep nodes, in place of what was known of them."""
    if nodes:
        rows = session.connection()
        rows.execute(_putting(rows.dialect.name), [node_row(uid, node) for node in nodes])


def drop_nodes(session: Session, uid: str, uris: Sequence[str]) -> None:
    """Forget nodes."""
    if uris:
        session.connection().execute(_DROP, [{"b_uid": uid, "b_uri": uri} for uri in uris])


def add_changes(session: Session, uid: str, changes: Sequence[TreeChange]) -> None:
    """Add changes to a device's history, and forget what is beyond ``CHANGES``."""
    if not changes:
        return
    rows = [change_row(change) for change in changes[-CHANGES:]]
    session.connection().execute(insert(_CHANGE), rows)
    beyond = session.scalar(_BEYOND, {"b_uid": uid})
    if beyond is not None:
        session.execute(_TRIM, {"b_uid": uid, "b_id": beyond})


def forgive(
    session: Session, whom: Select[str] | Sequence[str], objects: Iterable[str] = ()
) -> int:
    """Forget what devices have refused of some objects, or of all; return how many nodes it was.

    What was refused together stays known, for it is tried again together and apart from others.
    """
    named = list(objects)
    anywhere = under(named) if named else true()
    refused = (KnownRow.refused.is_not(None), KnownRow.uid.in_(whom), anywhere)
    there = update(KnownRow).where(*refused).values(refused=None, status=None, words="")
    done = session.execute(there.execution_options(synchronize_session=False))
    return int(done.rowcount)  # type: ignore[attr-defined]  # of an UPDATE
