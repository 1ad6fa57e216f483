"""What sources of C12.19 are called, and how their numbers become integers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.support.c1222_foreign import uom

from openami.core.units import Unit
from openami.headend.c1222.eventcodes import named
from openami.headend.c1222.quantities import exact, quantity_of, scaled


@pytest.mark.parametrize(
    ("unit", "name", "scaler"),
    [
        (uom(0, 0, 1, 4), "1.0.1.8.0.255", 0),
        (uom(0, 0, 2, 3, multiplier=2), "1.0.2.8.0.255", 3),
        (uom(0, 0, 1, 2, 3, 4), "1.0.15.8.0.255", 0),
        (uom(0, 0, 1, 2, 3, 4, NET_FLOW=True), "1.0.16.8.0.255", 0),
        (uom(1, 0, 1, 2, multiplier=7), "1.0.3.8.0.255", -6),
        (uom(1, 0, 3), "1.0.7.8.0.255", 0),
        (uom(2, 0, 1, 2, 3, 4), "1.0.9.8.0.255", 0),
        (uom(0, 0, 1, 4, SEGMENTATION=6), "1.0.41.8.0.255", 0),
    ],
)
def test_what_is_counted_has_the_name_of_a_register(
    unit: dict[str, Any], name: str, scaler: int
) -> None:
    quantity = quantity_of(unit)
    assert quantity is not None
    assert (quantity.register(), quantity.scaler, quantity.counts) == (name, scaler, True)


def test_what_flows_has_the_name_of_a_value_at_a_moment() -> None:
    volts = quantity_of(uom(8, 1, 1, 2, 3, 4, multiplier=6, SEGMENTATION=5))
    amperes = quantity_of(uom(12, 1, 1, 2, 3, 4))
    watts = quantity_of(uom(0, 1, 1, 4))
    assert volts is not None
    assert amperes is not None
    assert watts is not None
    assert (volts.present, volts.scaler, volts.unit, volts.counts) == (
        "1.0.32.7.0.255", -3, Unit.V, False,
    )  # fmt: skip
    assert (amperes.present, amperes.unit) == ("1.0.31.7.0.255", Unit.A)
    assert (watts.present, watts.flow, watts.counts) == ("1.0.1.7.0.255", Unit.W, False)
    assert (watts.so_far, watts.demand) == ("1.0.1.4.0.255", "1.0.1.6.0.255")


@pytest.mark.parametrize(
    "unit",
    [uom(40, 0), uom(0, 0), uom(0, 0, 1), uom(8, 0), uom(0, 0, 1, 4, SEGMENTATION=1),
     uom(0, 0, 1, 4, HARMONIC=True)],
)  # fmt: skip
def test_what_has_no_name_here_is_left_out(unit: dict[str, Any]) -> None:
    assert quantity_of(unit) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (7, (7, 0)),
        (-70, (-70, 0)),
        (Decimal("12.3400"), (1234, -2)),
        (Decimal("0.12345678"), (123457, -6)),
        (1500.5, (15005, -1)),
        (float("nan"), None),
        (None, None),
        (True, None),
    ],
)
def test_numbers_are_integers_and_a_power_of_ten(value: Any, found: Any) -> None:
    assert exact(value) == found


@pytest.mark.parametrize(
    ("values", "scalar", "divisor", "found", "places"),
    [
        (np.array([1, 2, 3]), 1, 1, [1, 2, 3], 0),
        (np.array([1, 2]), 5, 2, [25, 50], -1),
        (np.array([3, 6]), 1, 3, [1, 2], 0),
        (np.array([1, 2]), 1, 3, [333_333, 666_667], -6),
        (np.array([0.5, np.nan]), 1, 1, [5, 0], -1),
        (np.array([], np.int64), 1, 3, [], 0),
    ],
)
def test_columns_are_scaled_to_integers(
    values: Any, scalar: int, divisor: int, found: list[int], places: int
) -> None:
    integers, good, exponent = scaled(values, scalar, divisor)
    assert integers.tolist() == found
    assert exponent == places
    assert good.tolist() == [value == value for value in values.tolist()]  # noqa: PLR0124 - NaN is not itself


def test_a_divisor_of_nothing_makes_no_numbers() -> None:
    integers, good, _ = scaled(np.array([1, 2]), 1, 0)
    assert integers.tolist() == [0, 0]
    assert not good.any()


def test_events_have_the_names_of_dlms_where_there_are_some() -> None:
    assert named("OAM ", 40, own=True) == ("0.0.99.98.1.255", 40, None)
    assert named("OAM ", 1, own=True) == ("0.0.99.98.7.255", 1, None)
    assert named("ABC ", 40, own=True) == ("0.0.99.98.30.255", 2088, "event 40 of ABC")
    assert named("ABC ", 3, own=False) == ("0.0.99.98.8.255", 4, None)
    assert named("OAM ", 99, own=False) == ("0.0.99.98.30.255", 99, "event 99 of C12.19")
