from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.metrology.demand import Demand, Maximum, averages
from openami.metrology.energy import PER_WH, ROLLOVER, Channel, Energy, quadrant
from openami.metrology.instant import instant
from openami.metrology.sources import Sample

POWER = st.integers(-20_000_000, 20_000_000)
STEPS = st.lists(
    st.tuples(POWER, POWER, st.integers(0, 10**10), st.integers(1, 4)), min_size=1, max_size=20
)


@given(STEPS)
def test_totals_are_the_sums_of_their_parts(steps: list[tuple[int, int, int, int]]) -> None:
    energy = Energy()
    for active, reactive, microseconds, rate in steps:
        energy.add(Sample(active, reactive), microseconds, rate)
    assert energy.exact(Channel.IMPORT) == sum(a * t for a, _, t, _ in steps if a > 0)
    assert energy.exact(Channel.EXPORT) == -sum(a * t for a, _, t, _ in steps if a < 0)
    for channel in (Channel.IMPORT, Channel.EXPORT):
        rates = sum(energy.exact(channel, rate) for rate in (1, 2, 3, 4))
        assert energy.exact(channel) == rates
    assert energy.exact(Channel.REACTIVE_IMPORT) == sum(r * t for _, r, t, _ in steps if r > 0)
    assert energy.exact(Channel.REACTIVE_EXPORT) == -sum(r * t for _, r, t, _ in steps if r < 0)
    whole = energy.exact(Channel.IMPORT) + energy.exact(Channel.EXPORT)
    assert energy.exact(Channel.ABSOLUTE) == whole
    assert Energy(energy.cells).cells == energy.cells


@pytest.mark.parametrize(
    ("active", "reactive", "expected"), [(1, 1, 1), (-1, 1, 2), (-1, -1, 3), (1, -1, 4), (0, 0, 1)]
)
def test_quadrants_go_round_from_import_inductive(
    active: int, reactive: int, expected: int
) -> None:
    assert quadrant(Sample(active, reactive)) == expected
    energy = Energy()
    energy.add(Sample(active, reactive), 5, 1)
    counted = [energy.exact(Channel(Channel.QUADRANT_1 + n)) for n in range(4)]
    assert counted == [5 * abs(reactive) if n + 1 == expected else 0 for n in range(4)]


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=10))
def test_differences_of_whole_watt_hours_telescope(moves: list[int]) -> None:
    energy, seen = Energy(), []
    for move in moves:
        energy.add(Sample(move), 3_600_000, 1)
        seen.append(energy.whole(Channel.IMPORT))
    assert sum(b - a for a, b in pairwise([0, *seen])) == energy.whole(Channel.IMPORT)


def test_a_register_rolls_over_and_an_interval_does_not_notice() -> None:
    energy = Energy()
    energy.add(Sample(ROLLOVER - 5), 1, 1)
    cells = [cell * PER_WH for cell in energy.cells]
    energy = Energy(cells)
    assert energy.register(Channel.IMPORT) == ROLLOVER - 5
    before = energy.whole(Channel.IMPORT)
    energy.add(Sample(7_000), 3_600_000_000, 1)
    assert energy.register(Channel.IMPORT) == 2
    assert energy.whole(Channel.IMPORT) - before == 7


@pytest.mark.parametrize("cells", [[1], [-1] + [0] * 13])
def test_counters_that_cannot_be_are_refused(cells: list[int]) -> None:
    with pytest.raises(ValueError, match="counters"):
        Energy(cells)


def test_demand_is_the_average_of_a_period_and_keeps_the_largest() -> None:
    base, energy, demand = Energy(), Energy(), Demand()
    energy.add(Sample(2_000_000), 900_000_000, 2)
    demand.close(energy, base, elapsed=900_000_000, period=900, at=900)
    assert demand.last == [2000, 0, 0, 2000, 0, 0]
    demand.close(energy, energy, elapsed=900_000_000, period=900, at=1800)
    assert demand.last == [0] * 6
    top, none = Maximum(2000, 900), Maximum()
    assert demand.maximum == [top, none, none, top, none, none]
    demand.reset()
    assert demand.maximum == [Maximum()] * 6


def test_a_memory_may_know_of_fewer_demands() -> None:
    known = Demand.of([5, 0, 5, 0], [Maximum(5, 900)] * 4)
    assert known.last == [5, 0, 5, 0, 0, 0]
    assert known.maximum == [Maximum(5, 900)] * 4 + [Maximum()] * 2


def test_a_period_that_took_too_long_makes_no_peak() -> None:
    base, energy, demand = Energy(), Energy(), Demand()
    energy.add(Sample(1_000_000), 3_600_000_000, 1)
    demand.close(energy, base, elapsed=3_600_000_000, period=900, at=3600)
    assert demand.last[0] == 1000
    assert averages(energy, base, 900_000_000)[0] == 4000


@given(POWER, POWER, st.sampled_from([1, 3]), st.integers(0, 2**32))
def test_what_is_shown_is_consistent(active: int, reactive: int, phases: int, second: int) -> None:
    shown = instant(Sample(active, reactive), phases=phases, second=second)
    assert len(shown.phases) == phases
    assert abs(sum(phase.active for phase in shown.phases) - active) < phases
    for phase in shown.phases:
        power = phase.voltage * phase.current // 1000
        assert (
            abs(power**2 - phase.active**2 - phase.reactive**2) <= 2 * (power + 300_000) * 300_000
        )
        assert -1000 <= phase.factor <= 1000
    assert 4990 <= shown.frequency <= 5010
    assert shown.neutral >= 0
    assert shown.apparent**2 <= active**2 + reactive**2


def test_a_given_voltage_is_shown_and_no_load_has_factor_one() -> None:
    shown = instant(Sample(voltage=243_150), phases=1)
    assert (shown.phases[0].voltage, shown.phases[0].current, shown.factor) == (243_150, 0, 1000)
    loaded = instant(Sample(3_000_000, 4_000_000, 250_000), phases=1)
    assert loaded.phases[0].current == 20_000
    assert loaded.factor == loaded.phases[0].factor == 600
    assert loaded.neutral == 20_000
