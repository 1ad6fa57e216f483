from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.metrology.adc.measure import Measurement
from openami.metrology.adc.registers import CHANNELS, PER_MICRO_WH, Registers
from openami.metrology.energy import Channel

WATTS = st.integers(-26_000_000, 26_000_000).map(lambda milli: milli / 1000)
POWERS = st.lists(st.tuples(WATTS, WATTS), min_size=1, max_size=30)


def measurement(active: np.ndarray, reactive: np.ndarray, *, seconds: float = 1.0) -> Measurement:
    size = np.hypot(active, reactive)
    nothing = np.zeros_like(active)
    return Measurement(
        voltage=np.ones_like(active), current=size, active=active, reactive=reactive,
        fundamental=active, angle=nothing, voltage_thd=nothing, current_thd=nothing, turn=nothing,
        frequency=np.full(len(active), 50.0), metered=active, seconds=seconds,
    )  # fmt: skip


def one(active: float, reactive: float, *, seconds: float = 1.0) -> Measurement:
    return measurement(np.array([[active]]), np.array([[reactive]]), seconds=seconds)


@given(POWERS)
def test_not_a_nanojoule_is_lost(powers: list[tuple[float, float]]) -> None:
    registers = Registers(1, 1)
    expected = dict.fromkeys(CHANNELS, 0)
    for active, reactive in powers:
        registers.add(one(active, reactive), 0.0)
        expected[Channel.IMPORT if active >= 0 else Channel.EXPORT] += abs(round(active * 1e9))
        quadrant = {(1, 1): 1, (0, 1): 2, (0, 0): 3, (1, 0): 4}[active >= 0, reactive >= 0]
        expected[Channel(4 + quadrant)] += abs(round(reactive * 1e9))
        apparent = Channel.APPARENT_IMPORT if active >= 0 else Channel.APPARENT_EXPORT
        expected[apparent] += round(float(np.hypot(active, reactive)) * 1e9)
    assert {channel: registers.exact(channel)[0] for channel in CHANNELS} == expected
    assert (registers.rest < PER_MICRO_WH).all()
    assert (registers.rest >= 0).all()


def test_a_watt_for_an_hour_is_a_watt_hour() -> None:
    registers = Registers(2, 1)
    for _ in range(3600):
        registers.add(measurement(np.array([[1.0], [-1.0]]), np.zeros((2, 1))), 0.1)
    assert registers.whole[:, 0, :2].tolist() == [[1_000_000, 0], [0, 1_000_000]]


def test_the_total_is_of_the_sum_of_the_phases() -> None:
    registers = Registers(1, 3)
    registers.add(measurement(np.array([[1000.0, -400.0, 100.0]]), np.array([[0.0, 60, -100]])), 1)
    taken, given_ = (
        [registers.exact(channel, row)[0] // 10**9 for row in range(4)]
        for channel in (Channel.IMPORT, Channel.EXPORT)
    )
    assert taken == [700, 1000, 0, 100]
    assert given_ == [0, 0, 400, 0]
    assert registers.exact(Channel.QUADRANT_4, 0) == [40 * 10**9]
    assert registers.exact(Channel.QUADRANT_2, 2) == [60 * 10**9]


@given(st.lists(st.tuples(*[st.tuples(WATTS, WATTS)] * 3), min_size=1, max_size=20))
def test_phases_less_what_they_give_are_the_total_to_the_nanojoule(
    passes: list[tuple[tuple[float, float], ...]],
) -> None:
    registers = Registers(1, 3)
    for phases in passes:
        active, reactive = np.array(phases).T
        registers.add(measurement(active[None], reactive[None], seconds=1 / 3), 0.1)

    def net(row: int, *channels: tuple[int, Channel]) -> int:
        return sum(sign * registers.exact(channel, row)[0] for sign, channel in channels)

    real = (1, Channel.IMPORT), (-1, Channel.EXPORT)
    turning = (1, Channel.QUADRANT_1), (1, Channel.QUADRANT_2)
    back = (-1, Channel.QUADRANT_3), (-1, Channel.QUADRANT_4)
    va = (1, Channel.APPARENT_IMPORT), (1, Channel.APPARENT_EXPORT)
    for signs in (real, (*turning, *back), va):
        assert net(0, *signs) == sum(net(row, *signs) for row in (1, 2, 3))


def test_a_meter_without_a_load_stands_still() -> None:
    registers = Registers(1, 1)
    registers.add(one(0.9, -0.9), 1.0)
    assert not registers.whole.any()
    assert not registers.rest.any()
    registers.add(one(0.9, -50), 1.0)  # a capacitor: reactive energy alone
    assert registers.exact(Channel.IMPORT) == [0]
    assert registers.exact(Channel.QUADRANT_4) == [50 * 10**9]
    assert registers.exact(Channel.APPARENT_IMPORT)[0] > 0


def test_registers_go_on_from_their_memory() -> None:
    first = Registers(1, 1)
    first.add(one(1234.56789, 77), 1.0)
    again = Registers(1, 1, first.whole, first.rest)
    for registers in (first, again):
        registers.add(one(987.654321, -77), 1.0)
    assert (first.whole == again.whole).all()
    assert (first.rest == again.rest).all()
    with pytest.raises(ValueError, match="shape"):
        Registers(2, 1, first.whole, first.rest)
