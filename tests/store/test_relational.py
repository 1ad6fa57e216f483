"""The contract of the relational store, on every backend."""

from __future__ import annotations

import concurrent.futures
import json
import logging
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest
from argon2 import PasswordHasher
from tests.support.readings import MIDNIGHT
from tests.support.small_disk import kinds, small_disk

from openami.core.errors import ConflictError, NotFoundError, StoreError, StoreFullError
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.fleet.devices import (
    AuditEntry,
    Contact,
    Device,
    DeviceKind,
    Fault,
    LifecycleState,
    Location,
    ReadSchedule,
    Sighting,
)
from openami.fleet.events import MeterEvent
from openami.fleet.jobs import (
    Failed,
    Finished,
    Job,
    JobState,
    Started,
    Target,
    TargetResult,
    WakeDcu,
)
from openami.fleet.ledger import KEEP_LAST, KEEP_S
from openami.fleet.operators import Operator, Role, SessionKind
from openami.fleet.ports import Batch, DeviceFilter, Page
from openami.mdm.readings import events_table
from openami.store.relational import RelationalStore, open_engine, upgrade
from openami.store.relational.engine import Transactions
from openami.store.relational.operators import OperatorRepository
from openami.store.relational.paging import encode_cursor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T1, T2 = SystemTitle.of("OAM", 1), SystemTitle.of("OAM", 2)
FULL = Device(
    DeviceKind.METER, "A1", LifecycleState.COMMISSIONED, T1, "OAM A1", "M1", "1.0", "D1", "17",
    Contact.OK, 1.5, 2.5, 3.5, -0.5, Fault("line.timeout", "no answer"), Location(37.5, 127.0),
    "kitchen", "north",
)  # fmt: skip


def meter(serial: str, **more: Any) -> Sighting:
    return Sighting(DeviceKind.METER, serial, **more)


def pages(ask: Callable[..., Page[Any]], limit: int, **which: Any) -> list[Any]:
    items: list[Any] = []
    after = None
    while True:
        page = ask(after=after, limit=limit, **which)
        assert len(page.items) <= limit
        items += page.items
        after = page.next
        if after is None:
            return items


# Devices


def test_a_device_comes_back_as_it_was_added(store: RelationalStore) -> None:
    plain = Device(DeviceKind.DCU, "D1")
    for device in (FULL, plain):
        assert store.devices.add(device, who="anna", when=5.0, why="new") == device
        assert store.devices.get(device.id) == device
    assert store.devices.by_system_title(T1) == FULL
    assert store.devices.by_system_title(T2) is None
    with pytest.raises(NotFoundError):
        store.devices.get("meter-none")
    (entry,) = store.audit.list(subject="meter-A1").items
    assert (entry.who, entry.when, entry.what, entry.why) == (
        "anna", 5.0, "device.added as commissioned", "new",
    )  # fmt: skip


def test_a_device_is_added_once(store: RelationalStore) -> None:
    store.devices.add(FULL, who="anna", when=5.0)
    with pytest.raises(ConflictError, match="registered already"):
        store.devices.add(replace(FULL, system_title=T2), who="anna", when=6.0)
    with pytest.raises(ConflictError, match="another device"):
        store.devices.add(replace(FULL, serial="A2"), who="anna", when=6.0)
    assert len(store.audit.list().items) == 1


def test_a_report_brings_the_registry_up_to_date(store: RelationalStore) -> None:
    store.devices.add(FULL, who="anna", when=5.0)
    told = [
        meter("A1", dcu="D1", last_read=9.0),
        meter("A2", dcu="D1", system_title=T2, contact=Contact.DISCOVERED),
        Sighting(DeviceKind.DCU, "D1", model="C1"),
    ]
    one, two, dcu = store.devices.sight(told, now=10.0)
    assert one == replace(FULL, last_seen=10.0, last_read=9.0, fault=None)
    assert (two.state, two.first_seen, two.system_title) == (LifecycleState.REGISTERED, 10.0, T2)
    assert dcu.model == "C1"
    assert [store.devices.get(d.id) for d in (one, two, dcu)] == [one, two, dcu]
    assert store.devices.sight(told, now=10.0) == (one, two, dcu)
    assert store.devices.sight([], now=11.0) == ()
    assert [entry.subject for entry in store.audit.list().items] == [
        "dcu-D1", "meter-A2", "meter-A1",
    ]  # fmt: skip


def test_a_meter_moves_to_the_dcu_that_sees_it(store: RelationalStore) -> None:
    store.devices.sight([meter("A1", dcu="D1")], now=10.0)
    (moved,) = store.devices.sight([meter("A1", dcu="D2")], now=11.0)
    assert moved.dcu == "D2"
    newest, oldest = store.audit.list(subject="meter-A1").items
    assert (oldest.what, newest.what) == ("device.registered at D1", "device.found at D2")


def test_a_system_title_stays_where_it_was(store: RelationalStore) -> None:
    store.devices.sight([meter("A1", system_title=T1)], now=10.0)
    told = [
        meter("A2", system_title=T1),
        meter("A3", system_title=T2),
        meter("A4", system_title=T2),
        meter("A4", model="M1"),
    ]
    titles = [device.system_title for device in store.devices.sight(told, now=11.0)]
    assert titles == [None, T2, None, None]
    assert store.devices.get("meter-A4").model == "M1"


def test_descriptions(store: RelationalStore) -> None:
    store.devices.add(Device(DeviceKind.METER, "A1"), who="anna", when=5.0)
    place = Location(37.5, 127.0)
    store.devices.describe("meter-A1", who="ben", when=6.0, label="kitchen", location=place)
    device = store.devices.describe("meter-A1", who="ben", when=7.0, region="north")
    assert (device.label, device.region, device.location) == ("kitchen", "north", place)
    assert store.devices.get("meter-A1") == device
    assert [entry.what for entry in store.audit.list(limit=2).items] == [
        "device.described: region", "device.described: label, location",
    ]  # fmt: skip
    with pytest.raises(NotFoundError):
        store.devices.describe("meter-A2", who="ben", when=6.0, label="x")


def test_the_lifecycle_is_audited(store: RelationalStore) -> None:
    store.devices.add(Device(DeviceKind.METER, "A1"), who="anna", when=5.0)
    moved = store.devices.move(
        "meter-A1", LifecycleState.COMMISSIONED, who="ben", when=6.0, why="installed"
    )
    assert store.devices.get("meter-A1") == moved
    with pytest.raises(ConflictError):
        store.devices.move("meter-A1", LifecycleState.MANUFACTURED, who="ben", when=7.0, why="")
    assert store.devices.get("meter-A1").state is LifecycleState.COMMISSIONED
    newest = store.audit.list(limit=1).items[0]
    assert (newest.who, newest.what, newest.why) == (
        "ben", "device.state registered to commissioned", "installed",
    )  # fmt: skip


def test_devices_advance_together_each_from_where_it_is(store: RelationalStore) -> None:
    for serial, state in (
        ("A1", LifecycleState.MANUFACTURED), ("A2", LifecycleState.COMMISSIONED),
        ("A3", LifecycleState.SUSPENDED), ("A4", LifecycleState.MANUFACTURED),
    ):  # fmt: skip
        device = Device(DeviceKind.METER, serial, state=state)
        store.devices.add(device, who="anna", when=5.0)
    onward = {
        LifecycleState.MANUFACTURED: LifecycleState.REGISTERED,
        LifecycleState.REGISTERED: LifecycleState.COMMISSIONED,
        LifecycleState.COMMISSIONED: LifecycleState.IN_SERVICE,
    }
    ids = [f"meter-A{number}" for number in (1, 2, 3, 9)]
    moved = store.devices.advance(ids, onward, who="head-end", when=6.0, why="it works")
    assert [device.state for device in moved] == [
        LifecycleState.IN_SERVICE, LifecycleState.IN_SERVICE, LifecycleState.SUSPENDED,
    ]  # fmt: skip
    assert store.devices.get("meter-A1") == moved[0]
    assert store.devices.get("meter-A4").state is LifecycleState.MANUFACTURED
    entries = [entry for entry in store.audit.list(limit=100).items if entry.who == "head-end"]
    assert [(entry.subject, entry.what) for entry in reversed(entries)] == [
        ("meter-A1", "device.state manufactured to registered"),
        ("meter-A1", "device.state registered to commissioned"),
        ("meter-A1", "device.state commissioned to in service"),
        ("meter-A2", "device.state commissioned to in service"),
    ]


def test_lists_of_devices(store: RelationalStore) -> None:
    store.devices.sight([meter(f"A{n:02}", dcu=f"D{n % 2}") for n in range(25)], now=1.0)
    store.devices.sight([Sighting(DeviceKind.DCU, "D1", contact=Contact.OK)], now=1.0)
    store.devices.describe("meter-A03", who="anna", when=1.0, label="50%_", region="north")
    everyone = pages(store.devices.list, 7)
    assert [device.id for device in everyone] == ["dcu-D1", *(f"meter-A{n:02}" for n in range(25))]

    def ids(**which: Any) -> list[str]:
        return [
            device.serial for device in pages(store.devices.list, 4, which=DeviceFilter(**which))
        ]

    assert len(ids(kind=DeviceKind.METER)) == 25
    assert ids(dcu="D1", search="A0") == ["A01", "A03", "A05", "A07", "A09"]
    assert ids(search="a03") == ["A03"]
    assert ids(search="%_") == ["A03"]
    assert ids(region="north") == ["A03"]
    assert ids(contact=Contact.OK) == ["D1"]
    assert ids(state=LifecycleState.RETIRED) == []
    assert len(store.devices.list(limit=0).items) == 1
    assert len(store.devices.list(limit=10**9).items) == 26


def test_counts(store: RelationalStore) -> None:
    told = [
        meter("A1", last_read=9_500.0),
        meter("A2", last_read=7_000.0, contact=Contact.OK),
        meter("A3", last_read=-20_000.0),
    ]
    store.devices.sight([*told, meter("A4"), Sighting(DeviceKind.DCU, "D1")], now=9_900.0)
    store.devices.add(Device(DeviceKind.METER, "A5"), who="anna", when=1.0)
    store.devices.move("meter-A1", LifecycleState.SUSPENDED, who="anna", when=1.0, why="")
    counts = store.devices.counts(DeviceKind.METER, schedule=ReadSchedule(900.0), now=10_000.0)
    assert counts.total == 5
    assert counts.by_state == {"registered": 4, "suspended": 1}
    assert counts.by_health == {"ok": 2, "late": 1, "unreachable": 2}
    assert {name: n for name, n in counts.by_contact.items() if n} == {"unknown": 4, "ok": 1}
    assert (counts.read_hour, counts.read_day) == (2, 3)
    empty = store.devices.counts(DeviceKind.IHD, schedule=ReadSchedule(), now=1.0)
    assert (empty.total, empty.by_health) == (0, {"ok": 0, "late": 0, "unreachable": 0})


def test_counts_of_one_dcu(store: RelationalStore) -> None:
    told = [meter("A1", last_read=-70_000.0, dcu="D1"), meter("A2", last_read=9_500.0, dcu="D2")]
    store.devices.sight(told, now=9_900.0)
    counted = {
        dcu: store.devices.counts(
            DeviceKind.METER, schedule=ReadSchedule(900.0), now=10_000.0, dcu=dcu
        )
        for dcu in ("D1", "D2", "D3")
    }
    assert [found.total for found in counted.values()] == [1, 1, 0]
    assert [found.read_hour for found in counted.values()] == [0, 1, 0]
    assert [found.read_day for found in counted.values()] == [1, 1, 0]
    assert counted["D1"].by_health == {"ok": 0, "late": 0, "unreachable": 1}


# Jobs

TARGET = Target(3, Obis.parse("1.0.1.8.0.255"), 2)


def job(name: str = "j1", **changes: Any) -> Job:
    plain = Job(name, "A1", "D1", "anna", created=1.0, expires=100.0, targets=(TARGET,))
    return replace(plain, **changes)


def test_a_job_goes_its_way(store: RelationalStore) -> None:
    assert store.jobs.add(job()) == job()
    assert store.jobs.get("j1") == job()
    (offered,) = store.jobs.offer("D1", now=2.0, lease=30.0)
    assert (offered.state, offered.lease_until) == (JobState.OFFERED, 32.0)
    assert store.jobs.offer("D1", now=3.0, lease=30.0) == ()
    result = TargetResult(TARGET, {"deep": [1, 2.5, None, "x"]}, -3, 30)
    running, effects = store.jobs.apply("j1", Started(4.0, 34.0, 0.5, (result,)))
    assert store.jobs.get("j1") == running
    assert len(effects) == 1
    bad = replace(result, value=None, error="access.denied")
    done, _ = store.jobs.apply("j1", Finished(5.0, (result, bad)))
    assert store.jobs.get("j1") == done
    assert done.results == (result, bad)
    assert store.jobs.apply("j1", Failed(6.0, "late")) == (done, ())


def test_jobs_are_offered_to_their_dcu_oldest_first(store: RelationalStore) -> None:
    for n in range(5):
        store.jobs.add(job(f"j{n}", created=10.0 - n, dcu="D1" if n else "D2"))
    store.jobs.add(job("over", expires=1.0))
    offered = store.jobs.offer("D1", now=20.0, lease=30.0, limit=2)
    assert [one.id for one in offered] == ["j4", "j3"]
    assert [one.id for one in store.jobs.offer("D1", now=20.0, lease=30.0)] == ["j2", "j1"]


def test_leases_and_jobs_end_with_time(store: RelationalStore) -> None:
    for n in range(4):
        store.jobs.add(job(f"j{n}", expires=100.0 if n < 3 else 15.0))
    store.jobs.offer("D1", now=2.0, lease=10.0, limit=2)
    assert store.jobs.pass_time(now=11.9) == ()
    effects = store.jobs.pass_time(now=12.0)
    assert effects.count(WakeDcu("D1")) == 2
    assert len(store.jobs.offer("D1", now=13.0, lease=10.0)) == 4
    store.jobs.pass_time(now=15.0)
    assert store.jobs.get("j3").state is JobState.EXPIRED
    store.jobs.pass_time(now=100.0)
    assert {store.jobs.get(f"j{n}").state for n in range(4)} == {JobState.EXPIRED}
    assert store.jobs.pass_time(now=500.0) == ()


def test_jobs_that_ended_long_ago_are_forgotten(store: RelationalStore) -> None:
    for n in range(6):
        store.jobs.add(job(f"j{n}"))
    for n in range(5):
        store.jobs.apply(f"j{n}", Finished(float(10 + n)) if n % 2 else Failed(float(10 + n), "x"))
    assert store.jobs.purge(before=10.0) == 0
    assert store.jobs.purge(before=14.0, limit=3) == 3
    assert [one.id for one in store.jobs.list().items] == ["j5", "j4", "j3"]
    assert store.jobs.purge(before=14.0, limit=3) == 1
    # What has not ended is kept, however old it is.
    assert store.jobs.purge(before=1e9) == 1
    assert [one.id for one in store.jobs.list().items] == ["j5"]
    with pytest.raises(NotFoundError):
        store.jobs.get("j4")


def test_lists_of_jobs(store: RelationalStore) -> None:
    for n in range(9):
        store.jobs.add(job(f"j{n}", created=float(n // 2), meter=f"A{n % 2}"))
    assert [j.id for j in pages(store.jobs.list, 2)] == [f"j{n}" for n in range(8, -1, -1)]
    assert [j.id for j in pages(store.jobs.list, 2, meter="A1")] == ["j7", "j5", "j3", "j1"]


def test_a_job_is_added_once_and_must_be_there(store: RelationalStore) -> None:
    store.jobs.add(job())
    with pytest.raises(ConflictError):
        store.jobs.add(job())
    with pytest.raises(NotFoundError):
        store.jobs.get("j2")
    with pytest.raises(NotFoundError):
        store.jobs.apply("j2", Finished(1.0))


def test_threads_offer_a_job_once(store: RelationalStore) -> None:
    for n in range(40):
        store.jobs.add(job(f"j{n:02}"))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        taken = list(
            pool.map(lambda _: store.jobs.offer("D1", now=2.0, lease=9.0, limit=5), range(12))
        )
    ids = [one.id for some in taken for one in some]
    assert sorted(ids) == [f"j{n:02}" for n in range(40)]


# Events

LOG = "0.0.99.98.0.255"


def events(name: str, digest: bytes, *rows: dict[str, Any]) -> Batch:
    plain = {"meter": "A1", "log": LOG, "time": MIDNIGHT, "code": 1, "ordinal": 0}
    return Batch("D1", name, digest, events_table([{**plain, **row} for row in rows]))


def test_events_are_kept_once(store: RelationalStore) -> None:
    first = events("b1", b"1", {}, {"ordinal": 1, "detail": "cover"}, {"meter": "A2"})
    again = events("b2", b"2", {}, {"time": MIDNIGHT + 1}, {"code": 2})
    statuses = [r.status.value for r in store.events.commit([first, again, first])]
    assert statuses == ["stored", "stored", "repeated"]
    conflict, empty = store.events.commit([events("b1", b"9", {}), events("b3", b"3")])
    assert (conflict.status.value, conflict.rows) == ("conflict", 3)
    assert (empty.status.value, empty.rows) == ("stored", 0)
    assert store.events.count() == 5
    assert store.events.count(since=MIDNIGHT + 1) == 1
    found = pages(store.events.list, 2, meter="A1")
    assert found[0] == MeterEvent("A1", LOG, MIDNIGHT + 1, 1)
    assert {(e.code, e.ordinal, e.detail) for e in found[1:]} == {
        (1, 0, None), (1, 1, "cover"), (2, 0, None),
    }  # fmt: skip
    assert pages(store.events.list, 9, log="0.0.99.98.1.255") == []
    assert len(pages(store.events.list, 1)) == 5


def test_the_ledger_of_events_forgets_what_can_not_come_again(where: Path | str) -> None:
    engine = open_engine(where)
    upgrade(engine)
    now = 1_700_000_000.0
    store = RelationalStore(engine, now=lambda: now)
    old = [events(f"b{number:03}", b"", {}) for number in range(KEEP_LAST + 5)]
    for one in old:
        store.events.commit([one])
        now += 1
    quiet = replace(old[0], dcu="D2")
    store.events.commit([quiet])
    now += KEEP_S - 1
    assert store.events.forget() == 5 - 1  # of those older than a month all but the last
    now += 1
    assert [store.events.forget(limit=1), store.events.forget()] == [1, 0]
    again = [*old[-KEEP_LAST:], quiet]
    assert {r.status.value for r in store.events.commit(again)} == {"repeated"}
    assert [r.status.value for r in store.events.commit([old[0]])] == ["stored"]
    assert store.events.count() == 1
    store.close()


# Operators


def let_in(store: RelationalStore, name: str, password: str, *, now: float) -> Operator | None:
    found = store.operators.log_in(name, password, now=now, lifetime=99.0)
    if found is None:
        return None
    assert store.operators.session(found[0], now=now) == found[1]
    assert found[1].kind is SessionKind.SESSION
    return found[1].operator


@pytest.mark.parametrize("meanwhile", ["password", "disabled"])
def test_an_operators_old_password_does_not_come_back(
    where: Path | str, store: RelationalStore, meanwhile: str
) -> None:
    """What is changed while argon2 looks at the old one holds, and no session is left."""
    store.operators.add("anna", "correct horse", Role.ADMIN, who="setup", when=1.0)

    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - so argon2 calls it
            right = super().verify(hash, password)
            if meanwhile == "password":
                store.operators.set_password("anna", "battery staple", who="anna", when=2.0)
            else:
                store.operators.set_disabled("anna", True, who="ben", when=2.0)
            return right

    engine = open_engine(where)
    late = OperatorRepository(Transactions(engine), Slow(time_cost=1, memory_cost=8, parallelism=1))
    assert late.log_in("anna", "correct horse", now=3.0, lifetime=9.0) is None
    engine.dispose()
    store.operators.set_disabled("anna", False, who="ben", when=4.0)
    assert store.operators.sessions("anna", now=4.0) == ()
    assert store.operators.get("anna").last_login is None


def test_operators_log_in(store: RelationalStore) -> None:
    anna = store.operators.add("anna", "correct horse", Role.ADMIN, who="setup", when=1.0)
    assert anna == Operator("anna", Role.ADMIN, 1.0)
    assert let_in(store, "anna", "wrong horse", now=2.0) is None
    assert let_in(store, "nobody", "correct horse", now=2.0) is None
    assert let_in(store, "anna", "x" * 5000, now=2.0) is None
    for odd in ("\0", "\ud800"):
        assert let_in(store, f"anna{odd}", "correct horse", now=2.0) is None
        assert let_in(store, "anna", f"correct horse{odd}", now=2.0) is None
    assert let_in(store, "anna", "correct horse", now=2.0) == replace(anna, last_login=2.0)
    assert store.operators.get("anna").last_login == 2.0
    with pytest.raises(ConflictError):
        store.operators.add("anna", "another horse", Role.VIEWER, who="setup", when=1.0)
    with pytest.raises(NotFoundError):
        store.operators.get("nobody")


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_weak_passwords_are_refused(store: RelationalStore, password: str) -> None:
    with pytest.raises(ValueError, match="8 to 1024") as refused:
        store.operators.add("anna", password, Role.ADMIN, who="setup", when=1.0)
    assert not password or password not in str(refused.value)
    assert store.operators.list().items == ()


def test_changes_of_operators_are_audited_and_end_sessions(store: RelationalStore) -> None:
    store.operators.add("anna", "correct horse", Role.VIEWER, who="setup", when=1.0)
    secret, _ = store.operators.open_session("anna", SessionKind.SESSION, now=1.0, lifetime=99.0)
    assert store.operators.set_role("anna", Role.ADMIN, who="ben", when=2.0).role is Role.ADMIN
    session = store.operators.session(secret, now=2.0)
    assert session is not None
    assert session.operator.role is Role.ADMIN
    store.operators.set_password("anna", "battery staple", who="anna", when=3.0)
    assert store.operators.session(secret, now=3.0) is None
    assert let_in(store, "anna", "correct horse", now=3.0) is None
    secret, _ = store.operators.open_session("anna", SessionKind.TOKEN, now=3.0, lifetime=99.0)
    assert store.operators.set_disabled("anna", True, who="ben", when=4.0).disabled
    assert store.operators.session(secret, now=4.0) is None
    assert let_in(store, "anna", "battery staple", now=4.0) is None
    assert not store.operators.set_disabled("anna", False, who="ben", when=5.0).disabled
    assert let_in(store, "anna", "battery staple", now=5.0) is not None
    assert [entry.what for entry in store.audit.list(subject="operator-anna").items] == [
        "operator.enabled", "operator.disabled", "operator.password",
        "operator.role viewer to admin", "operator.added as viewer",
    ]  # fmt: skip


def test_sessions_and_tokens(store: RelationalStore) -> None:
    for name in ("anna", "ben"):
        store.operators.add(name, "correct horse", Role.VIEWER, who="setup", when=1.0)
    secret, opened = store.operators.open_session(
        "anna", SessionKind.TOKEN, now=10.0, lifetime=90.0, label="script"
    )
    other, _ = store.operators.open_session("anna", SessionKind.SESSION, now=10.0, lifetime=5.0)
    assert len(secret) >= 43
    assert (opened.kind, opened.label, opened.expires) == (SessionKind.TOKEN, "script", 100.0)
    assert store.operators.session(secret, now=99.9) == opened
    assert store.operators.session(secret, now=100.0) is None
    assert store.operators.session(secret + "x", now=11.0) is None
    assert store.operators.session(other, now=14.0) is not None
    assert len(store.operators.sessions("anna", now=14.0)) == 2
    assert store.operators.sessions("anna", now=15.0) == (opened,)
    assert store.operators.sessions("ben", now=11.0) == ()
    store.operators.close_session(opened.id)
    store.operators.close_session(opened.id)
    assert store.operators.session(secret, now=11.0) is None
    with pytest.raises(NotFoundError):
        store.operators.open_session("nobody", SessionKind.TOKEN, now=1.0, lifetime=1.0)


def test_lists_of_operators(store: RelationalStore) -> None:
    for n in range(5):
        store.operators.add(f"o{n}", "correct horse", Role.VIEWER, who="setup", when=1.0)
    assert [o.name for o in pages(store.operators.list, 2)] == ["o0", "o1", "o2", "o3", "o4"]


def test_a_password_hash_keeps_up_with_its_settings(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "db")
    upgrade(engine)
    weak = RelationalStore(engine, hasher=PasswordHasher(1, 8, 1))
    strong = RelationalStore(engine, hasher=PasswordHasher(2, 16, 1))
    weak.operators.add("anna", "correct horse", Role.VIEWER, who="setup", when=1.0)
    assert let_in(strong, "anna", "correct horse", now=1.0) is not None
    with sqlite3.connect(tmp_path / "db") as connection:
        (found,) = connection.execute("SELECT password_hash FROM operator").fetchone()
    connection.close()
    assert "m=16,t=2" in found
    assert let_in(strong, "anna", "correct horse", now=1.0) is not None
    strong.close()


def test_a_spoilt_hash_lets_nobody_in(tmp_path: Path) -> None:
    store = RelationalStore.open(tmp_path / "db")
    store.operators.add("anna", "correct horse", Role.VIEWER, who="setup", when=1.0)
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.execute("UPDATE operator SET password_hash = 'x'")
    connection.close()
    assert let_in(store, "anna", "correct horse", now=1.0) is None
    store.close()


def test_no_secret_is_kept_or_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        store = RelationalStore.open(tmp_path / "db")
        store.operators.add("anna", "correct horse", Role.VIEWER, who="setup", when=1.0)
        secret, session = store.operators.open_session(
            "anna", SessionKind.TOKEN, now=1.0, lifetime=9.0
        )
        store.close()
    for text in ("correct horse", secret):
        assert text not in repr(session)
        assert text not in caplog.text
        assert text.encode() not in b"".join(f.read_bytes() for f in tmp_path.iterdir())


# The audit log and pages


def test_the_audit_log(store: RelationalStore) -> None:
    for n in range(7):
        entry = AuditEntry("anna", float(n), f"what {n}", f"meter-A{n % 2}", "why")
        assert store.audit.add(entry).id > 0
    assert [e.what for e in pages(store.audit.list, 3)] == [f"what {n}" for n in range(6, -1, -1)]
    assert [e.when for e in pages(store.audit.list, 2, subject="meter-A1")] == [5.0, 3.0, 1.0]


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "é", "AAAA", "[]", "x" * 600, encode_cursor(1, 2), encode_cursor("x"),
        encode_cursor(2**70), encode_cursor("\ud800"), encode_cursor("a\0"), "W1tbW1tbW1tb",
    ],
)  # fmt: skip
def test_what_is_no_cursor_is_refused(store: RelationalStore, cursor: str) -> None:
    lists: list[Callable[..., Page[Any]]] = [
        store.audit.list, store.devices.list, store.jobs.list, store.events.list,
    ]  # fmt: skip
    for ask in lists:
        if cursor == encode_cursor(1, 2) and ask == store.events.list:
            continue
        with pytest.raises(ConflictError) as refused:
            ask(after=cursor)
        assert refused.value.code == "store.cursor"


# The database itself


def test_upgrading_twice_changes_nothing(store: RelationalStore, tmp_path: Path) -> None:
    store.devices.add(FULL, who="anna", when=5.0)
    upgrade(store._engine)
    assert store.devices.get("meter-A1") == FULL


def test_sqlite_is_set_up_to_last(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "db")
    upgrade(engine)
    with engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000,
    }  # fmt: skip
    engine.dispose()


def test_errors_of_the_library_are_ours(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is not a database" * 100)
    for place in (tmp_path / "text", tmp_path / "no folder" / "db"):
        with pytest.raises(StoreError):
            RelationalStore.open(place)
    store = RelationalStore.open(tmp_path / "db")
    store.close()
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="upgraded"):
        RelationalStore.open(tmp_path / "db")


@pytest.mark.parametrize("kind", kinds())
def test_a_full_disk_keeps_nothing_of_a_call(kind: str, tmp_path: Path) -> None:
    with small_disk(kind, tmp_path / "disk", 1_500_000) as disk:
        store = RelationalStore.open(disk.path / "db")

        def fill() -> None:
            for n in range(500):
                value = json.dumps([n] * 4000)
                store.jobs.add(job(f"j{n:03}", results=(TargetResult(TARGET, value),)))

        with pytest.raises(StoreFullError):
            fill()
        kept = [one.id for one in pages(store.jobs.list, 1000)]
        assert kept == [f"j{n:03}" for n in reversed(range(len(kept)))]
        disk.grow()
        store.jobs.add(job("after"))
        assert len(pages(store.jobs.list, 1000)) == len(kept) + 1
        store.close()
