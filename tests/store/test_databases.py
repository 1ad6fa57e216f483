"""What the databases themselves must give: upgrades, locks, lost connections, errors as ours."""

from __future__ import annotations

import concurrent.futures
import json
import socket
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import create_engine, text
from tests.support.demand import PROGRAM, event
from tests.support.migrated import bring_to
from tests.support.readings import MIDNIGHT
from tests.support.registering import watch_writing

from openami.core.errors import ConfigError, NotFoundError, StoreError, StoreFullError
from openami.crypto.certificates import Validity, make_root
from openami.crypto.revocation import make_crl
from openami.crypto.succession import following, trace
from openami.fleet.demand.codec import event_json, notice_json, program_json
from openami.fleet.demand.model import Notice
from openami.fleet.demand.records import DisplayOrder
from openami.fleet.devices import AuditEntry, Device, DeviceKind, Sighting
from openami.fleet.jobs import Finished, Job
from openami.fleet.ports import Batch, DeviceFilter
from openami.fleet.tasks import Ticket
from openami.headend.management.proofs import policy_of
from openami.mdm.readings import events_table
from openami.omadm.auth import AuthPolicy
from openami.store.relational import RelationalStore, open_engine, upgrade
from openami.store.relational.engine import normalised
from openami.store.relational.models import Base, JobRow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgresql import Server

JOB = Job("j1", "A1", "D1", "anna", created=1.0, expires=100.0)
LOG = "0.0.99.98.0.255"
OPEN = "import sys; from openami.store.relational import RelationalStore as S; S.open(sys.argv[1])"


def test_the_migrations_make_what_the_models_say(store: RelationalStore) -> None:
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_a_database_of_the_first_version_is_brought_up_to_date(where: Path | str) -> None:
    engine = open_engine(where)
    with engine.begin() as connection:
        bring_to(connection, "0001")
        connection.execute(
            text(
                "INSERT INTO job (id, kind, meter, dcu, who, state, created, updated, expires,"
                " offers, progress, targets, results, error_message)"
                " VALUES ('j1', 'read', 'A1', 'D1', 'anna', 'queued', 1, 0, 100, 0, 0, '[]', '[]', '')"
            )
        )
    upgrade(engine)
    store = RelationalStore(engine)
    assert store.jobs.get("j1") == JOB
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []
    store.close()


def test_events_notices_and_orders_of_before_are_there_after_an_upgrade(where: Path | str) -> None:
    """None of them has a ticket, though one person made several."""
    engine, notice = open_engine(where), Notice("n1", "message", 1, 99, {"en": "Ready"})
    with engine.begin() as connection:
        bring_to(connection, "0018")
        connection.execute(
            text(
                "INSERT INTO demand_program (id, name, created, kept) VALUES ('p1', 'p', 1, :kept)"
            ),
            {"kept": json.dumps(program_json(PROGRAM))},
        )
        connection.execute(
            text(
                "INSERT INTO demand_event (id, program, state, version, created, who, meters, kept)"
                " VALUES (:id, 'p1', 'draft', 1, 1, 'anna', 0, :kept)"
            ),
            [{"id": id_, "kept": json.dumps(event_json(event(id_)))} for id_ in ("e1", "e2")],
        )
        connection.execute(
            text(
                "INSERT INTO demand_notice (id, kind, at, until, who, withdrawn, kept)"
                " VALUES (:id, 'message', 1, 99, 'anna', false, :kept)"
            ),
            [{"id": id_, "kept": json.dumps(notice_json(notice))} for id_ in ("n1", "n2")],
        )
        connection.execute(
            text("INSERT INTO display_order (id, meter, due) VALUES ('o1', 'M1', 5)")
        )
    upgrade(engine)
    store = RelationalStore(engine)
    assert [one.event for one in store.demand.list().items] == [event("e2"), event("e1")]
    assert {one.notice.id for one in store.demand.shown(2.0)} == {"n1", "n2"}
    store.devices.add(Device(DeviceKind.METER, "M1"), who="test", when=1.0)
    (order,) = store.demand.display_orders(9.0).items
    assert order == DisplayOrder("o1", "M1", 5.0, None)
    ticket, entry = Ticket("k1", "digest"), AuditEntry("anna", 1.0, "drafted", "event:e3")
    made = store.demand.add(event("e3"), who="anna", created=1.0, entry=entry, ticket=ticket)
    assert (
        store.demand.add(event("e4"), who="anna", created=1.0, entry=entry, ticket=ticket) == made
    )
    store.close()


def test_the_lists_of_manufacturers_are_known_after_an_upgrade(where: Path | str) -> None:
    """What tells of a list was not kept before; a head-end would take it that there was none."""
    validity = Validity(0.0, 86_400.0)
    root = make_root("M", ec.generate_private_key(ec.SECP256R1()), serial=1, validity=validity)
    crl = make_crl(root, (), number=1, validity=validity).public_bytes(Encoding.DER)
    engine = open_engine(where)
    with engine.begin() as connection:
        bring_to(connection, "0005")
        for fingerprint, old in (("aa", crl), ("bb", b"")):
            connection.execute(
                text(
                    "INSERT INTO anchor (fingerprint, manufacturer, der, crl, added, who)"
                    " VALUES (:fingerprint, 'M', :der, :crl, 1, 'anna')"
                ),
                {"fingerprint": fingerprint, "der": b"der", "crl": old},
            )
    upgrade(engine)
    store = RelationalStore(engine)
    with_list, without = store.certificates.anchors()
    assert (with_list.listed, with_list.list_ends) == (sha256(crl).hexdigest(), 86_400.0)
    assert (without.listed, without.list_ends) == ("", None)
    assert store.certificates.anchor_list("aa") == crl
    store.close()


def test_accounts_of_before_accept_what_they_did(where: Path | str) -> None:
    engine = open_engine(where)
    with engine.begin() as connection:
        bring_to(connection, "0009")
        connection.execute(
            text(
                "INSERT INTO dm_account (uid, digest, suspended, created, client_nonce,"
                " server_nonce, wake_failures, wake_session, wake_silent)"
                " VALUES ('D1', 'd1', false, 1, :none, :none, 0, 0, false)"
            ),
            {"none": b""},
        )
    upgrade(engine)
    store = RelationalStore(engine)
    assert policy_of(store.accounts.accounts(["D1"])["D1"]) == AuthPolicy()
    store.close()


def test_grants_of_live_registrations_are_forgotten_by_an_upgrade(where: Path | str) -> None:
    """What is under way goes on, what was live is known by what follows, what is over stays so."""
    grant, gone = b"g" * 16, b"o" * 16
    claim = {
        **dict.fromkeys(("exchange", "factory", "key", "public"), "ab"),
        **dict.fromkeys(("manufacturer", "model", "hardware", "firmware"), ""),
        "when": 1.0,
    }
    stood = {"D1": "pending", "D2": "approved", "D3": "offered", "D4": "live", "D5": "refused"}
    rows: list[tuple[str, str, dict[str, str]]] = [
        (uid, standing, {}) for uid, standing in stood.items()
    ]
    for uid, before in (("D6", "live"), ("D7", "approved"), ("D8", "pending")):
        rows.append((uid, "blocked", {"before": before}))
    engine = open_engine(where)
    with engine.begin() as connection:
        bring_to(connection, "0007")
        for uid, standing, more in rows:
            body = {"claim": claim, "grant": grant.hex(), "past": [gone.hex()], **more}
            connection.execute(
                text(
                    "INSERT INTO registration (uid, standing, version, asked, body)"
                    " VALUES (:uid, :standing, 1, 1, :body)"
                ),
                {"uid": uid, "standing": standing, "body": json.dumps(body)},
            )
    upgrade(engine)
    store = RelationalStore(engine)
    found = [record.registration for record in store.registrations.list().items]
    assert [one.uid for one in found if one.grant == grant] == ["D2", "D3", "D7"]
    assert [one.uid for one in found if not one.grant] == ["D1", "D4", "D5", "D6", "D8"]
    assert [one.uid for one in found if not one.follows] == ["D1", "D8"]
    assert {one.follows for one in found if one.follows} == {trace(following(grant))}
    assert {one.past for one in found} == {(trace(gone),)}
    store.close()


def test_head_ends_that_start_together_upgrade_one_after_another(postgresql: Server) -> None:
    where = postgresql.database()
    starts = [
        subprocess.Popen([sys.executable, "-c", OPEN, where], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [start.communicate()[1] for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], said


def test_a_batch_that_comes_twice_at_once_is_stored_once(store: RelationalStore) -> None:
    row = {"meter": "A1", "log": LOG, "time": MIDNIGHT, "code": 1, "ordinal": 0}
    batch = Batch("D1", "b1", b"1", events_table([row]))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = [
            r for some in pool.map(lambda _: store.events.commit([batch]), range(8)) for r in some
        ]
    assert sorted(result.status.value for result in found) == ["repeated"] * 7 + ["stored"]
    assert store.events.count() == 1


def test_a_nul_that_a_device_sent_harms_nothing(store: RelationalStore) -> None:
    row = {"meter": "A1", "log": LOG, "time": MIDNIGHT, "code": 1, "ordinal": 0, "detail": "a\0b"}
    store.events.commit([Batch("D1", "b1", b"1", events_table([row]))])
    assert [event.detail for event in store.events.list().items] == ["a\ufffdb"]
    store.devices.sight([Sighting(DeviceKind.METER, "A1", model="M\0")], now=1.0)
    assert store.devices.get("meter-A1").model == "M\ufffd"
    assert len(store.devices.list(DeviceFilter(search="m\0")).items) == 1
    assert store.devices.list(DeviceFilter(dcu="\0")).items == ()
    with pytest.raises(NotFoundError):
        store.devices.get("meter-\0")


def test_who_reads_waits_for_nobody_who_writes(store: RelationalStore) -> None:
    store.jobs.add(JOB)
    with store.jobs._transactions.writing() as session:
        row = session.get(JobRow, "j1", with_for_update=True)
        assert row is not None
        row.who = "ben"
        session.flush()
        assert store.jobs.get("j1") == JOB
        assert store.jobs.list().items == (JOB,)
    assert store.jobs.get("j1").who == "ben"


def test_a_job_that_another_head_end_has_in_hand_is_left_to_it(postgresql: Server) -> None:
    store = RelationalStore.open(postgresql.database())
    store.jobs.add(JOB)
    with store.jobs._transactions.writing() as session:
        session.get(JobRow, "j1", with_for_update=True)
        assert store.jobs.offer("D1", now=2.0, lease=9.0) == ()
        assert store.jobs.pass_time(now=1000.0) == ()
    assert len(store.jobs.offer("D1", now=2.0, lease=9.0)) == 1
    store.close()


def test_a_server_that_was_restarted_is_used_again(postgresql: Server) -> None:
    where = postgresql.database()
    store, other = RelationalStore.open(where), open_engine(where)
    store.jobs.add(JOB)
    with other.connect() as connection:
        ended = connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).all()
    assert ended == [(True,)]
    other.dispose()
    assert store.jobs.apply("j1", Finished(5.0))[0].final
    store.close()


@pytest.mark.parametrize(
    ("state", "kind", "code"),
    [
        ("53100", StoreFullError, "store.full"),
        ("40P01", StoreError, "store.busy"),
        ("40001", StoreError, "store.busy"),
        ("55P03", StoreError, "store.busy"),
        ("08006", StoreError, "store.away"),
        ("57P01", StoreError, "store.away"),
        ("57014", StoreError, "store"),
    ],
)
def test_errors_of_postgresql_are_ours(
    state: str, kind: type[StoreError], code: str, postgresql: Server
) -> None:
    engine = open_engine(postgresql.database())
    raise_it = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(kind) as raised, normalised(), engine.begin() as connection:
        connection.exec_driver_sql(raise_it)
    assert raised.value.code == code
    engine.dispose()


def test_a_server_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as raised:
        RelationalStore.open(f"postgresql://anna:hidden@/openami?host={tmp_path}")
    assert "hidden" not in str(raised.value)
    assert raised.value.code == "store.away"


def test_a_server_that_says_nothing_is_not_waited_for(postgresql: Server) -> None:
    engine = open_engine("postgresql://anna@host/openami")
    _, options = engine.dialect.create_connect_args(engine.url)
    assert (options["connect_timeout"], options["tcp_user_timeout"]) == ("10", "10000")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel takes connections for it
        address = f"postgresql://anna@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2"
        with pytest.raises(StoreError) as raised:
            RelationalStore.open(address)
    assert raised.value.code == "store.away"
    engine = open_engine(postgresql.database())
    with engine.connect() as connection:  # PostgreSQL knows all these words
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_a_server_that_goes_in_the_middle_is_away_and_a_wrong_text_is_not(
    postgresql: Server,
) -> None:
    store = RelationalStore.open(postgresql.database())
    transactions = store.jobs._transactions

    def lose() -> None:
        with transactions.writing() as session:
            mine = session.scalar(text("SELECT pg_backend_pid()"))
            with store._engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:mine, 10000)"), {"mine": mine})
            session.execute(text("SELECT 1"))

    with pytest.raises(StoreError) as raised:
        lose()
    assert raised.value.code == "store.away"
    with pytest.raises(StoreError) as raised, transactions.writing() as session:
        session.execute(text("SELECT :words"), {"words": "a\0b"})
    assert raised.value.code == "store"
    store.close()


def test_no_free_connection_is_a_server_that_is_away(postgresql: Server) -> None:
    engine = create_engine(
        open_engine(postgresql.database()).url, pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    with engine.connect(), pytest.raises(StoreError) as raised, normalised():
        engine.connect()
    assert raised.value.code == "store.away"
    engine.dispose()


def test_jobs_whose_time_has_not_come_take_no_lock(store: RelationalStore) -> None:
    store.jobs.add(JOB)
    taken: list[str] = []
    watch_writing(store.jobs._transactions, taken.append)
    assert store.jobs.pass_time(now=JOB.expires - 1) == ()
    assert taken == []
    store.jobs.pass_time(now=JOB.expires)
    assert taken
    assert store.jobs.get("j1").final


@pytest.mark.parametrize(
    "url", ["no url", "mysql://anna:hidden@host/x", "postgresql://a:hidden@b:x/c"]
)
def test_what_is_no_database_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        open_engine(url)
    assert raised.value.code == "config.database"
    assert "hidden" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_driver_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match="driver") as raised:
        open_engine("postgresql://anna@host/openami")
    assert raised.value.hint == "install openami[postgresql]"
