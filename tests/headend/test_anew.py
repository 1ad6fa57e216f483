"""A registered device registers anew by itself, and nobody else does in its place."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.support.registering import DAY, FolderOffice, Mortal
from tests.support.ssmp_office import NOW, Device, Fault, chance, make_key

from openami.core.errors import LocalProtocolError
from openami.crypto import certificates as c
from openami.crypto.requests import make_request
from openami.crypto.succession import following, trace
from openami.fleet import admission
from openami.fleet.expected import ExpectedDevice
from openami.fleet.registration import Standing
from openami.headend.security.changes import ASKED_S
from openami.headend.security.registrar import PENDING_FIRST_S, pending_wait
from openami.ssmp import messages as m
from openami.ssmp.client import Step, begin
from openami.store.relational.security_models import RegistrationRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from openami.fleet.registration import Registration, Ruling

YEARS = 800 * DAY
"""Longer than a certificate of the office's lasts."""


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("anew")
    FolderOffice(folder).close()
    return folder


@pytest.fixture
def mortal(empty: Path, tmp_path: Path) -> Iterator[Mortal]:
    shutil.copytree(empty, tmp_path / "office")
    mortal = Mortal(tmp_path / "office")
    mortal.office.expect(ExpectedDevice("D1"))
    yield mortal
    mortal.office.close()


def decide(mortal: Mortal, how: Callable[[Registration], Ruling]) -> None:
    """Let a person decide on D1."""

    def ruling(now: Registration | None) -> Ruling:
        assert now is not None
        return how(now)

    mortal.office.changes.decide("D1", ruling, who="anna")


@pytest.fixture
def device(mortal: Mortal) -> Device:
    device = Device()
    device.run(mortal, 3)
    assert device.state.step is Step.LIVE
    return device


def anew(device: Device) -> None:
    """Let a device ask to register anew, with a new key."""
    device.key = make_key()
    device.client.anew(make_request("D1", device.key))
    device.client.next_event()
    device.disk = device.client.state.encode()


def refused(device: Device, mortal: Mortal) -> m.Reason:
    device.now = max(device.now, device.client.next_timer() or 0.0)
    asked = device.client.next_request(device.now)
    assert asked is not None
    octets = mortal.answer(asked, device.peer(), now=device.now)
    device.client.receive(octets, now=device.now)
    while device.client.next_event() is not None:
        device.disk = device.client.state.encode()
    answer = m.decode(octets)
    assert isinstance(answer, m.Refused)
    return answer.reason


def standing(mortal: Mortal) -> Standing:
    registration = mortal.office.store.registrations.get("D1")
    assert registration is not None
    return registration.standing


def alarms(mortal: Mortal) -> list[str]:
    return [alarm.code for alarm in mortal.office.store.alarms.list().items]


def check_registered(device: Device, mortal: Mortal) -> None:
    """Assert that both sides have one account and one certificate, the same."""
    block = device.state.block
    assert device.state.step is Step.LIVE
    assert block is not None
    assert standing(mortal) is Standing.LIVE
    ((digest, secret),) = mortal.office.accounts("D1").items()
    assert digest == device.state.digest.hex()
    assert secret["client_password"] == block.client_password
    leaf = c.load_certificate(device.state.chain[0])
    assert mortal.office.good_certificates("D1") == [leaf.serial_number]
    assert alarms(mortal) == []


@pytest.mark.parametrize("fault", list(Fault), ids=str)
def test_a_device_whose_certificate_ran_out_comes_back_whatever_is_interrupted(
    mortal: Mortal, device: Device, fault: Fault
) -> None:
    before = device.state.grant
    device.now += YEARS
    anew(device)
    device.boot()
    for _ in range(3):
        device.round(mortal, fault)
        device.run(mortal, 1)
    device.run(mortal, 3)
    check_registered(device, mortal)
    assert device.state.grant != before
    device.now += YEARS  # and once more
    anew(device)
    device.run(mortal, 3)
    check_registered(device, mortal)


def test_a_device_whose_last_renewal_got_lost_comes_back(mortal: Mortal, device: Device) -> None:
    device.client.renew(chance(9), make_request("D1", make_key()))
    device.client.next_event()
    device.disk = device.client.state.encode()
    device.now += 364 * DAY
    device.round(mortal, Fault.ANSWER_LOST)
    device.now += 10 * DAY
    anew(device)
    device.run(mortal, 3)
    check_registered(device, mortal)


def test_a_device_that_only_asks_makes_no_alarm_and_stays_what_it_is(
    mortal: Mortal, device: Device
) -> None:
    before = mortal.office.store.registrations.get("D1")
    for _ in range(3):
        anew(device)
        assert refused(device, mortal) is m.Reason.SPENT
        assert device.state.may_stay
        device.client.stay()
        assert device.client.state.step is Step.LIVE
        device.client.next_event()
    assert mortal.office.store.registrations.get("D1") == before
    assert alarms(mortal) == []
    decide(mortal, admission.reopen)
    anew(device)
    device.run(mortal, 1)
    assert not device.state.may_stay
    with pytest.raises(LocalProtocolError):
        device.client.stay()
    device.run(mortal, 2)
    check_registered(device, mortal)


def test_a_head_end_that_has_forgotten_it_takes_it_for_a_new_one(
    device: Device, tmp_path: Path
) -> None:
    other = FolderOffice(tmp_path)
    anew(device)
    asked = device.client.next_request(device.now)
    assert asked is not None
    answer = m.decode(other.server.answer(asked, device.peer(), now=device.now))
    assert answer == m.Pending(device.client.state.exchange, PENDING_FIRST_S)
    other.close()


def test_a_factory_identity_alone_gains_nothing_by_waiting(mortal: Mortal, device: Device) -> None:
    thief = Device(number=2, factory=device.factory)
    thief.now = device.now = device.now + YEARS
    assert refused(thief, mortal) is m.Reason.TWICE
    assert standing(mortal) is Standing.BLOCKED
    anew(device)
    assert refused(device, mortal) is m.Reason.TWICE  # until a person decides
    assert alarms(mortal) == ["registration.twice"]
    decide(mortal, admission.keep)
    device.now += DAY
    device.run(mortal, 3)
    assert device.state.step is Step.LIVE
    assert refused(thief, mortal) is m.Reason.STALE


def test_who_was_refused_with_its_copy_blocks_nothing_and_comes_in_once_approved(
    mortal: Mortal, device: Device
) -> None:
    thief = Device(number=2, factory=device.factory)
    assert refused(thief, mortal) is m.Reason.TWICE
    decide(mortal, admission.refuse)
    anew(device)
    for _ in range(3):
        assert refused(device, mortal) is m.Reason.OPERATOR
        assert refused(thief, mortal) is m.Reason.STALE
    assert standing(mortal) is Standing.REFUSED
    assert alarms(mortal) == ["registration.twice"]
    decide(mortal, lambda now: admission.approve(now, grant=chance(5)))
    device.now += DAY
    device.run(mortal, 3)
    assert device.state.step is Step.LIVE
    assert standing(mortal) is Standing.LIVE
    assert alarms(mortal) == ["registration.twice"]


def test_a_head_end_that_was_put_back_lets_it_in_as_the_second(
    mortal: Mortal, tmp_path: Path
) -> None:
    device = Device()
    device.run(mortal, 2)
    assert standing(mortal) is Standing.OFFERED
    mortal.office.close()
    shutil.copytree(tmp_path / "office", tmp_path / "before")
    mortal = Mortal(tmp_path / "office")
    device.run(mortal, 1)
    assert device.state.step is Step.LIVE
    mortal.office.close()
    mortal = Mortal(tmp_path / "before")
    anew(device)
    assert refused(device, mortal) is m.Reason.TWICE
    decide(mortal, lambda now: admission.take_rival(now, grant=chance(5)))
    device.now += DAY
    device.run(mortal, 3)
    assert (device.state.step, standing(mortal)) == (Step.LIVE, Standing.LIVE)
    assert alarms(mortal) == ["registration.twice"]
    mortal.office.close()


def test_who_follows_with_another_factory_certificate_is_another(
    mortal: Mortal, device: Device
) -> None:
    other = Device(number=2)
    other.disk = device.disk
    other.boot()
    other.now = device.now + YEARS
    anew(other)
    assert refused(other, mortal) is m.Reason.TWICE


def test_a_copy_with_all_that_the_device_has_shows(mortal: Mortal, device: Device) -> None:
    copy = Device(number=2, factory=device.factory)
    copy.disk = device.disk
    copy.boot()
    copy.now = device.now = device.now + YEARS
    anew(copy)
    copy.run(mortal, 3)
    assert copy.state.step is Step.LIVE
    anew(device)
    assert refused(device, mortal) is m.Reason.TWICE
    assert alarms(mortal) == ["registration.twice"]


def test_what_was_replaced_finds_out_and_blocks_nobody(mortal: Mortal, device: Device) -> None:
    decide(mortal, admission.reopen)
    second = Device(number=2, factory=device.factory)
    second.run(mortal, 3)
    device.now += YEARS
    for _ in range(3):
        anew(device)
        assert refused(device, mortal) is m.Reason.STALE
        device.client.stay()
        device.client.next_event()
    check_registered(second, mortal)


def test_only_what_was_registered_registers_anew(mortal: Mortal) -> None:
    device = Device()
    for _ in range(3):
        with pytest.raises(LocalProtocolError):
            device.client.anew(b"")
        with pytest.raises(LocalProtocolError):
            device.client.stay()
        device.round(mortal)
    assert device.state.step is Step.LIVE


def test_who_waits_for_a_person_asks_after_as_long_as_it_has_waited() -> None:
    times, now = [], 0
    while now < 1200:
        now += pending_wait(now, 300)
        times.append(now)
    assert times == [5, 10, 20, 40, 80, 160, 320, 620, 920, 1220]
    assert pending_wait(-50.0, 300) == PENDING_FIRST_S  # a clock was set back
    assert pending_wait(1e9, 3) == 3


def test_of_a_live_registration_the_database_does_not_give_away_what_follows(
    mortal: Mortal, device: Device
) -> None:
    """Who steals it and has the factory key still does not know the grant."""
    mine = device.state.grant
    with mortal.office.store.registrations._transactions.reading() as session:
        kept = str(session.get_one(RegistrationRow, "D1").body)
    assert trace(following(mine)).hex() in kept
    for secret in (mine, following(mine)):
        assert secret.hex() not in kept
    thief = Device(number=2, factory=device.factory)
    thief.now = device.now + YEARS
    made = begin(trace(following(mine))[:16], make_request("D1", thief.key))
    thief.disk = made.encode()
    thief.boot()
    assert refused(thief, mortal) is m.Reason.TWICE


@pytest.mark.parametrize("rounds", [0, 1, 2], ids=["registering", "fetching", "acknowledging"])
def test_a_device_whose_memory_is_put_back_comes_in_once_it_is_opened(
    mortal: Mortal, rounds: int
) -> None:
    device = Device()
    device.run(mortal, rounds)
    before = device.disk
    device.run(mortal, 3)
    device.disk = before
    device.boot()
    if device.state.step is Step.ACKNOWLEDGING:  # it acknowledges what it did: nothing is lost
        device.run(mortal, 1)
        return check_registered(device, mortal)
    device.run(mortal, 3)
    assert device.state.step is Step.REGISTERING
    assert refused(device, mortal) is m.Reason.SPENT
    assert mortal.office.store.registrations.asking(since=NOW) == 1
    account = mortal.office.accounts("D1")
    decide(mortal, admission.reopen)
    device.run(mortal, 2)
    assert mortal.office.accounts("D1") == account  # until the new one is acknowledged
    device.run(mortal, 1)
    check_registered(device, mortal)
    assert mortal.office.accounts("D1") != account
    assert mortal.office.store.registrations.asking(since=NOW) == 0
    return None


def test_that_a_device_asks_anew_is_noted_now_and_then(
    mortal: Mortal, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []
    store, audit = mortal.office.store.registrations, mortal.office.store.audit.list().items
    monkeypatch.setattr(store, "ask_anew", lambda _uid, *, when: times.append(when))
    for _ in range(30):
        anew(device)
        device.now += 60
        assert refused(device, mortal) is m.Reason.SPENT
        device.client.stay()
        device.client.next_event()
    assert len(times) == 3
    assert all(later - before >= ASKED_S for before, later in pairwise(times))
    assert mortal.office.store.audit.list().items == audit
