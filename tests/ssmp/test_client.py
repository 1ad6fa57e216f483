"""The device's machine: what it takes, what it refuses, what it keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ssmp_office import (
    DEVICES,
    INFO,
    LONG,
    NOW,
    Device,
    Office,
    chance,
    der,
    make_key,
)

from openami.core.errors import (
    DecodeError,
    LocalProtocolError,
    RemoteProtocolError,
    SecurityError,
)
from openami.crypto import certificates as c
from openami.crypto.requests import make_request
from openami.fleet.expected import ExpectedDevice
from openami.ssmp import messages as m
from openami.ssmp.client import (
    FIRST_RETRY_S,
    LAST_RETRY_S,
    TRANSITIONS,
    Client,
    ClientState,
    Moved,
    Step,
    Waiting,
    begin,
)

KEY = make_key()
REQUEST = make_request("D1", KEY)
E, G = chance(1), chance(2)
OFFICE = Office(ExpectedDevice("D1"))
DEVICE = Device()
STATES = [DEVICE.state]
for _ in range(3):
    DEVICE.run(OFFICE, 1)
    STATES.append(DEVICE.state)


def fetched() -> m.Bootstrap:
    message = m.decode(STATES[2].bootstrap)
    assert isinstance(message, m.Bootstrap)
    return message


BOOTSTRAP = fetched()


def client(state: ClientState) -> Client:
    return Client(state, uid="D1", info=INFO)


def leaf(uid: str, key: object = None) -> tuple[bytes, ...]:
    public = (KEY if key is None else make_key()).public_key()
    return (der(c.issue_ldevid(DEVICES, uid, "urn:x", public, serial=9, validity=LONG)),)


def test_a_state_does_not_show_its_grant() -> None:
    for state in STATES[1:]:
        assert state.grant
        assert repr(state.grant)[2:-1] not in repr(Moved(state))


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.step.name)
def test_kept_state_both_ways_and_cut(state: ClientState) -> None:
    octets = state.encode()
    assert ClientState.decode(octets) == state
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            ClientState.decode(octets[:size])
    with pytest.raises(DecodeError):
        ClientState.decode(octets + b"\0")
    assert "password" not in repr(state)


@given(st.binary(max_size=60))
def test_kept_state_of_anything(octets: bytes) -> None:
    for start in (b"", b"\1\1" + E):
        try:
            state = ClientState.decode(start + octets)
        except DecodeError:
            continue
        assert ClientState.decode(state.encode()) == state


def test_kept_state_is_bounded() -> None:
    for wrong in (b"\2\1", b"\1\0", b"\1\1" + E + b"\x82\xff\xff", b"\1\1" + E + b"\0\0\0\4"):
        with pytest.raises(DecodeError):
            ClientState.decode(wrong + bytes(70_000))


def test_the_document_and_the_machine_have_the_same_steps() -> None:
    assert [state.step for state in STATES] == [
        Step.REGISTERING,
        Step.FETCHING,
        Step.ACKNOWLEDGING,
        Step.LIVE,
    ]
    assert not [answer for step, answer in TRANSITIONS if step is Step.LIVE]


ANSWERS: tuple[m.Message, ...] = (
    m.Approved(E, G),
    m.Pending(E, 60),
    m.Refused(E, m.Reason.TWICE, 60),
    BOOTSTRAP,
    m.Confirmed(E, bytes(32)),
    m.Renewed(E, (b"x",)),
    m.Fetch(E, G),
)
OUT_OF_TURN = [
    pytest.param(state, answer, id=f"{type(answer).__name__} while {state.step.name}")
    for state in STATES
    for answer in ANSWERS
    if (state.step, type(answer)) not in TRANSITIONS
]


@pytest.mark.parametrize(("state", "answer"), OUT_OF_TURN)
def test_an_answer_out_of_turn_changes_nothing(state: ClientState, answer: m.Message) -> None:
    machine = client(state)
    with pytest.raises(RemoteProtocolError) as caught:
        machine.receive(m.encode(replace(answer, exchange=state.exchange)), now=NOW)
    assert caught.value.code == "ssmp.unexpected"
    assert machine.state == state
    assert machine.next_event() is None


def test_an_answer_of_another_exchange_changes_nothing() -> None:
    machine = client(STATES[0])
    with pytest.raises(RemoteProtocolError):
        machine.receive(m.encode(m.Approved(G, G)), now=NOW)
    with pytest.raises(DecodeError):
        machine.receive(b"<html>", now=NOW)
    assert machine.state == STATES[0]


def test_what_was_not_granted_and_certificates_of_others_are_refused() -> None:
    state = replace(begin(E, REQUEST), step=Step.FETCHING, grant=G)
    good = replace(BOOTSTRAP, exchange=E, grant=G, chain=leaf("D1"))
    machine = client(state)
    with pytest.raises(RemoteProtocolError):
        machine.receive(m.encode(replace(good, grant=E)), now=NOW)
    for chain, code in (
        (leaf("D2"), "ssmp.certificate"),
        (leaf("D1", "another"), "ssmp.certificate"),
        ((b"none",), "certificate.form"),
    ):
        with pytest.raises(SecurityError) as caught:
            machine.receive(m.encode(replace(good, chain=chain)), now=NOW)
        assert caught.value.code == code
        assert machine.state == state
    machine.receive(m.encode(good), now=NOW)
    assert machine.state.step is Step.ACKNOWLEDGING
    with pytest.raises(RemoteProtocolError):
        machine.receive(m.encode(m.Confirmed(E, bytes(32))), now=NOW)
    machine.receive(m.encode(m.Confirmed(E, machine.state.digest)), now=NOW)
    assert (machine.state.step, machine.state.chain, machine.state.block) == (
        Step.LIVE,
        good.chain,
        good.block,
    )


@pytest.mark.parametrize("reason", list(m.Reason))
def test_only_a_lost_offer_lets_the_block_go(reason: m.Reason) -> None:
    machine = client(STATES[2])
    machine.receive(m.encode(m.Refused(STATES[2].exchange, reason, 60)), now=NOW)
    gone = reason in {m.Reason.STALE, m.Reason.EXPIRED, m.Reason.SPENT, m.Reason.UNKNOWN}
    assert machine.state.step is (Step.REGISTERING if gone else Step.ACKNOWLEDGING)
    assert (machine.state.block is None) is gone
    assert machine.next_event() == Waiting(NOW + 60, reason)
    assert (machine.next_event() is None) is not gone
    assert machine.next_request(NOW + 59) is None
    assert machine.next_request(NOW + 60) is not None


def test_a_state_that_may_not_be_on_disk_sends_nothing() -> None:
    machine = client(STATES[0])
    machine.receive(m.encode(m.Approved(STATES[0].exchange, G)), now=NOW)
    with pytest.raises(LocalProtocolError):
        machine.next_request(NOW)
    assert machine.next_event() == Moved(machine.state)
    asked = machine.next_request(NOW)
    assert asked is not None
    assert m.decode(asked) == m.Fetch(STATES[0].exchange, G)


def test_pending_waits_and_moves_nothing() -> None:
    machine = client(STATES[0])
    machine.receive(m.encode(m.Pending(STATES[0].exchange, 300)), now=NOW)
    assert machine.next_event() == Waiting(NOW + 300, None)
    assert machine.next_event() is None
    assert machine.next_timer() == NOW + 300


def test_failures_wait_longer_each_time_with_chance() -> None:
    machine, waits = client(STATES[0]), []
    for _ in range(30):
        machine.failed(now=NOW, jitter=0.0)
        waits.append((machine.next_timer() or 0.0) - NOW)
    assert waits[:3] == [FIRST_RETRY_S, FIRST_RETRY_S * 2, FIRST_RETRY_S * 4]
    assert waits[-1] == LAST_RETRY_S
    machine.failed(now=NOW, jitter=1.0)
    assert machine.next_timer() == NOW + LAST_RETRY_S / 2


def test_forgetting_and_renewing_are_for_the_live() -> None:
    machine = client(STATES[1])
    for call in (
        machine.forget,
        lambda: machine.renew(E, REQUEST),
        lambda: begin(b"short", REQUEST),
    ):
        with pytest.raises(LocalProtocolError):
            call()
    machine = client(STATES[3])
    machine.forget()
    assert machine.state.block is None
    assert machine.next_event() == Moved(machine.state)
    machine.forget()
    assert machine.next_event() is None
    machine.renew(E, REQUEST)
    machine.next_event()
    machine.receive(m.encode(m.Refused(E, m.Reason.CERTIFICATE, 60)), now=NOW)
    assert machine.next_timer() == NOW + 60  # and still renewing
    with pytest.raises(SecurityError):
        machine.receive(m.encode(m.Renewed(E, STATES[3].chain)), now=NOW)
    machine.receive(m.encode(m.Renewed(E, leaf("D1"))), now=NOW)
    assert machine.state.step is Step.LIVE
