"""What an attacker on the line can do: nothing but cut it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.dlms_meter import ENERGY, KEYS, NOTE, PROFILE, Pair, config_of, make_meter

from openami.dlms import data as d
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.client import (
    Answered,
    Closed,
    Failed,
    GetAttribute,
    Opened,
    SecurityLevel,
    SetAttribute,
)
from openami.dlms.security import Keys
from openami.dlms.server import (
    AssociationFailed,
    AttributeWritten,
    DecipheringFailed,
    ReplayRefused,
)
from openami.dlms.wrapper import Packet

TAGGED = (SecurityLevel.AUTHENTICATION, SecurityLevel.BOTH)
HEADER = 8


def rewrap(packet: bytes, change: random.Random) -> bytes:
    """Flip one bit of the APDU in a wrapper packet."""
    octets = bytearray(packet)
    octets[change.randrange(HEADER, len(octets))] ^= 1 << change.randrange(8)
    return bytes(octets)


@pytest.mark.fums("SEC-6")
@pytest.mark.parametrize("level", TAGGED)
@pytest.mark.parametrize("general", [False, True])
def test_an_answer_with_a_flipped_bit_is_never_data(level: SecurityLevel, *, general: bool) -> None:
    meter = make_meter(policy=3 if level is SecurityLevel.BOTH else 1)
    config = config_of("hls-both", security=level, general=general)
    probe = Pair(meter, *config)
    probe.open()
    probe.answer(GetAttribute(ENERGY))
    size = len(probe.passed[-1][1])
    counter = probe.client.invocation_counter
    for place in range(HEADER, size):
        pair = Pair(meter, config[0], replace(config[1], invocation_counter=counter))
        assert isinstance(pair.open(), Opened)
        bit = 1 << place % 8

        def flip(octets: bytes, place: int = place, bit: int = bit) -> bytes:
            return octets[:place] + bytes((octets[place] ^ bit,)) + octets[place + 1 :]

        pair.to_client = flip
        event = pair.ask(GetAttribute(ENERGY))
        assert isinstance(event, Closed | Failed), (place, event)
        counter = pair.client.invocation_counter


@pytest.mark.fums("SEC-3")
@pytest.mark.parametrize("level", TAGGED)
def test_a_request_with_a_flipped_bit_is_never_done(level: SecurityLevel) -> None:
    meter = make_meter(policy=3 if level is SecurityLevel.BOTH else 1)
    change = random.Random(7)
    counter = 0
    for _ in range(150):
        config = config_of("hls-both", security=level, invocation_counter=counter)
        pair = Pair(meter, *config)
        assert isinstance(pair.open(), Opened)
        pair.to_server = lambda octets: rewrap(octets, change)
        event = pair.ask(SetAttribute(NOTE, d.octets(b"forged")))
        assert not isinstance(event, Answered)
        assert not [e for e in pair.server_events if isinstance(e, AttributeWritten)]
        counter = pair.client.invocation_counter
    assert meter.objects["0.0.96.1.9.255"].read(2) == d.octets(b"note")


@pytest.mark.parametrize("level", TAGGED)
def test_an_association_with_a_flipped_bit_is_never_opened(level: SecurityLevel) -> None:
    """In the AARQ's secured part, the AARE's, and both passes of HLS."""
    meter = make_meter(policy=3 if level is SecurityLevel.BOTH else 1)
    change = random.Random(11)
    counter = 0
    for turn in range(200):
        config = config_of("hls-both", security=level, invocation_counter=counter)
        pair = Pair(meter, *config)
        sent: list[bytes] = []

        def tamper(octets: bytes, turn: int = turn, sent: list[bytes] = sent) -> bytes:
            sent.append(octets)
            # Not the AARQ's and AARE's own fields: they are in the clear, and what they decide
            # (titles, challenges, mechanism) shows in the passes and the ciphered parts.
            return rewrap(octets, change) if len(sent) == 3 + turn % 2 else octets

        pair.to_server = pair.to_client = tamper
        event = pair.open()
        assert not isinstance(event, Opened)
        counter = pair.client.invocation_counter


def test_a_challenge_that_was_changed_on_the_way_is_found_out() -> None:
    for side in ("to_server", "to_client"):
        pair = Pair(make_meter(), *config_of("hls"))
        seen: list[bytes] = []

        def tamper(octets: bytes, seen: list[bytes] = seen) -> bytes:
            seen.append(octets)
            if len(seen) > 1:
                return octets
            at = octets.index(b"\x80\x10") + 5  # in the challenge of sixteen octets
            return octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :]

        setattr(pair, side, tamper)
        event = pair.open()
        assert isinstance(event, Closed)
        assert event.code in ("association.authentication-failure", "security.hls")


@pytest.mark.parametrize("dedicated", [False, True])
@pytest.mark.parametrize("general", [False, True])
def test_a_repeated_request_is_refused_with_the_counter_wanted(
    *, dedicated: bool, general: bool
) -> None:
    pair = Pair(make_meter(), *config_of("hls-both", dedicated=dedicated, general=general))
    pair.open()
    pair.answer(SetAttribute(NOTE, d.octets(b"once")))
    request = [octets for side, octets in pair.passed if side == "request"][-1]
    pair.answer(SetAttribute(NOTE, d.octets(b"twice")))
    pair.server.receive_data(request, now=0)
    (answer,) = pair.server.data_to_send()
    found = decode_apdu(Packet.decode(answer).apdu)
    assert isinstance(found, ExceptionResponse)
    assert found.state is StateError.SERVICE_NOT_ALLOWED
    assert found.service is ServiceError.INVOCATION_COUNTER_ERROR
    latest = [octets for side, octets in pair.passed if side == "request"][-1]
    message = decode_apdu(latest[8:])
    assert found.invocation_counter == message.invocation_counter + 1  # type: ignore[union-attr]
    assert isinstance(pair.server.next_event(), ReplayRefused)
    assert pair.meter.objects["0.0.96.1.9.255"].read(2) == d.octets(b"twice")


@pytest.mark.fums("SEC-3")
def test_a_whole_recorded_session_is_refused() -> None:
    meter = make_meter()
    first = Pair(meter, *config_of("hls-both"))
    first.open()
    first.answer(GetAttribute(ENERGY))
    first.close()
    again = Pair(meter, *config_of("hls-both"))
    for side, octets in first.passed:
        if side == "request":
            again.server.receive_data(octets, now=0)
    events = []
    while (event := again.server.next_event()) is not None:
        events.append(event)
    failed = [e for e in events if isinstance(e, AssociationFailed)]
    assert [e.code for e in failed] == ["replay"]
    assert not again.server.associated


def test_a_client_whose_counter_is_behind_learns_so() -> None:
    meter = make_meter()
    meter.security.counters.accept(1000)
    closed = Pair(meter, *config_of("hls-both", invocation_counter=1000)).open()
    assert isinstance(closed, Closed)
    opened = Pair(meter, *config_of("hls-both", invocation_counter=1001)).open()
    assert isinstance(opened, Opened)


def test_a_repeated_answer_is_refused() -> None:
    pair = Pair(make_meter(), *config_of("hls-both"))
    pair.open()
    pair.answer(GetAttribute(ENERGY))
    recorded = pair.passed[-1][1]
    pair.to_client = lambda _: recorded
    event = pair.ask(GetAttribute(ENERGY))
    assert isinstance(event, Closed)
    assert event.code == "security.replay"


def test_counters_seen_before_are_refused_from_the_meter_too() -> None:
    pair = Pair(make_meter(), *config_of("hls-both", peer_counter=50))
    closed = pair.open()
    assert isinstance(closed, Closed)
    assert closed.code == "security.replay"


def test_a_plain_answer_to_a_ciphered_request_is_refused() -> None:
    plain = Pair(make_meter(), *config_of("hls"))
    plain.open()
    plain.answer(GetAttribute(ENERGY))
    recorded = plain.passed[-1][1]
    pair = Pair(make_meter(), *config_of("hls-both"))
    pair.open()
    pair.to_client = lambda octets: octets[:2] + recorded[2:]
    event = pair.ask(GetAttribute(ENERGY))
    assert isinstance(event, Closed)
    assert event.code == "security.policy"


def test_an_answer_with_less_protection_than_ours_is_refused() -> None:
    pair = Pair(make_meter(), *config_of("hls-both"))
    pair.open()
    weaker = Pair(
        pair.meter,
        *config_of("hls-both", security=SecurityLevel.AUTHENTICATION, invocation_counter=100),
    )
    weaker.open()
    weaker.answer(GetAttribute(ENERGY))
    pair.to_client = lambda _: weaker.passed[-1][1]
    event = pair.ask(GetAttribute(ENERGY))
    assert isinstance(event, Closed)
    assert event.code == "security.policy"


@pytest.mark.fums("SEC-2")
def test_the_wrong_keys_read_nothing() -> None:
    for name in ("guek", "gak"):
        wrong = replace(KEYS, **{name: bytes(16)})
        pair = Pair(make_meter(), *config_of("hls-both", keys=wrong))
        event = pair.open()
        assert isinstance(event, Closed)
        assert [e.code for e in pair.server_events if isinstance(e, AssociationFailed)] == [
            "deciphering"
        ]


@pytest.mark.fums("SEC-6")
def test_a_meter_without_our_keys_is_not_believed() -> None:
    """A meter that accepts everything cannot make up pass 4."""
    pair = Pair(make_meter(), *config_of("hls"))
    other = Keys(guek=bytes(16), gak=bytes(16))
    pair.meter.security.state = replace(pair.meter.security.state, keys=other)
    event = pair.open()
    assert isinstance(event, Closed)


def test_a_foreign_request_in_the_association_is_refused() -> None:
    pair = Pair(make_meter(), *config_of("hls-both"))
    pair.open()
    stranger = Pair(make_meter(), *config_of("hls-both", invocation_counter=100))
    stranger.open()
    stranger.client.request(GetAttribute(ENERGY), now=0)
    (request,) = stranger.client.data_to_send()
    forged = request[:-1] + bytes((request[-1] ^ 1,))
    pair.server.receive_data(forged, now=0)
    (answer,) = pair.server.data_to_send()
    assert decode_apdu(answer[8:]) == ExceptionResponse(
        StateError.SERVICE_NOT_ALLOWED, ServiceError.DECIPHERING_ERROR
    )
    assert isinstance(pair.server.next_event(), DecipheringFailed)
    assert pair.answer(GetAttribute(ENERGY)).ok, "the association goes on"


@settings(max_examples=120, deadline=None)
@given(cut=st.integers(8, 10_000), turn=st.integers(0, 8), side=st.booleans())
def test_truncated_apdus_close_or_are_answered(cut: int, turn: int, *, side: bool) -> None:
    """Any APDU of a session cut anywhere: the wrapper's length is put right again."""
    pair = Pair(make_meter(rows=8, max_pdu=200), *config_of("hls-both", max_pdu=200))
    count = 0

    def tamper(octets: bytes) -> bytes:
        nonlocal count
        count += 1
        if count != turn:
            return octets
        body = octets[HEADER : max(HEADER + 1, min(cut, len(octets) - 1))]
        return octets[:6] + len(body).to_bytes(2, "big") + body

    if side:
        pair.to_server = tamper
    else:
        pair.to_client = tamper
    pair.open()
    while pair.client.ready and len(pair.client_events) < 4:
        event = pair.ask(GetAttribute(PROFILE))
        if isinstance(event, Answered):
            assert event.raw == pair.meter.objects["1.0.99.1.0.255"].read(2).encode()
    assert isinstance(pair.close(), Closed | Opened | Answered | Failed)
    assert pair.client.state.name == "CLOSED"
