"""The known nodes of devices' trees: read, kept, dropped, and refusals forgotten in bulk."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, collate, delete, insert, or_, select, true, update

from openami.fleet.desired import is_below
from openami.fleet.dossiers import FACTS
from openami.store.relational.engine import inserting
from openami.store.relational.management_models import ChangeRow, KnownRow
from openami.store.relational.management_rows import change_row, known_node, node_of, node_row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.orm import Session

    from openami.fleet.desired import KnownNode
    from openami.fleet.known import TreeChange

# As they are: making an object for each of hundreds of rows takes longer than reading them.
_KNOWN: Final[Any] = KnownRow.__table__
_OF_DEVICES: Final = select(_KNOWN).where(_KNOWN.c.uid.in_(bindparam("b_uids", expanding=True)))
_NAMED: Final = _OF_DEVICES.where(_KNOWN.c.uri.in_(bindparam("b_uris", expanding=True)))
_REFUSED: Final = _OF_DEVICES.where(_KNOWN.c.refused.is_not(None))
_DROP: Final = delete(_KNOWN).where(
    _KNOWN.c.uid == bindparam("b_uid"), _KNOWN.c.uri == bindparam("b_uri")
)
CHANGES: Final = 4096
"""Of one device that are kept: twice all nodes that a scope may want. Whatever a device says of
itself, session after session, makes hardly more."""
TRIM_EVERY: Final = 16
"""What is beyond is looked for with one of so many additions, or for one of so many changes."""

_CHANGE: Final[Any] = ChangeRow.__table__
_ADD_CHANGE: Final = insert(_CHANGE)
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


def named_nodes(
    session: Session, uids: Sequence[str], uris: Collection[str]
) -> Iterator[tuple[str, KnownNode]]:
    """Yield what is known of some nodes of some devices, with their UIDs."""
    return _nodes(session, _NAMED, {"b_uids": uids, "b_uris": list(uris)})


def refusals(session: Session, uids: Sequence[str]) -> Iterator[tuple[str, KnownNode]]:
    """Yield the nodes that some devices have refused, with their UIDs."""
    return _nodes(session, _REFUSED, {"b_uids": uids})


def facts(session: Session, uids: Sequence[str]) -> Iterator[tuple[str, KnownNode]]:
    """Yield what some devices have told of themselves when a session began, with their UIDs."""
    found = _nodes(session, _telling(session.connection().dialect.name), {"b_uids": uids})
    return ((uid, node) for uid, node in found if node.uri == FACTS or is_below(node.uri, FACTS))


def _nodes(session: Session, query: Any, which: Any) -> Iterator[tuple[str, KnownNode]]:
    rows = session.connection().execute(query, which).all()
    return ((uid, known_node(columns)) for uid, *columns in rows)


@lru_cache(maxsize=2)
def _telling(dialect: str) -> Any:
    """Return the query for what may be below ``FACTS``, by the order of octets.

    That is the order of SQLite's index, which then finds them among the thousands of a device.
    """
    uri = _KNOWN.c.uri if dialect == "sqlite" else collate(_KNOWN.c.uri, "C")
    return _OF_DEVICES.where(uri >= FACTS, uri < f"{FACTS}0")  # "0" comes after "/"


@lru_cache(maxsize=2)
def _putting(dialect: str) -> Any:
    """Return the statement that keeps a node in place of what was known of it."""
    statement = inserting(dialect, _KNOWN)
    fresh = {c.name: statement.excluded[c.name] for c in _KNOWN.c if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(_KNOWN.primary_key), set_=fresh)


def put_nodes(session: Session, nodes: Iterable[tuple[str, KnownNode]]) -> None:
    """Keep nodes, each with its device's UID, in place of what was known of them."""
    if found := [node_row(uid, node) for uid, node in nodes]:
        rows = session.connection()
        rows.execute(_putting(rows.dialect.name), found)


def drop_nodes(session: Session, nodes: Iterable[tuple[str, str]]) -> None:
    """Forget nodes, named by UID and address."""
    if found := [{"b_uid": uid, "b_uri": uri} for uid, uri in nodes]:
        session.connection().execute(_DROP, found)


def add_changes(session: Session, changes: Sequence[TreeChange], turn: int) -> None:
    """Add changes to the histories of devices, and forget what is beyond ``CHANGES``.

    Args:
        session: of the transaction.
        changes: of any devices, each device's in order.
        turn: how many times this was called before.
    """
    if not changes:
        return
    session.connection().execute(_ADD_CHANGE, [change_row(change) for change in changes])
    for uid, count in Counter(change.uid for change in changes).items():
        if turn % TRIM_EVERY == 0 or count * TRIM_EVERY >= CHANGES:
            _trim(session, uid)


def _trim(session: Session, uid: str) -> None:
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
