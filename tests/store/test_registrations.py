"""The contract of the stores of registrations, expected devices and alarms, on every backend."""

from __future__ import annotations

import concurrent.futures
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from openami.core.errors import ConflictError, NotFoundError
from openami.crypto.succession import trace
from openami.fleet import admission
from openami.fleet import registration as r
from openami.fleet.devices import AuditEntry, Device, DeviceKind, LifecycleState
from openami.fleet.expected import Approval, ExpectedDevice
from openami.store.relational.management_models import AccountRow
from openami.store.relational.security_models import CertificateRow, RegistrationRow

if TYPE_CHECKING:
    from openami.fleet.alarms import AlarmStore
    from openami.store.relational import RelationalStore

CLAIM = r.Claim(b"e" * 16, b"f" * 32, b"k" * 32, "Maker", "OA-DCU", "1", "0.2", 5.0, b"public")
OTHER = replace(CLAIM, exchange=b"o" * 16, key=b"l" * 32)
GRANT = b"g" * 16
PENDING = r.Registration("D1", r.Standing.PENDING, CLAIM)
OFFER = r.Offer(b"d" * 32, 99.5, r.Issued(2**150 + 7, b"k" * 32))
FULL = r.Registration(
    "D1", r.Standing.BLOCKED, CLAIM, GRANT, b"h" * 32, r.Reason.MISMATCH, OFFER, b"l" * 32,
    r.Issued(17, b"k" * 32), r.Issued(16, b"j" * 32), OTHER, r.Standing.LIVE, True,
    (b"1" * 16, b"2" * 16),
)  # fmt: skip


def approved(registration: r.Registration) -> r.Ruling:
    return admission.approve(registration, grant=GRANT)


class Steps:
    """Puts one change after the other."""

    def __init__(self, store: RelationalStore, uid: str = "D1") -> None:
        self.store = store
        self.uid = uid

    @property
    def now(self) -> r.Registration | None:
        return self.store.registrations.get(self.uid)

    def put(self, after: r.Registration, *effects: r.Effect) -> None:
        self.store.registrations.put(
            after, replacing=self.now, effects=effects, who="anna", when=7.0, why="so"
        )

    def rule(self, ruling: r.Ruling) -> None:
        assert ruling.registration is not None
        self.put(ruling.registration, *ruling.effects)

    def approve(self) -> None:
        self.put(PENDING)
        self.rule(approved(PENDING))

    def go_live(self, serial: int = 1, digest: bytes = b"d" * 32) -> r.Registration:
        """Offer and acknowledge what was approved."""
        certificate(self.store, serial)
        before = self.now
        assert before is not None
        offer = r.Offer(digest, 99.0, r.Issued(serial, before.claim.key))
        self.rule(admission.offered(before, offer))
        assert self.now is not None
        self.rule(
            admission.acknowledge(
                self.now,
                exchange=before.claim.exchange,
                factory=before.claim.factory,
                grant=before.grant,
                digest=digest,
                now=8.0,
            )
        )
        live = self.now
        assert live is not None
        return live

    def device(self) -> Device:
        return self.store.devices.get("dcu-D1")

    def account(self) -> AccountRow:
        with self.store.registrations._transactions.reading() as session:
            return session.get_one(AccountRow, "D1")


@pytest.fixture
def steps(store: RelationalStore) -> Steps:
    return Steps(store)


def certificate(store: RelationalStore, serial: int, subject: str = "D1") -> None:
    with store.registrations._transactions.writing() as session:
        session.add(
            CertificateRow(
                serial=f"{serial:x}", authority="devices", kind="device", subject=subject, der=b"",
                issued=1.0, not_after=99.0, revoked=None, reason="",
            )
        )  # fmt: skip


def revoked(store: RelationalStore) -> dict[int, str]:
    with store.registrations._transactions.reading() as session:
        rows = session.query(CertificateRow).filter(CertificateRow.revoked.is_not(None))
        return {int(row.serial, 16): row.reason for row in rows}


@pytest.mark.parametrize("registration", [PENDING, FULL])
def test_a_registration_comes_back_as_it_was(
    store: RelationalStore, registration: r.Registration
) -> None:
    assert store.registrations.get("D1") is None
    store.registrations.put(registration, replacing=None, effects=(), who="dcu D1", when=7.0)
    assert store.registrations.get("D1") == registration
    (entry,) = store.audit.list(subject="dcu-D1").items
    assert (entry.who, entry.what) == (
        "dcu D1",
        f"registration none to {registration.standing}",
    )


def test_a_change_of_what_has_changed_is_refused_whole(steps: Steps) -> None:
    store = steps.store
    steps.put(PENDING)
    after = approved(PENDING).registration
    assert after is not None
    alarm = r.Alarm("registration.twice", "there twice")
    for replacing in (None, after, replace(PENDING, claim=OTHER)):
        with pytest.raises(ConflictError) as caught:
            store.registrations.put(
                after, replacing=replacing, effects=(alarm,), who="anna", when=8.0
            )
        assert caught.value.code == "registration.changed"
    assert steps.now == PENDING
    assert store.alarms.list().items == ()
    assert len(store.audit.list().items) == 1
    with pytest.raises(NotFoundError):
        steps.device()


def test_of_two_who_register_at_once_one_is_told_to_look_again(steps: Steps) -> None:
    def put(n: int) -> bool:
        try:
            steps.store.registrations.put(
                replace(PENDING, grant=bytes([n]) * 16), replacing=None, effects=(), who="x",
                when=1.0,
            )  # fmt: skip
        except ConflictError:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(put, range(8))) == [False] * 7 + [True]


def test_every_change_has_a_version(steps: Steps) -> None:
    steps.approve()
    with steps.store.registrations._transactions.reading() as session:
        assert session.get_one(RegistrationRow, "D1").version == 2


def test_an_approved_device_is_registered_as_it_was_expected(steps: Steps) -> None:
    expected = ExpectedDevice("D1", region="Seoul", label="Pole 17")
    steps.store.expected.put([expected], who="anna", when=1.0)
    steps.put(PENDING)
    with pytest.raises(NotFoundError):
        steps.device()
    steps.rule(approved(PENDING))
    device = steps.device()
    assert (device.state, device.region, device.label) == ("registered", "Seoul", "Pole 17")
    assert (device.model, device.firmware) == ("OA-DCU", "0.2")


def test_what_is_acknowledged_is_the_account(steps: Steps) -> None:
    steps.approve()
    certificate(steps.store, 40)  # made by a server that died before it offered it
    certificate(steps.store, 41, "D2")
    steps.go_live()
    account = steps.account()
    assert (account.digest, account.suspended, account.created) == ("64" * 32, False, 7.0)
    assert (account.client_nonce, account.server_nonce, account.wake_due) == (b"", b"", 7.0)
    assert steps.device().state is LifecycleState.COMMISSIONED
    assert revoked(steps.store) == {40: "superseded"}
    said = [entry.what for entry in steps.store.audit.list(subject="dcu-D1").items]
    assert "account.live" in said
    assert "device.state registered to commissioned" in said


def test_a_device_that_is_replaced_goes_on_in_its_life(steps: Steps) -> None:
    steps.approve()
    live = steps.go_live()
    steps.store.devices.move("dcu-D1", LifecycleState.IN_SERVICE, who="x", when=8.0, why="works")
    said = AuditEntry("anna", 8.0, "account.accepts basic", "dcu-D1")
    steps.store.accounts.allow("D1", "basic", said=said)
    steps.rule(admission.reopen(live))
    steps.rule(
        admission.request(steps.now, "D1", OTHER, None, r.RegistrationPolicy(), grant=b"n" * 16)
    )
    assert steps.account().suspended is False  # the old account stays until then
    steps.go_live(2, b"e" * 32)
    assert steps.account().digest == "65" * 32
    assert steps.account().allows == "basic"  # what the device can is what it could
    assert steps.device().state is LifecycleState.IN_SERVICE
    assert revoked(steps.store) == {1: "superseded"}


def test_a_device_that_is_there_twice_is_shut_out_and_comes_back(steps: Steps) -> None:
    steps.approve()
    live = steps.go_live()
    steps.store.devices.move("dcu-D1", LifecycleState.IN_SERVICE, who="x", when=8.0, why="works")
    blocked = admission.request(live, "D1", OTHER, None, r.RegistrationPolicy(), grant=b"n" * 16)
    steps.rule(blocked)
    assert steps.account().suspended
    assert steps.device().state is LifecycleState.SUSPENDED
    (alarm,) = steps.store.alarms.list(only_open=True).items
    assert (alarm.code, alarm.subject) == ("registration.twice", "dcu-D1")
    assert blocked.registration is not None
    steps.rule(admission.keep(blocked.registration))
    assert not steps.account().suspended
    assert steps.device().state is LifecycleState.IN_SERVICE


def test_a_device_that_a_person_suspended_is_not_let_in_by_keeping_it(steps: Steps) -> None:
    steps.approve()
    live = steps.go_live()
    steps.put(live, r.Suspend())
    assert steps.account().suspended
    steps.rule(admission.request(live, "D1", OTHER, None, r.RegistrationPolicy(), grant=b"n" * 16))
    assert steps.now is not None
    steps.rule(admission.keep(steps.now))
    assert steps.account().suspended
    assert steps.device().state is LifecycleState.SUSPENDED
    assert steps.now == replace(live, past=(trace(OTHER.exchange),))
    steps.put(steps.now, r.Resume())
    assert not steps.account().suspended
    assert steps.device().state is LifecycleState.COMMISSIONED


def test_a_person_says_to_which_state_a_device_comes_back(steps: Steps) -> None:
    steps.approve()
    live = steps.go_live()
    steps.put(live, r.Suspend())
    steps.put(live, r.Resume(LifecycleState.IN_SERVICE))
    assert steps.device().state is LifecycleState.IN_SERVICE
    steps.put(live, r.Resume(LifecycleState.IN_SERVICE))  # it is
    assert steps.device().state is LifecycleState.IN_SERVICE


def test_accounts_of_a_suspended_device_do_not_become_live(steps: Steps) -> None:
    steps.approve()
    assert steps.now is not None
    steps.put(steps.now, r.Suspend())
    with pytest.raises(ConflictError) as caught:
        steps.go_live()
    assert caught.value.code == "registration.changed"
    assert steps.now.standing is r.Standing.OFFERED


def test_the_second_of_two_is_taken(steps: Steps) -> None:
    steps.approve()
    live = steps.go_live()
    steps.rule(admission.request(live, "D1", OTHER, None, r.RegistrationPolicy(), grant=b"n" * 16))
    assert steps.now is not None
    steps.rule(admission.take_rival(steps.now, grant=b"m" * 16))
    assert revoked(steps.store) == {1: "keyCompromise"}
    assert steps.account().suspended
    assert steps.device().state is LifecycleState.REGISTERED
    steps.go_live(2, b"e" * 32)
    assert not steps.account().suspended
    assert steps.device().state is LifecycleState.COMMISSIONED


@pytest.mark.parametrize("known", [True, False])
def test_who_is_refused_and_then_approved_starts_again(steps: Steps, known: bool) -> None:
    if known:
        device = Device(DeviceKind.DCU, "D1", LifecycleState.MANUFACTURED)
        steps.store.devices.add(device, who="anna", when=1.0)
    steps.approve()
    assert steps.now is not None
    steps.rule(admission.refuse(steps.now))
    assert steps.device().state is LifecycleState.SUSPENDED
    steps.rule(approved(steps.now))
    assert steps.device().state is LifecycleState.REGISTERED


def test_all_that_a_retired_device_had_is_revoked(steps: Steps) -> None:
    steps.approve()
    live = steps.go_live()
    certificate(steps.store, 3)
    steps.rule(admission.retire(live))
    assert revoked(steps.store) == {1: "cessationOfOperation", 3: "cessationOfOperation"}
    assert steps.account().suspended
    assert steps.device().state is LifecycleState.RETIRED


def test_a_certificate_that_is_not_there_is_not_revoked_in_silence(steps: Steps) -> None:
    steps.put(PENDING)
    with pytest.raises(NotFoundError) as caught:
        steps.put(PENDING, r.Revoke(99, "superseded"))
    assert caught.value.code == "certificate.unknown"


def test_registrations_are_listed_and_counted(store: RelationalStore) -> None:
    for number in range(5):
        standing = r.Standing.LIVE if number % 2 else r.Standing.PENDING
        one = replace(PENDING, uid=f"D{number}", standing=standing)
        store.registrations.put(one, replacing=None, effects=(), who="x", when=1.0)
    first = store.registrations.list(limit=2)
    rest = store.registrations.list(after=first.next, limit=9)
    found = [record.registration.uid for record in (*first.items, *rest.items)]
    assert found == [f"D{n}" for n in range(5)]
    live = store.registrations.list(r.Standing.LIVE)
    assert [record.registration.uid for record in live.items] == ["D1", "D3"]
    assert store.registrations.counts() == {r.Standing.LIVE: 2, r.Standing.PENDING: 3}


def test_a_list_reads_what_belongs_to_its_devices_in_one_query(store: RelationalStore) -> None:
    for number in range(5):
        uid = f"D{number}"
        one = replace(PENDING, uid=uid)
        store.registrations.put(one, replacing=None, effects=(), who="x", when=1.0)
        if number % 2:
            store.devices.add(Device(DeviceKind.DCU, uid, label=uid), who="x", when=1.0)
            store.expected.put([ExpectedDevice(uid, region=uid)], who="x", when=1.0)
        store.devices.add(Device(DeviceKind.METER, uid), who="x", when=1.0)
    asked: list[str] = []
    engine = store.registrations._transactions._reader

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    page = store.registrations.list(limit=4)
    event.remove(engine, "before_cursor_execute", note)
    assert len([one for one in asked if one.startswith("SELECT")]) == 1
    assert [record.device and record.device.label for record in page.items] == [
        None, "D1", None, "D3",
    ]  # fmt: skip
    assert [record.expected and record.expected.region for record in page.items] == [
        None, "D1", None, "D3",
    ]  # fmt: skip
    assert store.registrations.known("D1") == page.items[1]
    assert store.registrations.known("D9") is None


def test_who_asks_to_register_anew_is_told_until_it_does(steps: Steps) -> None:
    store = steps.store
    steps.approve()
    store.registrations.ask_anew("D1", when=50.0)  # it is not live: it simply registers
    assert store.registrations.asking(since=0.0) == 0
    live = steps.go_live()
    store.registrations.ask_anew("D9", when=50.0)
    store.registrations.ask_anew("D1", when=50.0)
    assert steps.now == live  # nothing of the registration itself has changed
    assert (store.registrations.asking(since=50.0), store.registrations.asking(since=51.0)) == (
        1, 0,
    )  # fmt: skip
    (record,) = store.registrations.list(r.Standing.LIVE, asked_since=50.0).items
    assert (record.registration, record.asked, record.suspended) == (live, 50.0, False)
    assert [record.asks_anew(now) for now in (50.0, 50.0 + r.ASKS_S, 51.0 + r.ASKS_S)] == [
        True, True, False,
    ]  # fmt: skip
    steps.rule(admission.reopen(live))
    assert store.registrations.asking(since=0.0) == 1
    steps.rule(
        admission.request(steps.now, "D1", OTHER, None, r.RegistrationPolicy(), grant=b"n" * 16)
    )
    assert store.registrations.asking(since=0.0) == 0


# Expected devices


def test_expected_devices_are_added_replaced_and_removed(store: RelationalStore) -> None:
    one = ExpectedDevice("D1", "Maker", "OA", bytes(32), Approval.MANUAL, "Seoul", "Pole 17")
    two = ExpectedDevice("D2")
    store.expected.put([one, two], who="anna", when=1.0)
    store.expected.put([replace(one, region="Busan")], who="anna", when=2.0)
    store.expected.put([], who="anna", when=3.0)
    assert store.expected.get("D1") == replace(one, region="Busan")
    assert store.expected.get("D2") == two
    first = store.expected.list(limit=1)
    assert [*first.items, *store.expected.list(after=first.next).items] == [
        replace(one, region="Busan"), two,
    ]  # fmt: skip
    store.expected.remove("D1", who="anna", when=4.0)
    assert store.expected.get("D1") is None
    with pytest.raises(NotFoundError):
        store.expected.remove("D1", who="anna", when=5.0)
    said = [entry.what for entry in store.audit.list(subject="expected devices").items]
    assert said == ["expected.removed: D1", "expected.imported: 0 devices",
                    "expected.imported: D1", "expected.imported: 2 devices"]  # fmt: skip


# Alarms


def test_an_alarm_that_is_open_is_not_raised_again(store: RelationalStore) -> None:
    alarms: AlarmStore = store.alarms
    first = alarms.add("dm.replay", "dcu-D1", "a message came twice", when=1.0)
    assert first is not None
    assert alarms.add("dm.replay", "dcu-D1", "and again", when=2.0) is None
    assert alarms.add("dm.replay", "dcu-D2", "elsewhere", when=2.0) is not None
    assert alarms.open_count() == 2
    cleared = alarms.clear(first.id, who="anna", when=3.0, why="looked")
    assert (cleared.cleared, cleared.cleared_by) == (3.0, "anna")
    assert alarms.clear(first.id, who="ben", when=4.0) == cleared
    (entry,) = store.audit.list(subject="dcu-D1").items
    assert (entry.who, entry.what, entry.why) == ("anna", "alarm.cleared dm.replay", "looked")
    again = alarms.add("dm.replay", "dcu-D1", "and again", when=5.0)
    assert again is not None
    assert [one.id for one in alarms.list(subject="dcu-D1").items] == [again.id, first.id]
    page = alarms.list(only_open=True, limit=1)
    assert page.items == (again,)
    assert [one.subject for one in alarms.list(only_open=True, after=page.next).items] == ["dcu-D2"]
    with pytest.raises(NotFoundError):
        alarms.clear(999, who="anna", when=6.0)
