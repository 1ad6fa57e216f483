from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.metrology.clock import SECOND
from openami.metrology.energy import PER_WH, Channel, Energy
from openami.metrology.sources import (
    ConstantSource,
    LiveSource,
    Sample,
    ScaledSource,
    Segment,
    SeriesSource,
    ShiftedSource,
    Source,
    from_wh,
)

DAY = 86_400


def integrate(source: Source, start: int, end: int) -> Energy:
    energy, world = Energy(), start
    while world < end:
        segment = source.at(world)
        assert segment.until is None or segment.until > world
        stop = end if segment.until is None else min(end, segment.until)
        energy.add(segment.sample, stop - world, 1)
        world = stop
    return energy


@given(st.lists(st.integers(0, 9_999), min_size=1, max_size=20), st.integers(0, 10**15))
def test_a_half_hour_of_thousandths_of_a_kwh_is_that_many_watt_hours(
    values: list[int], begin: int
) -> None:
    source = SeriesSource([Sample(from_wh(wh, 1800)) for wh in values], 1800)
    length = source.length * SECOND
    energy = integrate(source, begin, begin + length)
    played = values[: source.length // 1800]
    assert energy.exact(Channel.IMPORT) == sum(played) * PER_WH


def test_power_that_is_no_whole_number_is_refused() -> None:
    assert from_wh(1, 1800) == 2000
    with pytest.raises(ValueError, match="1 Wh in 7 s"):
        from_wh(1, 7)


@pytest.mark.parametrize(
    ("count", "length"),
    [(10, 18_000), (48, DAY), (48 * 3 + 5, 3 * DAY), (48 * 15, 14 * DAY), (48 * 366, 364 * DAY)],
)
def test_a_series_repeats_in_whole_days_weeks_or_years(count: int, length: int) -> None:
    samples = [Sample(n) for n in range(count)]
    source = SeriesSource(samples, 1800)
    assert source.length == length
    for moment in (0, 1, length - 1, length, 3 * length + 5):
        segment = source.at(moment * SECOND)
        assert segment.sample.active == moment % length // 1800
        until = (moment // 1800 + 1) * 1800
        assert segment.until == min(until, (moment // length + 1) * length) * SECOND


def test_a_series_keeps_its_local_hour() -> None:
    source = SeriesSource([Sample(n) for n in range(48)], 1800, start=20 * DAY, offset=9 * 3600)
    midnight_in_seoul = 40 * DAY - 9 * 3600
    assert source.at(midnight_in_seoul * SECOND).sample == Sample(0)
    assert source.at((midnight_in_seoul + 1800) * SECOND).sample == Sample(1)


def test_an_empty_series_is_refused() -> None:
    with pytest.raises(ValueError, match="series"):
        SeriesSource([], 1800)


def test_sources_can_be_scaled_and_shifted() -> None:
    inner = SeriesSource([Sample(1000, 500, 230_000), Sample(3001)], 10)
    scaled = ScaledSource(inner, Fraction(1, 2))
    assert scaled.at(0) == Segment(Sample(500, 250, 230_000), 10 * SECOND)
    shifted = ShiftedSource(scaled, 15)
    assert shifted.at(0) == Segment(Sample(1500), 5 * SECOND)
    assert ShiftedSource(ConstantSource(Sample(7)), 9).at(3) == Segment(Sample(7))


def test_a_live_source_changes_when_it_is_told() -> None:
    source = LiveSource(Sample(5))
    assert source.at(0) == Segment(Sample(5))
    source.push(100, Sample(6))
    source.push(300, Sample(7))
    source.push(200, Sample(8))  # told late: counts from the newest
    assert source.at(50) == Segment(Sample(5), 100)
    assert integrate(source, 50, 400).exact(Channel.IMPORT) == 50 * 5 + 200 * 6 + 100 * 8


def test_what_was_before_plays_until_the_first_sample() -> None:
    before = SeriesSource((Sample(1), Sample(2)), step=900, start=0)
    live = LiveSource(before=before)
    assert live.at(0) == Segment(Sample(1), 900 * SECOND)
    live.push(600 * SECOND, Sample(7))
    assert live.at(0) == Segment(Sample(1), 600 * SECOND)
    assert live.at(600 * SECOND) == Segment(Sample(7), None)
    assert live.at(2000 * SECOND) == Segment(Sample(7), None)
    for_ever = LiveSource(before=ConstantSource(Sample(3)))
    assert for_ever.at(5) == Segment(Sample(3), None)


def test_a_live_source_that_nobody_reads_stays_bounded() -> None:
    source = LiveSource()
    for moment in range(100_010):
        source.push(moment, Sample(moment))
    assert source.at(0).sample.active == 9
    assert source.at(100_009) == Segment(Sample(100_009))
