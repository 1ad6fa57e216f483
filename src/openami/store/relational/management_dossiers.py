"""The dossiers of devices, in the database: read in a few statements and written in a few.

What a statement costs is the same for one device as for fifty; so is a durable commit.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select, update

from openami.fleet.dossiers import FACTS, Dossier
from openami.fleet.tasks import TaskKind
from openami.store.relational.engine import normalised
from openami.store.relational.management_models import AccountRow
from openami.store.relational.management_nodes import (
    add_changes,
    drop_nodes,
    facts,
    known_nodes,
    named_nodes,
    put_nodes,
    refusals,
    under,
)
from openami.store.relational.management_rows import wake
from openami.store.relational.management_wanted import wanted_of
from openami.store.relational.management_work import (
    jobs_by_age,
    keep_tasks,
    one_task,
    waiting_tasks,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.desired import KnownNode
    from openami.fleet.tasks import ManagementJob, Task
    from openami.store.relational.engine import Transactions

_ACCOUNT: Final[Any] = AccountRow.__table__
_KNOWN_AT: Final = select(_ACCOUNT.c.uid, _ACCOUNT.c.tree_known).where(
    _ACCOUNT.c.uid.in_(bindparam("b_uids", expanding=True))
)
_KNOW: Final = (
    update(_ACCOUNT)
    .where(_ACCOUNT.c.uid == bindparam("b_uid"))
    .values(tree_known=bindparam("b_at"))
)


class DossierRepository:
    """Implements ``Dossiers``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._turns = count(1)

    @contextmanager
    def opened(
        self, uids: Collection[str], *, now: float, begin: Collection[str] = ()
    ) -> Iterator[Mapping[str, Dossier]]:
        # It may write, so it is the one writer from the start: see ``engine``.
        with self._transactions.writing() as session:
            found = _read(session, sorted(set(uids)), now, begin)
            yield {dossier.uid: dossier for dossier in found}
            _write(session, found, next(self._turns))


class _Reader:
    """Implements ``Reader`` within a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def named(self, uid: str, uris: Sequence[str]) -> Mapping[str, KnownNode]:
        with normalised():
            return {node.uri: node for _, node in named_nodes(self._session, [uid], uris)}

    def below(self, uid: str, tops: Sequence[str]) -> Mapping[str, KnownNode]:
        with normalised():
            return known_nodes(self._session, uid, (under(tops),))

    def task(self, uid: str, job: str) -> Task:
        with normalised():
            return one_task(self._session.connection(), uid, job)


def _read(
    session: Session, uids: Sequence[str], now: float, begin: Collection[str]
) -> Sequence[Dossier]:
    rows = session.connection()
    known_at = {row.uid: row.tree_known for row in rows.execute(_KNOWN_AT, {"b_uids": uids})}
    wanted = wanted_of(session, uids)
    tasks: defaultdict[str, dict[str, Task]] = defaultdict(dict)
    for task in waiting_tasks(rows, uids, now):
        tasks[task.uid][task.job] = task
    jobs = jobs_by_age(rows, {job for mine in tasks.values() for job in mine})
    needed = {uid: _needed(wanted[uid], tasks[uid], jobs) for uid in uids}
    nodes = _nodes(session, needed, begin)
    reader = _Reader(session)
    return [
        Dossier(
            uid,
            reader,
            known_at.get(uid),
            wanted[uid],
            nodes[uid],
            {FACTS} if uid in begin else set(),
            {job.id: job for job in jobs.values() if job.id in tasks[uid]},
            tasks[uid],
        )
        for uid in uids
    ]


def _needed(
    wanted: Mapping[str, Any], tasks: Mapping[str, Task], jobs: Mapping[str, ManagementJob]
) -> frozenset[str]:
    """Return the addresses of the nodes that a session may have to tell of next."""
    set_by = (jobs[job].commands for job in tasks if jobs[job].kind is TaskKind.SET)
    return frozenset(wanted).union(command.uri for command in chain.from_iterable(set_by))


def _nodes(
    session: Session, needed: Mapping[str, frozenset[str]], begin: Collection[str]
) -> Mapping[str, dict[str, KnownNode | None]]:
    nodes: dict[str, dict[str, KnownNode | None]] = {
        uid: dict.fromkeys(uris) for uid, uris in needed.items()
    }
    alike: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for uid, uris in needed.items():
        alike[uris].append(uid)
    found = [named_nodes(session, uids, uris) for uris, uids in alike.items() if uris]
    found.append(refusals(session, list(needed)))
    if begin:
        found.append(facts(session, list(begin)))
    for uid, node in chain.from_iterable(found):
        nodes[uid][node.uri] = node
    return nodes


def _write(session: Session, dossiers: Sequence[Dossier], turn: int) -> None:
    """Keep what has changed, device by device in one order, so that nobody waits in a circle."""
    rows = session.connection()
    nodes = [
        (one.uid, uri, one.nodes[uri]) for one in dossiers for uri in sorted(one.changed.nodes)
    ]
    drop_nodes(session, ((uid, uri) for uid, uri, node in nodes if node is None))
    put_nodes(session, ((uid, node) for uid, _, node in nodes if node is not None))
    add_changes(session, [change for one in dossiers for change in one.changed.history], turn)
    keep_tasks(rows, (one.tasks[job] for one in dossiers for job in sorted(one.changed.tasks)))
    known = [{"b_uid": one.uid, "b_at": one.known_at} for one in dossiers if one.changed.known]
    if known:
        rows.execute(_KNOW, known)
    for one in dossiers:
        if one.changed.wake is not None:
            wake(session, [one.uid], one.changed.wake)
