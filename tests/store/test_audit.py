"""The audit log as a chain, on every backend."""

from __future__ import annotations

import concurrent.futures
import random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.fleet.test_audit import head_of
from tests.support.killed import run_and_kill
from tests.support.migrated import bring_to

from openami.fleet.audit import AuditError, Head, extend
from openami.fleet.devices import AuditEntry
from openami.store.relational import RelationalStore, open_engine, upgrade

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WRITERS = 4
EACH = 25
KILLS = 4


def said(number: int) -> AuditEntry:
    return AuditEntry(f"who {number % 3}", float(number), f"what.{number}", "it")


def laying(head: Head | None, entries: Sequence[AuditEntry]) -> tuple[Sequence[AuditEntry], Head]:
    laid = extend(head or Head(), entries)
    return laid, head_of(laid)


def whole(store: RelationalStore) -> Sequence[AuditEntry]:
    """Return the chain, which hangs together and ends with its head."""
    entries = store.audit.chained(after=0, limit=1000)
    bare = [AuditEntry(e.who, e.when, e.what, e.subject, e.why, e.id) for e in entries]
    assert list(extend(Head(), bare)) == entries
    head = store.audit.head()
    assert head is not None
    assert (head.number, head.hash) == (len(entries), entries[-1].hash)
    return entries


def test_entries_get_their_places_in_the_order_in_which_they_came(store: RelationalStore) -> None:
    assert store.audit.head() is None
    assert store.audit.lay(laying, most=10) == 0
    for number in range(5):
        store.audit.add(said(number))
    assert store.audit.waiting() == 5
    assert [store.audit.lay(laying, most=3) for _ in range(3)] == [3, 2, 0]
    assert [entry.what for entry in whole(store)] == [f"what.{n}" for n in range(5)]
    assert [entry.number for entry in store.audit.list().items] == [5, 4, 3, 2, 1]
    store.audit.add(said(5))
    assert store.audit.list(limit=1).items[0].number is None
    assert store.audit.lay(laying, most=3) == 1
    assert [entry.number for entry in store.audit.chained(after=4, limit=9)] == [5, 6]
    assert store.audit.waiting() == 0


def test_whoever_writes_and_whoever_lays_at_once_make_one_chain(where: Path | str) -> None:
    first = RelationalStore.open(where)
    second = RelationalStore.open(where)

    def write(writer: int) -> None:
        store = (first, second)[writer % 2]
        for number in range(EACH):
            store.audit.add(said(writer * EACH + number))

    def lay(store: RelationalStore) -> None:
        while not all(one.done() for one in writing):
            store.audit.lay(laying, most=7)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        writing = [pool.submit(write, writer) for writer in range(WRITERS)]
        for one in (*writing, *(pool.submit(lay, store) for store in (first, second))):
            one.result()
    while first.audit.lay(laying, most=7):
        pass
    assert len({entry.id for entry in whole(first)}) == WRITERS * EACH
    second.close()
    first.close()


def test_what_is_laid_comes_whole_or_not_at_all(store: RelationalStore) -> None:
    store.audit.add(said(1))

    def failing(
        head: Head | None, entries: Sequence[AuditEntry]
    ) -> tuple[Sequence[AuditEntry], Head]:
        del head, entries
        raise AuditError("no")

    with pytest.raises(AuditError):
        store.audit.lay(failing, most=10)
    assert (store.audit.head(), store.audit.waiting()) == (None, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        "DELETE FROM audit WHERE number = 3",
        "UPDATE audit_head SET number = 2",
        "UPDATE audit SET hash = (SELECT hash FROM audit WHERE number = 1) WHERE number = 3",
    ],
)
def test_nothing_is_laid_on_what_is_not_what_was_signed(store: RelationalStore, spoil: str) -> None:
    for number in range(3):
        store.audit.add(said(number))
    store.audit.lay(laying, most=10)
    with store._engine.begin() as connection:
        connection.execute(text(spoil))
    store.audit.add(said(9))
    with pytest.raises(AuditError) as caught:
        store.audit.lay(laying, most=10)
    assert (caught.value.code, caught.value.number) == ("audit.broken", 3)


def test_the_log_of_an_older_version_is_laid_from_its_beginning(where: Path | str) -> None:
    engine = open_engine(where)
    with engine.begin() as connection:
        bring_to(connection, "0012")
        for number in range(3):
            connection.execute(
                text(
                    "INSERT INTO audit (who, at, what, subject, why) VALUES ('a', :n, 'b', 'c', '')"
                ),
                {"n": float(number)},
            )
    upgrade(engine)
    store = RelationalStore(engine)
    assert store.audit.lay(laying, most=10) == 3
    assert [entry.when for entry in whole(store)] == [0.0, 1.0, 2.0]
    store.close()


def test_entries_are_found_by_who_what_and_when(store: RelationalStore) -> None:
    for number in range(6):
        store.audit.add(said(number))
    store.audit.add(AuditEntry("who 0", 9.0, "what_4%", "other"))

    def found(**chosen: object) -> list[float]:
        return [entry.when for entry in store.audit.list(**chosen).items]  # type: ignore[arg-type]  # any of them

    assert found(who="who 0") == [9.0, 3.0, 0.0]
    assert found(what="what.4") == [4.0]
    assert found(what="what_") == [9.0]
    assert found(what="WHAT") == []
    assert found(since=2.0, until=4.0) == [3.0, 2.0]
    assert found(who="who 0", subject="it", since=1.0) == [3.0]


def test_a_process_that_is_killed_while_it_lays_leaves_one_chain(tmp_path: Path) -> None:
    """Killed by SIGKILL wherever it is; the one that follows goes on from there."""
    path, chance = tmp_path / "db.sqlite", random.Random(7)
    laid = [
        run_and_kill("tests.support.audit_child", str(path), after_lines=3, chance=chance)
        for _ in range(KILLS)
    ]
    store = RelationalStore.open(path)
    while store.audit.lay(laying, most=2):
        pass
    assert len(whole(store)) >= sum(int(number) for lines in laid for number in lines)
    store.close()
