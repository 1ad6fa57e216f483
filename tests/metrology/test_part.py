"""The measuring part apart: what it counts, and what its memory gives back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openami.core.errors import DecodeError
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.clock import SECOND
from openami.metrology.link.ends import ManagementEnd
from openami.metrology.link.messages import Report
from openami.metrology.part import MeasuringPart, PartRecord
from openami.metrology.sources import ConstantSource, LiveSource, Sample, Source
from openami.wire.crc import crc32

START = 1_700_000_000
FRONT = FRONT_ENDS["sigma-delta"]
RECORDS = {phases: PartRecord.new(FRONT, phases, np.random.default_rng(3)) for phases in (1, 3)}


def part(source: Source, record: PartRecord | None = None, now: float = START) -> MeasuringPart:
    chance = np.random.default_rng(4)
    return MeasuringPart(FRONT, source, chance, record or RECORDS[1], now=now)


def told(part: MeasuringPart) -> Report:
    end = ManagementEnd()
    end.receive_data(part.report())
    message = end.next_message()
    assert isinstance(message, Report)
    return message


@pytest.mark.parametrize("phases", [1, 3])
def test_a_memory_comes_back_and_no_part_of_one_does(phases: int) -> None:
    measuring = part(ConstantSource(Sample(3_000_000, 200_000)), RECORDS[phases])
    measuring.advance(START + 5)
    octets = measuring.record.encode()
    assert PartRecord.decode(octets) == measuring.record
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            PartRecord.decode(octets[:size])
    for at in range(len(octets)):
        with pytest.raises(DecodeError):
            PartRecord.decode(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :])


def test_a_memory_of_another_version_is_refused() -> None:
    body = b"\2" + RECORDS[1].encode()[1:-4]
    with pytest.raises(DecodeError, match="another's"):
        PartRecord.decode(body + crc32(body).to_bytes(4, "big"))


def test_energy_goes_on_over_lives_and_what_was_not_measured_is_not_counted() -> None:
    source = ConstantSource(Sample(3_600_000))
    first = part(source)
    assert first.report() == b""
    first.advance(START + 100.05)
    one = told(first)
    assert (one.life, one.at, one.ran, one.closed) == (1, 100_000, 100_000, True)
    assert one.totals[0][0] == pytest.approx(100_000_000, rel=0.005)
    second = part(source, first.record, START + 1000)
    second.advance(START + 1050)
    two = told(second)
    assert (two.life, two.at, two.ran, two.part) == (2, 50_000, 150_000, one.part)
    assert two.totals[0][0] == pytest.approx(150_000_000, rel=0.005)


def test_a_load_that_changes_within_a_second_is_measured_to_the_sample() -> None:
    live = LiveSource()
    live.push(START * SECOND + 250_000, Sample(3_600_000))
    live.push(START * SECOND + 1_500_000, Sample())
    measuring = part(live)
    for tenth in range(1, 30):
        measuring.advance(START + tenth / 10)
    assert told(measuring).totals[0][0] == pytest.approx(1_250_000, rel=0.01)


def test_an_open_relay_leaves_the_voltage_and_survives() -> None:
    management = ManagementEnd()
    measuring = part(ConstantSource(Sample(3_600_000)))
    measuring.receive_data(management.switch(closed=False))
    measuring.advance(START + 10)
    report = told(measuring)
    assert (report.closed, report.totals[0][0]) == (False, 0)
    assert abs(report.phases[0].active) < 1000
    assert report.phases[0].voltage == pytest.approx(220_000, rel=0.002)
    again = part(ConstantSource(Sample(3_600_000)), measuring.record)
    again.advance(START + 10)
    assert told(again).totals[0][0] == 0
    again.receive_data(management.switch(closed=True))
    again.advance(START + 20)
    assert told(again).totals[0][0] == pytest.approx(10_000_000, rel=0.005)


def test_what_management_says_of_events_moves_no_relay() -> None:
    measuring = part(ConstantSource(Sample(3_600_000)))
    measuring.receive_data(ManagementEnd().acknowledge())
    assert measuring.record.closed


def test_a_clock_that_is_set_back_makes_no_energy() -> None:
    measuring = part(ConstantSource(Sample(3_600_000)))
    measuring.advance(START + 10)
    measuring.advance(START - 500)
    assert told(measuring).ran == 10_000
    measuring.advance(START - 490)
    assert told(measuring).ran == 20_000


def test_samples_that_stand_for_more_are_as_many_joules() -> None:
    fine = part(ConstantSource(Sample(1_234_000, 300_000)))
    for second in range(1, 241):
        fine.advance(START + second)
    coarse = part(ConstantSource(Sample(1_234_000, 300_000)))
    coarse.advance(START + 240)
    assert told(coarse).ran == told(fine).ran == 240_000
    assert told(coarse).totals[0] == pytest.approx(told(fine).totals[0], rel=2e-4, abs=5)


def test_what_is_seen_is_told() -> None:
    live = LiveSource()
    live.push((START + 2) * SECOND, Sample(-500_000))
    measuring = part(live)
    measuring.advance(START + 5)
    end = ManagementEnd()
    end.receive_data(measuring.report())
    assert len(list(iter(end.next_message, None))) == 2
    assert replace(measuring.record, ran=0).life == 1
