"""The registrar over real stores, interrupted wherever it commits."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, cast

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.registering import DAY, FolderOffice, Killer, Mortal
from tests.support.ssmp_office import INFO, NOW, Device, Fault, ServerKilledError, chance, make_key

from openami.core.errors import ConfigError, ConflictError, StoreError
from openami.crypto import certificates as c
from openami.crypto.requests import make_request
from openami.fleet import admission
from openami.fleet import registration as r
from openami.fleet.devices import Device as Registered
from openami.fleet.devices import DeviceKind, LifecycleState
from openami.fleet.expected import Approval, ExpectedDevice
from openami.headend.errors import BusyError
from openami.headend.security import registrar as module
from openami.headend.security import renewals as hasty
from openami.headend.security.alarms import Alarms
from openami.headend.security.changes import TRIES
from openami.headend.security.offers import OFFER
from openami.headend.security.registrations import Registrations
from openami.headend.security.renewals import HASTY, Renewals
from openami.ssmp import messages as m
from openami.ssmp.client import Client, Step, begin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openami.headend.security.pki import Pki

EXPECTED = ExpectedDevice("D1", region="Seoul", label="Pole 17")


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of stores in which nothing is yet."""
    folder = tmp_path_factory.mktemp("empty")
    FolderOffice(folder).close()
    return folder


@pytest.fixture
def office(empty: Path, tmp_path: Path) -> Iterator[FolderOffice]:
    shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
    office = FolderOffice(tmp_path)
    yield office
    office.close()


@pytest.fixture
def mortal(empty: Path, tmp_path: Path) -> Iterator[Mortal]:
    shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
    mortal = Mortal(tmp_path)
    yield mortal
    mortal.office.close()


def live(mortal: Mortal) -> Device:
    """Return a device that has registered."""
    mortal.office.expect(EXPECTED)
    device = Device()
    device.run(mortal)
    assert step(device) is Step.LIVE
    return device


def step(device: Device) -> Step:
    return device.state.step


def standing(mortal: Mortal, uid: str = "D1") -> r.Standing:
    registration = mortal.office.store.registrations.get(uid)
    assert registration is not None
    return registration.standing


def rule(mortal: Mortal, decide: Callable[..., r.Ruling], **options: bytes) -> None:
    """Do what a person decides."""
    ruling = mortal.office.changes.decide("D1", lambda now: decide(now, **options), who="anna")
    if ruling.registration is not None:
        mortal.office.changes.tidy(ruling.registration)


def refusal(device: Device, mortal: Mortal) -> m.Reason:
    """Return why the device's next request is refused."""
    device.now += 2 * DAY
    asked = device.client.next_request(device.now)
    assert asked is not None
    answer = m.decode(mortal.answer(asked, device.peer(), now=device.now))
    assert isinstance(answer, m.Refused)
    return answer.reason


def test_an_expected_device_registers_by_itself(mortal: Mortal) -> None:
    device = live(mortal)
    block = device.state.block
    assert block is not None
    assert (block.server_id, block.client_id) == ("openami", "dcu-D1")
    assert block.server_url == "https://dm.example/dm"
    assert block.not_after - block.not_before == 7 * DAY
    mortal.office.check_one_account("D1", block)
    registered = mortal.office.store.devices.get("dcu-D1")
    assert registered.state is LifecycleState.COMMISSIONED
    assert (registered.region, registered.label) == ("Seoul", "Pole 17")


def test_a_person_lets_in_who_is_not_expected(mortal: Mortal) -> None:
    device = Device()
    device.run(mortal, 2)
    assert step(device) is Step.REGISTERING
    assert standing(mortal) is r.Standing.PENDING
    rule(mortal, admission.approve, grant=chance(78))
    device.run(mortal)
    assert step(device) is Step.LIVE


def test_who_asks_again_while_pending_writes_nothing(mortal: Mortal) -> None:
    device = Device()
    device.run(mortal, 5)
    assert len(mortal.office.store.audit.list().items) == 1


def test_a_list_that_comes_later_lets_in(mortal: Mortal) -> None:
    device = Device()
    device.run(mortal, 2)
    mortal.office.expect(replace(EXPECTED, approval=Approval.MANUAL))
    device.run(mortal, 2)
    assert standing(mortal) is r.Standing.PENDING
    mortal.office.expect(EXPECTED)
    device.run(mortal)
    assert step(device) is Step.LIVE


def test_a_kill_9_at_any_commit_registers_a_device_once(tmp_path: Path) -> None:
    """A server dies at the nth commit without a last word, for every n."""
    command = [sys.executable, "-m", "tests.support.registrar_kill", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ends = [line for line in done.stdout.splitlines() if line in {"killed", "ended"}]
    assert ends == ["killed"] * 14 + ["ended"]


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([fault for fault in Fault if fault is not Fault.SERVER_DIES_BEFORE_COMMIT]),
                  st.none() | st.integers(0, 6)),
        max_size=10,
    )
)  # fmt: skip
def test_whatever_dies_and_is_lost_on_both_sides_a_device_registers_once(
    empty: Path, faults: list[tuple[Fault, int | None]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(empty, folder, dirs_exist_ok=True)
        mortal = Mortal(Path(folder))
        mortal.office.expect(EXPECTED)
        device = Device()
        for fault, chance_number in faults:
            if chance_number is not None:
                mortal.commit = Killer(chance_number)
            with contextlib.suppress(ServerKilledError):
                device.round(mortal, fault)
        mortal.commit = None
        device.run(mortal)
        assert step(device) is Step.LIVE
        assert device.state.block is not None
        mortal.office.check_one_account("D1", device.state.block)
        mortal.office.close()


@pytest.mark.parametrize("chance_number", range(7))
def test_a_server_killed_at_any_commit_renews_a_certificate(
    mortal: Mortal, chance_number: int
) -> None:
    device = live(mortal)
    mortal.commit = killer = Killer(chance_number)
    key = make_key()
    old = device.state.chain[0]
    device.client.renew(chance(9), make_request("D1", key))
    moved = device.client.next_event()
    assert moved is not None
    device.disk = device.client.state.encode()
    for _ in range(4):
        device.round(mortal)
    assert step(device) is Step.LIVE
    leaf = c.load_certificate(device.state.chain[0])
    assert leaf.public_key() == key.public_key()
    with contextlib.suppress(ServerKilledError):
        mortal.office.registrar.shown("D1", leaf.serial_number)
    mortal.office.registrar.shown("D1", leaf.serial_number)
    registration = mortal.office.store.registrations.get("D1")
    assert registration is not None
    assert registration.certificate is not None
    assert registration.certificate.serial == leaf.serial_number
    assert registration.previous is None
    good = mortal.office.good_certificates("D1")
    assert leaf.serial_number in good
    assert c.load_certificate(old).serial_number not in good
    assert killer.killed is (chance_number < 6), "every chance is to be tried"


def renew(device: Device, mortal: Mortal, number: int) -> m.Message:
    """Let a live device ask for its next certificate; return the answer."""
    device.boot()
    device.client.renew(chance(number), make_request("D1", make_key()))
    while device.client.next_event() is not None:
        continue
    before, device.disk = device.disk, device.client.state.encode()
    asked = device.client.next_request(device.now)
    assert asked is not None
    answer = m.decode(mortal.answer(asked, device.peer(), now=device.now))
    device.disk = before
    return answer


def test_a_device_that_renews_as_fast_as_it_can_gets_two_certificates_an_hour(
    mortal: Mortal,
) -> None:
    """The flood of whoever holds an operational certificate: bounded, and told."""
    device = live(mortal)
    device.client.renew(chance(9), make_request("D1", make_key()))
    device.client.next_event()
    device.disk = device.client.state.encode()
    device.round(mortal)
    assert step(device) is Step.LIVE
    mortal.office.registrar.shown("D1", c.load_certificate(device.state.chain[0]).serial_number)
    written = len(mortal.office.store.audit.list(limit=1000).items)
    with structlog.testing.capture_logs() as logs:
        for number in range(30):
            answer = renew(device, mortal, 10 + number)
            assert isinstance(answer, m.Refused)
            assert (answer.reason, answer.retry) == (m.Reason.SOON, 3600)
    assert len(mortal.office.store.certificates.list(subject="D1").items) == 2
    assert len(mortal.office.store.audit.list(limit=1000).items) == written
    (alarm,) = mortal.office.store.alarms.list().items
    assert (alarm.code, alarm.subject) == ("registration.renewals", "dcu-D1")
    assert len([one for one in logs if one["event"] == "renews too soon"]) == 1
    device.now += 3600
    assert isinstance(renew(device, mortal, 50), m.Renewed)
    assert mortal.office.registrar._renewals._hasty == {}  # it is counted from none again


def test_who_renews_too_soon_once_or_twice_is_no_alarm(mortal: Mortal) -> None:
    office = mortal.office
    renewals = Renewals(Alarms(office.store.alarms, bus=office.bus, wall=office.clock))
    for _ in range(5):
        for _ in range(2):
            renewals.refused("D1", wait=60, now=NOW)
        renewals.renewed("D1")
    renewals.renewed("D2")
    assert office.store.alarms.list().items == ()
    for _ in range(HASTY):
        renewals.refused("D1", wait=60, now=NOW)
    assert len(office.store.alarms.list().items) == 1


def test_who_renews_too_soon_takes_no_memory(
    mortal: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hasty, "REMEMBERED", 2)
    office = mortal.office
    renewals = Renewals(Alarms(office.store.alarms, bus=office.bus, wall=office.clock))
    for number in range(5):
        renewals.refused(f"D{number}", wait=60, now=NOW)
    assert len(renewals._hasty) == 2


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("at", range(3))
def test_a_device_that_fails_at_any_step_registers_once(
    mortal: Mortal, fault: Fault, at: int
) -> None:
    mortal.office.expect(EXPECTED)
    device = Device()
    for number in range(12):
        # The stores do not die here: another test kills them at every commit.
        skipped = fault is Fault.SERVER_DIES_BEFORE_COMMIT
        device.round(mortal, fault if number == at and not skipped else Fault.NONE)
    assert step(device) is Step.LIVE
    block = device.state.block
    assert block is not None
    mortal.office.check_one_account("D1", block)


def test_an_offer_whose_time_is_over_is_made_anew(mortal: Mortal) -> None:
    mortal.office.expect(EXPECTED)
    device = Device()
    for _ in range(2):
        device.round(mortal)
    assert step(device) is Step.ACKNOWLEDGING
    device.now += 8 * DAY
    for _ in range(12):
        device.round(mortal)
        assert len(mortal.office.vault.find(OFFER, "D1")) <= 1
    assert step(device) is Step.LIVE
    assert device.state.block is not None
    mortal.office.check_one_account("D1", device.state.block)


def test_an_offer_that_a_restored_vault_does_not_have_is_made_anew(mortal: Mortal) -> None:
    mortal.office.expect(EXPECTED)
    device = Device()
    for _ in range(2):
        device.round(mortal)
    (digest,) = mortal.office.vault.find(OFFER, "D1")
    mortal.office.vault.delete(OFFER, "D1", digest)
    device.run(mortal)
    assert step(device) is Step.LIVE
    assert device.state.block is not None
    mortal.office.check_one_account("D1", device.state.block)


def test_the_same_offer_is_sent_again(mortal: Mortal) -> None:
    mortal.office.expect(EXPECTED)
    device = Device()
    device.round(mortal)
    fetch = m.encode(m.Fetch(device.state.exchange, device.state.grant))
    first = mortal.answer(fetch, device.peer(), now=device.now)
    assert mortal.answer(fetch, device.peer(), now=device.now + 60) == first
    assert len(mortal.office.vault.find(OFFER, "D1")) == 1


def test_passwords_are_not_shown_again(mortal: Mortal) -> None:
    device = live(mortal)
    fetch = m.encode(m.Fetch(device.state.exchange, device.state.grant))
    answer = m.decode(mortal.answer(fetch, device.peer(), now=device.now))
    assert isinstance(answer, m.Refused)
    assert (answer.reason, answer.retry) == (m.Reason.SPENT, 60)


def test_a_clone_blocks_both_until_a_person_decides(mortal: Mortal) -> None:
    device = live(mortal)
    clone = Device(number=2, factory=device.factory)
    assert refusal(clone, mortal) is m.Reason.TWICE
    account = mortal.office.account("D1")
    assert account is not None
    assert account.suspended
    (alarm,) = mortal.office.store.alarms.list(only_open=True).items
    assert alarm.code == "registration.twice"
    rule(mortal, admission.keep)
    assert refusal(clone, mortal) is m.Reason.STALE
    assert device.state.block is not None
    mortal.office.check_one_account("D1", device.state.block)


def test_the_second_of_two_takes_the_place_of_the_first(mortal: Mortal) -> None:
    device = live(mortal)
    second = Device(number=2, factory=device.factory)
    assert refusal(second, mortal) is m.Reason.TWICE
    rule(mortal, admission.take_rival, grant=chance(77))
    assert mortal.office.accounts("D1") == {}
    assert mortal.office.good_certificates("D1") == []
    second.run(mortal)
    assert step(second) is Step.LIVE
    registration = mortal.office.store.registrations.get("D1")
    assert registration is not None
    assert registration.claim.key == c.key_fingerprint(second.key.public_key())


def test_what_a_blocked_device_shows_counts_once_it_is_kept(mortal: Mortal) -> None:
    device = live(mortal)
    device.client.renew(chance(9), make_request("D1", make_key()))
    device.client.next_event()
    device.disk = device.client.state.encode()
    device.round(mortal)
    clone = Device(number=2, factory=device.factory)
    assert refusal(clone, mortal) is m.Reason.TWICE
    registrar = mortal.office.registrar
    serial = c.load_certificate(device.state.chain[0]).serial_number
    registrar.shown("D1", serial)
    assert not registrar.knows_shown(serial)
    rule(mortal, admission.keep)
    assert len(mortal.office.good_certificates("D1")) == 2
    registrar.shown("D1", serial)
    assert registrar.knows_shown(serial)
    assert mortal.office.good_certificates("D1") == [serial]
    registrar.shown("D7", 7)  # enrolled by hand
    assert registrar.knows_shown(7)


def test_what_was_shown_is_remembered_of_so_many(
    office: FolderOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHOWN", 2)
    for serial in range(5):
        office.registrar.shown("D7", serial)
        assert office.registrar.knows_shown(serial)
    assert len(office.registrar._shown) <= 2


def test_a_renewal_that_others_interrupt_issues_one_certificate(mortal: Mortal) -> None:
    device = live(mortal)
    real, calls = mortal.office.store.registrations.put, []

    def put(*arguments: object, **options: object) -> None:
        calls.append(1)
        if len(calls) < TRIES:
            raise ConflictError("changed", code="registration.changed")
        real(*arguments, **options)  # type: ignore[arg-type] # as it was called

    mortal.office.store.registrations.put = put  # type: ignore[method-assign] # to be late
    device.client.renew(chance(9), make_request("D1", make_key()))
    device.client.next_event()
    device.disk = device.client.state.encode()
    device.round(mortal)
    assert step(device) is Step.LIVE
    assert len(calls) == TRIES
    assert len(mortal.office.good_certificates("D1")) == 2  # until the new one is shown


def test_a_device_that_registers_anew_keeps_its_old_account_until_then(mortal: Mortal) -> None:
    device = live(mortal)
    assert device.state.block is not None
    rule(mortal, admission.reopen)
    again = Device(number=2, factory=device.factory)
    for _ in range(2):
        again.round(mortal)
    account = mortal.office.account("D1")
    assert account is not None
    assert list(mortal.office.accounts("D1")) == [account.digest]
    again.run(mortal)
    assert again.state.block is not None
    (secret,) = mortal.office.accounts("D1").values()
    assert secret["client_password"] == again.state.block.client_password
    assert len(mortal.office.good_certificates("D1")) == 1


@pytest.mark.parametrize(
    ("to", "reason"),
    [(LifecycleState.SUSPENDED, m.Reason.OPERATOR), (LifecycleState.RETIRED, m.Reason.RETIRED)],
)
@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_a_device_that_the_registry_shuts_out_is_refused(
    mortal: Mortal, to: LifecycleState, reason: m.Reason, rounds: int
) -> None:
    """Whatever it asks: to register, for its accounts, or to have them made live."""
    device = Device()
    if rounds:
        mortal.office.expect(EXPECTED)
        device.run(mortal, rounds)
    else:
        shut = Registered(DeviceKind.DCU, "D1")
        mortal.office.store.devices.add(shut, who="anna", when=NOW)
    mortal.office.store.devices.move("dcu-D1", to, who="anna", when=NOW, why="no")
    assert refusal(device, mortal) is reason
    before = mortal.office.store.registrations.get("D1")
    assert (before is not None) is bool(rounds)
    assert before is None or before.live is None


def test_a_suspended_device_renews_nothing(mortal: Mortal) -> None:
    device = live(mortal)
    mortal.office.store.devices.move(
        "dcu-D1", LifecycleState.SUSPENDED, who="anna", when=NOW, why="no"
    )
    device.client.renew(chance(9), make_request("D1", make_key()))
    device.client.next_event()
    device.disk = device.client.state.encode()
    assert refusal(device, mortal) is m.Reason.OPERATOR
    assert len(mortal.office.good_certificates("D1")) == 1


def test_what_is_tidied_after_a_decision_is_not_what_the_device_was_offered_meanwhile(
    office: FolderOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device asks between a person's commit and the tidying after it: it has to wait."""
    device = Device()
    asked = device.client.next_request(NOW)
    assert asked is not None
    office.server.answer(asked, device.peer(), now=NOW)
    people = Registrations(
        office.changes,
        office.store.registrations,
        office.store.expected,
        cast("Pki", None),  # knows certificates, of which there are none yet
        wall=office.clock,
    )
    tidying, answered, tidy = Event(), Event(), office.changes.tidy

    def slow(registration: r.Registration) -> None:
        if not tidying.is_set():
            tidying.set()
            answered.wait(0.5)  # of a device that need not wait, this is when it is answered
        tidy(registration)

    monkeypatch.setattr(office.changes, "tidy", slow)

    def fetch() -> None:
        tidying.wait()
        granted = office.store.registrations.get("D1")
        assert granted is not None
        fetch = m.encode(m.Fetch(device.state.exchange, granted.grant))
        office.server.answer(fetch, device.peer(), now=NOW)
        answered.set()

    with ThreadPoolExecutor(2) as pool:
        device_asks = pool.submit(fetch)
        pool.submit(people.approve, "D1", who="anna").result()
        device_asks.result()
    offered = office.store.registrations.get("D1")
    assert offered is not None
    assert offered.offer is not None
    assert list(office.vault.find(OFFER, "D1")) == [offered.offer.digest.hex()]


def suspend(mortal: Mortal) -> None:
    to = LifecycleState.SUSPENDED
    mortal.office.store.devices.move("dcu-D1", to, who="anna", when=NOW, why="no")


def check_told(mortal: Mortal) -> None:
    """Assert that the device is blocked with an alarm, and stays suspended once it is decided."""
    assert standing(mortal) is r.Standing.BLOCKED
    (alarm,) = mortal.office.store.alarms.list(only_open=True).items
    assert alarm.code == "registration.twice"
    rule(mortal, admission.keep)
    assert mortal.office.store.devices.get("dcu-D1").state is LifecycleState.SUSPENDED


def test_a_clone_of_a_suspended_device_is_told_at_once(mortal: Mortal) -> None:
    device = live(mortal)
    suspend(mortal)
    clone = Device(number=2, factory=device.factory)
    assert refusal(clone, mortal) is m.Reason.TWICE
    check_told(mortal)
    assert refusal(clone, mortal) is m.Reason.OPERATOR


def test_a_copied_key_of_a_suspended_device_is_told_at_once(mortal: Mortal) -> None:
    device = live(mortal)
    copied = device.disk
    device.client.renew(chance(9), make_request("D1", make_key()))
    device.client.next_event()
    device.disk = device.client.state.encode()
    device.round(mortal)
    suspend(mortal)
    device.disk = copied
    device.boot()
    device.client.renew(chance(10), make_request("D1", make_key()))
    device.client.next_event()
    device.disk = device.client.state.encode()
    assert refusal(device, mortal) is m.Reason.TWICE
    check_told(mortal)


def test_a_refused_device_waits_longer_than_a_pending_one(office: FolderOffice) -> None:
    office.expect(replace(EXPECTED, model="Other"))
    device = Device()
    asked = device.client.next_request(NOW)
    assert asked is not None
    answer = m.decode(office.server.answer(asked, device.peer(), now=NOW))
    assert answer == m.Refused(device.state.exchange, m.Reason.MISMATCH, 3600)
    (alarm,) = office.store.alarms.list().items
    assert (alarm.code, alarm.subject) == ("registration.mismatch", "dcu-D1")


@pytest.mark.parametrize("code", ["registration.changed", "store.conflict"])
def test_what_was_decided_on_something_old_is_decided_again(
    office: FolderOffice, code: str
) -> None:
    office.expect(EXPECTED)
    device = Device()
    asked = device.client.next_request(NOW)
    assert asked is not None
    real, calls = office.store.registrations.put, []

    def put(*arguments: object, **options: object) -> None:
        calls.append(1)
        if len(calls) <= failures:
            raise ConflictError("changed", code=code)
        real(*arguments, **options)  # type: ignore[arg-type] # as it was called

    office.store.registrations.put = put  # type: ignore[method-assign] # to be late once
    failures = TRIES - 1
    answer = m.decode(office.server.answer(asked, device.peer(), now=NOW))
    assert isinstance(answer, m.Approved)
    failures = 99
    fetch = m.encode(m.Fetch(device.state.exchange, answer.grant))
    with pytest.raises(BusyError):
        office.server.answer(fetch, device.peer(), now=NOW)
    with pytest.raises(BusyError):
        office.server.answer(
            _anew(device), Device(number=2, factory=device.factory).peer(), now=NOW
        )


def _anew(device: Device) -> bytes:
    state = begin(chance(5), make_request(device.uid, make_key()))
    asked = Client(state, uid=device.uid, info=INFO).next_request(NOW)
    assert asked is not None
    return asked


def test_a_conflict_of_another_kind_is_an_error(office: FolderOffice) -> None:
    def put(*arguments: object, **options: object) -> None:
        del arguments, options
        raise ConflictError("no way leads there", code="device.transition")

    office.store.registrations.put = put  # type: ignore[method-assign] # fails once
    device = Device()
    asked = device.client.next_request(NOW)
    assert asked is not None
    with pytest.raises(ConflictError):
        office.server.answer(asked, device.peer(), now=NOW)


def test_a_registration_without_its_key_is_an_error(mortal: Mortal) -> None:
    mortal.office.expect(EXPECTED)
    device = Device()
    device.round(mortal)
    registrations = mortal.office.store.registrations
    before = registrations.get("D1")
    assert before is not None
    registrations.put(
        replace(before, claim=replace(before.claim, public=b"")),
        replacing=before, effects=(), who="x", when=NOW,
    )  # fmt: skip
    fetch = m.encode(m.Fetch(device.state.exchange, before.grant))
    with pytest.raises(StoreError, match="has no key"):
        mortal.answer(fetch, device.peer(), now=device.now)


def test_an_address_that_no_device_could_use_is_not_offered(office: FolderOffice) -> None:
    with pytest.raises(ConfigError) as caught:
        office.registrar.manage_at("http://dm.example/dm")
    assert caught.value.code == "config.dm-url"


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("https://dm.example/dm", None, None),
        ("https://192.0.2.7:8444/dm", "192.0.2.7", 8444),
        ("https://192.0.2.7/dm", "192.0.2.7", 443),
        ("https://[2001:db8::1]:8444/dm", "2001:db8::1", 8444),
        ("https://[::ffff:192.0.2.7]:1/dm", "192.0.2.7", 1),
    ],
)
def test_the_block_says_the_address_that_the_url_names(
    mortal: Mortal, url: str, address: str | None, port: int | None
) -> None:
    mortal.office.registrar.manage_at(url)
    block = live(mortal).state.block
    assert block is not None
    assert (block.server_url, block.port) == (url, port)
    assert (None if block.address is None else str(block.address)) == address
