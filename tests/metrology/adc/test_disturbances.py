from __future__ import annotations

import numpy as np

from openami.metrology.adc.disturbances import (
    Disturbance,
    QualityEvent,
    ReverseWatch,
    VoltageWatch,
)

STEP = 10.0


def look(watch: VoltageWatch, *volts: float) -> list[QualityEvent]:
    return list(watch.look(np.array([[volts]])))


def test_a_sag_is_told_when_it_begins_and_when_it_ends() -> None:
    watch = VoltageWatch(200, STEP)
    assert look(watch, 200, 199, 170, 150, 160) == [
        QualityEvent(0, 0, Disturbance.SAG, 20, None, 170_000)
    ]
    assert look(watch, 165, 170, 175) == []
    assert look(watch, 181, 183, 184, 200) == [QualityEvent(0, 0, Disturbance.SAG, 20, 80, 150_000)]
    assert look(watch, 200, 200) == []


def test_a_swell_is_over_well_below_its_threshold() -> None:
    watch = VoltageWatch(200, STEP)
    assert look(watch, 221, 230, 219, 217, 216) == [
        QualityEvent(0, 0, Disturbance.SWELL, 0, None, 221_000),
        QualityEvent(0, 0, Disturbance.SWELL, 0, 40, 230_000),
    ]


def test_a_sag_to_nothing_is_an_interruption() -> None:
    watch = VoltageWatch(200, STEP)
    assert look(watch, 120, 3, 0, 150)[0].kind is Disturbance.SAG
    assert look(watch, 200) == [QualityEvent(0, 0, Disturbance.INTERRUPTION, 0, 40, 0)]


def test_a_voltage_that_is_gone_at_once_is_an_interruption_from_its_begin() -> None:
    watch = VoltageWatch(200, STEP)
    assert look(watch, 200, 9.9) == [QualityEvent(0, 0, Disturbance.INTERRUPTION, 10, None, 9_900)]
    assert look(VoltageWatch(200, STEP), 10)[0].kind is Disturbance.SAG  # 5 % are still some


def test_a_sag_may_end_in_a_swell() -> None:
    watch = VoltageWatch(200, STEP)
    kinds = [(event.kind, event.lasted) for event in look(watch, 100, 300, 200)]
    assert kinds == [
        (Disturbance.SAG, None),
        (Disturbance.SAG, 10),
        (Disturbance.SWELL, None),
        (Disturbance.SWELL, 10),
    ]


def test_meters_and_phases_are_watched_apart() -> None:
    watch = VoltageWatch(200, STEP)
    volts = np.full((3, 3, 4), 200.0)
    volts[1, 2, 1:3] = 150
    volts[2, 0, 3] = 250
    assert [(e.meter, e.phase, e.kind, e.lasted) for e in watch.look(volts)] == [
        (1, 2, Disturbance.SAG, None),
        (1, 2, Disturbance.SAG, 20),
        (2, 0, Disturbance.SWELL, None),
    ]


def test_energy_that_flows_back_is_told_once() -> None:
    watch = ReverseWatch()
    flows: list[list[float]] = [[100.0, -0.5], [-50, -0.5], [-70, 0], [-0.5, 0], [20, -9]]
    events = [
        event
        for second, flow in enumerate(flows)
        for event in watch.look(np.array([[flow[0]], [flow[1]]]), 1.0, second * 1000)
    ]
    assert events == [
        QualityEvent(0, 0, Disturbance.REVERSE, 1000),
        QualityEvent(0, 0, Disturbance.REVERSE, 1000, 2000),
        QualityEvent(1, 0, Disturbance.REVERSE, 4000),
    ]
