"""A device and a security server back to back, interrupted and repeated at every message."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.ssmp_office import NOW, Device, Fault, Office, chance, make_key

from openami.crypto import certificates as c
from openami.crypto.requests import make_request
from openami.fleet import admission
from openami.fleet.expected import Approval, ExpectedDevice
from openami.fleet.registration import Standing
from openami.ssmp.client import LAST_RETRY_S, Step

AUTO = ExpectedDevice("D1", manufacturer="Maker", model="OA-DCU")
DEVICE = Device()  # its keys are what costs time
START = DEVICE.disk


def fresh() -> Device:
    DEVICE.disk, DEVICE.now = START, NOW
    DEVICE.boot()
    return DEVICE


def registered_once(office: Office, device: Device) -> None:
    """Check the one thing that matters: one account, the same on both sides, one certificate."""
    state, registration = device.state, office.registrations["D1"]
    assert (state.step, registration.standing) == (Step.LIVE, Standing.LIVE)
    assert state.block is not None
    assert office.accounts == {"D1": state.block}
    assert office.activations == 1
    assert registration.certificate is not None
    assert c.load_certificate(state.chain[0]).serial_number == registration.certificate.serial
    assert registration.certificate.serial not in office.revoked
    assert (office.alarms, office.offers, office.suspended) == ([], {}, set())


def test_an_expected_device_is_live_after_three_messages() -> None:
    office, device = Office(AUTO), fresh()
    device.run(office, 3)
    registered_once(office, device)
    assert device.client.next_timer() is None
    assert device.client.next_request(NOW * 2) is None


@pytest.mark.parametrize(("message", "fault"), list(product(range(3), Fault)), ids=str)
def test_interrupted_at_any_message(message: int, fault: Fault) -> None:
    office, device = Office(AUTO), fresh()
    device.run(office, message)
    device.round(office, fault)
    device.run(office)
    registered_once(office, device)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(Fault), max_size=12), st.booleans())
def test_any_faults_in_any_order(faults: list[Fault], by_hand: bool) -> None:
    office, device = Office(*(() if by_hand else (AUTO,))), fresh()
    for fault in faults:
        device.round(office, fault)
    device.now += LAST_RETRY_S  # the longest that a device waits after failures
    device.run(office, 2)
    if by_hand:
        office.decide(admission.approve(office.registrations["D1"], grant=chance(70)))
    device.run(office)
    registered_once(office, device)


def test_a_device_that_nobody_expects_waits_for_a_person() -> None:
    office, device = Office(), fresh()
    device.run(office, 4)
    assert device.state.step is Step.REGISTERING
    assert office.registrations["D1"].standing is Standing.PENDING
    office.decide(admission.approve(office.registrations["D1"], grant=chance(70)))
    device.run(office, 3)
    registered_once(office, device)


def test_a_refused_device_asks_again_and_comes_in_when_a_person_changes_their_mind() -> None:
    office, device = Office(ExpectedDevice("D1", approval=Approval.MANUAL)), fresh()
    device.run(office, 1)
    office.decide(admission.refuse(office.registrations["D1"]))
    device.run(office, 3)
    assert office.registrations["D1"].standing is Standing.REFUSED
    office.decide(admission.approve(office.registrations["D1"], grant=chance(70)))
    device.run(office, 3)
    assert office.accounts == {"D1": device.state.block}


def test_an_offer_that_expired_is_made_anew() -> None:
    office, device = Office(AUTO), fresh()
    device.run(office, 2)
    old = device.state
    assert old.step is Step.ACKNOWLEDGING
    device.now += 30 * 86_400
    device.round(office)
    assert device.state.step is Step.REGISTERING
    device.run(office, 3)
    registered_once(office, device)
    assert device.state.block != old.block
    assert list(office.revoked.values()) == ["superseded"]


def test_a_fetch_that_lay_in_the_network_is_not_answered_with_passwords_once_live() -> None:
    office, device = Office(AUTO), fresh()
    device.run(office, 1)
    fetch = device.client.next_request(device.now + 60)
    assert fetch is not None
    device.run(office, 2)
    answer = office.server.answer(fetch, device.peer(), now=device.now)
    assert b"password" not in answer
    registered_once(office, device)


def test_two_devices_with_one_factory_identity_are_blocked_until_a_person_decides() -> None:
    office, first = Office(AUTO), fresh()
    clone = Device("D1", 2, factory=first.factory)
    first.run(office, 3)
    clone.run(office, 2)
    assert office.alarms == ["registration.twice"]
    assert office.suspended == {"D1"}
    assert clone.state.step is Step.REGISTERING
    office.decide(admission.keep(office.registrations["D1"]))
    clone.run(office, 3)
    assert clone.state.step is Step.REGISTERING
    assert office.registrations["D1"].standing is Standing.LIVE
    assert office.alarms == ["registration.twice"]
    assert office.suspended == set()


def test_the_second_of_two_may_be_the_right_one() -> None:
    office, first = Office(AUTO), fresh()
    first.run(office, 3)
    second = Device("D1", 2)  # the same name, another factory key: a replaced board
    second.run(office, 1)
    old = office.registrations["D1"].certificate
    assert old is not None
    office.decide(admission.take_rival(office.registrations["D1"], grant=chance(7)))
    second.run(office, 4)
    assert second.state.step is Step.LIVE
    assert office.accounts == {"D1": second.state.block}
    assert office.revoked == {old.serial: "keyCompromise"}
    assert office.suspended == set()


def test_a_clone_that_appears_before_the_first_is_live_gets_nothing() -> None:
    for rounds in range(3):
        office, first = Office(AUTO), fresh()
        clone = Device("D1", 2, factory=first.factory)
        first.run(office, max(rounds, 1))
        clone.run(office, 3)
        first.run(office, 3)
        assert office.registrations["D1"].standing is Standing.BLOCKED
        assert office.accounts == {}
        office.decide(admission.keep(office.registrations["D1"]))
        first.run(office)
        assert office.accounts == {"D1": first.state.block}
        assert clone.state.block is None


def test_a_live_device_registers_anew_once_it_was_opened() -> None:
    office, first = Office(AUTO), fresh()
    first.run(office, 3)
    before = office.registrations["D1"].certificate
    assert before is not None
    office.decide(admission.reopen(office.registrations["D1"]))
    second = Device("D1", 2)
    second.run(office, 2)
    assert office.accounts == {"D1": first.state.block}  # until the new ones are acknowledged
    second.run(office, 1)
    assert office.accounts == {"D1": second.state.block}
    assert office.revoked == {before.serial: "superseded"}
    assert office.alarms == []
    third = Device("D1", 3)
    third.run(office, 1)
    assert office.alarms == ["registration.twice"]


@pytest.mark.parametrize("fault", list(Fault), ids=str)
def test_renewal_interrupted(fault: Fault) -> None:
    office, device = Office(AUTO), fresh()
    device.run(office, 3)
    first = device.state.chain
    key = make_key()
    device.client.renew(chance(50), make_request("D1", key))
    state = device.client.next_event()
    assert state is not None
    device.disk = device.client.state.encode()
    device.round(office, fault)
    device.run(office, 3)
    assert device.state.step is Step.LIVE
    assert device.state.chain != first
    leaf = c.load_certificate(device.state.chain[0])
    assert leaf.public_key() == key.public_key()
    assert office.alarms == []
    assert office.registrations["D1"].certificate is not None
    assert leaf.serial_number == office.registrations["D1"].certificate.serial
    # The certificate before is revoked when the device shows the new one, not earlier.
    assert office.revoked == {}
    office.decide(admission.show(office.registrations["D1"], leaf.serial_number))
    assert list(office.revoked.values()) == ["superseded"]


def test_two_that_hold_one_operational_key_are_found_at_renewal() -> None:
    office, device = Office(AUTO), fresh()
    device.run(office, 3)
    live = device.disk
    for number in (50, 51):
        device.disk = live
        device.boot()
        device.client.renew(chance(number), make_request("D1", make_key()))
        assert device.client.next_event() is not None
        device.disk = device.client.state.encode()
        device.run(office, 1)
    assert office.alarms == ["registration.twice"]
    assert office.suspended == {"D1"}
    office.decide(admission.keep(office.registrations["D1"]))
    assert list(office.revoked.values()) == ["keyCompromise"]
    assert office.suspended == set()
