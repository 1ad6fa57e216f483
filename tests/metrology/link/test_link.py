"""Measuring part and management over a line, each going on without the other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError, RemoteProtocolError
from openami.metrology.accuracy import calibrated, sines
from openami.metrology.adc.calibration import Constants
from openami.metrology.adc.disturbances import Disturbance, QualityEvent
from openami.metrology.adc.frontend import SIGMA_DELTA
from openami.metrology.adc.metering import Metering, Rating
from openami.metrology.link.ends import KEPT, EnergyFollower, ManagementEnd, MeasuringEnd
from openami.metrology.link.framing import Frame
from openami.metrology.link.messages import EventReport, Heard, PhaseReport, Relay, Report, decode

PHASE = PhaseReport(230_000, 10_000, -2_300_000, 100, 2_300_100, -179_000, -999, 200, 350)
ROW = (1, 2, 3, 4, 5, 6, 7, 1 << 60)
REPORT = Report(3, 1 << 40, 49_990, (PHASE,), (ROW,))
THREE = Report(3, 5, 60_000, (PHASE,) * 3, (ROW,) * 4)
SAG = QualityEvent(0, 2, Disturbance.SAG, 20, 80, 150_000)
EVENT = EventReport(3, 7, 5, SAG)


def report(total: int, life: int = 1) -> Report:
    return Report(life, total, 50_000, (PHASE,), ((total,) * 8,))


def taken(end: ManagementEnd) -> list[Report | EventReport]:
    found = []
    while (message := end.next_message()) is not None:
        found.append(message)
    return found


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (1, REPORT), (1, THREE), (2, EVENT), (2, replace(EVENT, event=replace(SAG, lasted=None))),
        (3, Heard(4, 9)), (4, Relay(True)), (4, Relay(False)),
        (1, replace(REPORT, part=99, ran=1 << 50, closed=False)),
    ],
)  # fmt: skip
def test_messages_come_back_and_no_part_of_one_does(
    kind: int, message: Report | EventReport | Heard | Relay
) -> None:
    body = message.encode()
    assert decode(kind, body) == message
    for size in range(len(body)):
        with pytest.raises(DecodeError):
            decode(kind, body[:size])
    with pytest.raises(DecodeError):
        decode(kind, body + b"\0")


@pytest.mark.parametrize(("at", "value"), [(12, 3), (13, 9), (13, 0)])
def test_an_event_of_another_kind_or_phase_is_refused(at: int, value: int) -> None:
    body = bytearray(EVENT.encode())
    body[at] = value
    with pytest.raises(DecodeError, match="not known"):
        decode(2, bytes(body))


@pytest.mark.parametrize(
    "wrong",
    [
        replace(REPORT, frequency=100_001),
        replace(THREE, phases=(PHASE, PHASE, replace(PHASE, angle=180_001))),
        replace(REPORT, phases=(replace(PHASE, angle=-180_001),)),
        replace(REPORT, phases=(replace(PHASE, turn=-180_001),)),
        replace(REPORT, phases=(replace(PHASE, turn=1 << 30),)),
        replace(REPORT, phases=(replace(PHASE, factor=1001),)),
        replace(REPORT, phases=(replace(PHASE, factor=-1001),)),
    ],
)
def test_a_report_that_no_register_could_show_is_refused(wrong: Report) -> None:
    with pytest.raises(DecodeError, match="can not be"):
        decode(1, wrong.encode())
    edge = replace(PHASE, angle=-180_000, turn=180_000, factor=-1000)
    most = replace(REPORT, frequency=100_000, phases=(edge,))
    assert decode(1, most.encode()) == most


@pytest.mark.parametrize(("kind", "body"), [(4, b"\2"), (1, REPORT.encode()[:28] + b"\2")])
def test_a_relay_is_open_or_closed(kind: int, body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(kind, body + REPORT.encode()[29:] * (kind == 1))


def test_management_moves_the_relay_and_events_are_heard_no_further_than_they_are_kept() -> None:
    measuring, management = MeasuringEnd(1), ManagementEnd()
    assert not measuring.relay
    for number in range(3):
        measuring.happened(replace(SAG, at=number))
    management.receive_data(measuring.report(report(1)))
    measuring.receive_data(management.acknowledge(Heard(1, 2)) + management.switch(closed=False))
    assert measuring.relay is False
    again = ManagementEnd()
    again.receive_data(measuring.report(report(2)))
    assert [each.number for each in taken(again) if isinstance(each, EventReport)] == [3]


@given(st.integers(0, 255), st.binary(max_size=400))
def test_a_body_is_a_message_or_refused(kind: int, body: bytes) -> None:
    with suppress(DecodeError):
        assert decode(kind, body).encode() == body


def test_a_report_says_what_was_measured() -> None:
    calibration = calibrated(SIGMA_DELTA, np.random.default_rng(1))
    metering = Metering(Rating.of(SIGMA_DELTA), Constants.of([[calibration]] * 2))
    wave = sines(SIGMA_DELTA, np.array([0.0, 10.0]), np.array([0.0, np.pi / 3]))
    codes = SIGMA_DELTA.sample(wave, start=0, count=4000, chance=np.random.default_rng(2))
    found = metering.process(codes).measurement
    made = Report.of(found, metering.registers.whole, life=2, at=metering.milliseconds, meter=1)
    assert decode(1, made.encode()) == made
    (phase,) = made.phases
    assert made.at == 1000
    assert made.frequency == pytest.approx(60_000, abs=2)
    assert phase.voltage == pytest.approx(220_000, rel=1e-3)
    assert phase.current == pytest.approx(10_000, rel=1e-3)
    assert phase.active == pytest.approx(1_100_000, rel=1e-3)
    assert phase.angle == pytest.approx(60_000, abs=30)
    assert phase.factor == pytest.approx(500, abs=1)
    assert made.totals[0][0] == pytest.approx(1_100 / 3600 * 1e6, rel=1e-3)


def test_events_are_told_until_they_are_heard() -> None:
    measuring, management = MeasuringEnd(1), ManagementEnd()
    events = [replace(SAG, at=number) for number in range(6)]
    for event in events:
        measuring.happened(event)
    measuring.report(report(1))  # lost
    for total in (2, 3, 4):
        management.receive_data(measuring.report(report(total)))
        measuring.receive_data(management.acknowledge())
    found = taken(management)
    assert [each.event for each in found if isinstance(each, EventReport)] == events
    assert [each.at for each in found if isinstance(each, Report)] == [2, 3, 4]
    assert management.heard == Heard(1, 6)
    management.receive_data(measuring.report(report(5)))
    assert len(taken(management)) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), max_size=40))
def test_every_event_is_taken_once_and_in_order_whatever_is_lost(
    rounds: list[tuple[bool, bool, int]],
) -> None:
    measuring, management = MeasuringEnd(1), ManagementEnd()
    sent: list[QualityEvent] = []
    found: list[QualityEvent] = []
    clear = [(True, True, 0)] * 40
    for total, (there, back, new) in enumerate([*rounds, *clear]):
        for _ in range(new if len(sent) < KEPT - 3 else 0):
            sent.append(replace(SAG, at=len(sent)))
            measuring.happened(sent[-1])
        octets = measuring.report(report(total))
        if there:
            management.receive_data(octets)
        elif total % 2:  # half of it, from its middle on
            management.receive_data(octets[len(octets) // 2 :])
        found += [each.event for each in taken(management) if isinstance(each, EventReport)]
        if total % 7 == 0:  # management begins anew with what it kept
            management = ManagementEnd(management.heard)
        answer = management.acknowledge()
        if back:
            measuring.receive_data(answer)
    assert found == sent
    assert measuring.dropped == 0


def test_a_management_that_is_off_for_long_misses_the_oldest_events() -> None:
    measuring, management = MeasuringEnd(1), ManagementEnd()
    for number in range(KEPT + 10):
        measuring.happened(replace(SAG, at=number))
    for total in range(KEPT):
        management.receive_data(measuring.report(report(total)))
        measuring.receive_data(management.acknowledge())
    at = [each.event.at for each in taken(management) if isinstance(each, EventReport)]
    assert at == list(range(10, KEPT + 10))
    assert measuring.dropped == 10


def test_a_new_life_counts_its_events_anew() -> None:
    management = ManagementEnd(Heard(1, 40))
    measuring = MeasuringEnd(2)
    measuring.happened(SAG)
    measuring.receive_data(management.acknowledge())  # of the life before: clears nothing
    management.receive_data(measuring.report(report(1, life=2)))
    assert [type(each) for each in taken(management)] == [Report, EventReport]
    assert management.heard == Heard(2, 1)


def test_what_is_not_known_is_passed_over() -> None:
    management, measuring = ManagementEnd(), MeasuringEnd(1)
    strange = Frame(77, 1, b"new"), Frame(3, 2, Heard(1, 1).encode())
    management.receive_data(b"".join(frame.encode() for frame in strange))
    management.receive_data(measuring.report(report(1)))
    assert len(taken(management)) == 1
    assert management.unknown == 1
    measuring.receive_data(measuring.report(report(2)))  # an echo
    assert measuring.unknown == 0


def test_totals_become_what_was_added() -> None:
    follower = EnergyFollower()
    assert follower.take(((5, 6),)) == ((0, 0),)
    assert follower.take(((7, 6),)) == ((2, 0),)
    assert EnergyFollower(follower.last).take(((9, 9),)) == ((2, 3),)
    for other in (((6, 9),), ((9,),), ((9, 9), (9, 9))):
        with pytest.raises(RemoteProtocolError) as caught:
            follower.take(other)
        assert caught.value.code == "metrology.backwards"
    assert follower.take(((7, 7),)) == ((0, 1),)
