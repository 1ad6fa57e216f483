"""What a source of C12.19 measures, as OBIS names it: so that readings have one set of names.

Units of measure are those of ST-12; which source is meant stands in ST-16, ST-22 and ST-62.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.core.units import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

# MULTIPLIER of ST-12: the power of ten.
_POWERS: Final = (0, 2, 3, 6, 9, -2, -3, -6)
_BULK: Final = frozenset({0, 5})  # TIME_BASE: what was counted, since ever or in a stretch of time
_INSTANT: Final = frozenset({1, 2})  # at a moment, or over a period of the mains
_ACTIVE, _REACTIVE, _APPARENT, _VOLTS, _AMPERES = 0, 1, 2, 8, 12
_COUNTED: Final = {_ACTIVE: Unit.WH, _REACTIVE: Unit.VARH, _APPARENT: Unit.VAH}
_FLOWING: Final = {_ACTIVE: Unit.W, _REACTIVE: Unit.VAR, _APPARENT: Unit.VA}

# Value group C of OBIS, by ID_CODE and quadrants; those that net out are another quantity.
_GROUPS: Final[Mapping[tuple[int, frozenset[int]], int]] = {
    (_ACTIVE, frozenset({1, 4})): 1,
    (_ACTIVE, frozenset({2, 3})): 2,
    (_ACTIVE, frozenset({1, 2, 3, 4})): 15,
    (_REACTIVE, frozenset({1, 2})): 3,
    (_REACTIVE, frozenset({3, 4})): 4,
    (_REACTIVE, frozenset({1})): 5,
    (_REACTIVE, frozenset({2})): 6,
    (_REACTIVE, frozenset({3})): 7,
    (_REACTIVE, frozenset({4})): 8,
    (_APPARENT, frozenset({1, 4})): 9,
    (_APPARENT, frozenset({2, 3})): 10,
    (_APPARENT, frozenset({1, 2, 3, 4})): 9,
}
_NET: Final = 16
# SEGMENTATION: 0 all phases, 5 to 7 phases A to C against neutral; steps of value group C.
_PHASES: Final[Mapping[int, int]] = {0: 0, 5: 20, 6: 40, 7: 60}
_BY_PHASE: Final[Mapping[int, tuple[int, Unit]]] = {_VOLTS: (12, Unit.V), _AMPERES: (11, Unit.A)}
_REGISTER, _INTERVAL, _DEMAND, _SO_FAR, _PRESENT = 8, 29, 6, 4, 7
_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a source measures.

    Attributes:
        group: value group C of OBIS.
        scaler: the power of ten of its numbers.
        unit: what they count, of what was used up.
        flow: the same for what flows at a moment.
        counts: it counts, rather than shows what flows.
    """

    group: int
    scaler: int
    unit: int
    flow: int
    counts: bool = True

    def register(self, tier: int = 0) -> str:
        """Return the OBIS code of what was counted since ever, in all tariffs or in one."""
        return f"1.0.{self.group}.{_REGISTER}.{tier}.255"

    @property
    def interval(self) -> str:
        """The OBIS code of what was counted in an interval."""
        return f"1.0.{self.group}.{_INTERVAL}.0.255"

    @property
    def demand(self) -> str:
        """The OBIS code of the largest mean flow."""
        return f"1.0.{self.group}.{_DEMAND}.0.255"

    @property
    def so_far(self) -> str:
        """The OBIS code of the mean flow of the time of demand that is under way."""
        return f"1.0.{self.group}.{_SO_FAR}.0.255"

    @property
    def present(self) -> str:
        """The OBIS code of what flows now."""
        return f"1.0.{self.group}.{_PRESENT}.0.255"


def quantity_of(uom: Mapping[str, Any]) -> Quantity | None:
    """Return what a unit of measure stands for; None: it has no name here."""
    scaler, code = _POWERS[uom["MULTIPLIER"]], uom["ID_CODE"]
    phase = _PHASES.get(uom["SEGMENTATION"])
    if phase is None or uom["HARMONIC"]:
        return None
    if code in _BY_PHASE and uom["TIME_BASE"] in _INSTANT:
        group, unit = _BY_PHASE[code]
        # A meter of one phase names it, or does not: it is the first one.
        return Quantity(group + (phase or 20), scaler, unit, unit, counts=False)
    quadrants = frozenset(number for number in (1, 2, 3, 4) if uom[f"Q{number}"])
    group_c = _NET if uom["NET_FLOW"] and code == _ACTIVE else _GROUPS.get((code, quadrants))
    if group_c is None:
        return None
    counts = uom["TIME_BASE"] in _BULK
    return Quantity(group_c + phase, scaler, _COUNTED[code], _FLOWING[code], counts=counts)


def exact(value: Any) -> tuple[int, int] | None:
    """Return a number of a table as an integer and a power of ten; None: it is none."""
    if isinstance(value, bool) or value is None:
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        return None
    number = number.normalize()
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0:
        return int(number), 0
    places = min(-exponent, _DECIMALS)
    return int(number.scaleb(places).to_integral_value()), -places


def scaled(
    values: npt.NDArray[Any], scalar: int, divisor: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], int]:
    """Return numbers times ``scalar`` over ``divisor`` as integers.

    Returns:
        The integers, which of them are numbers, and the power of ten of all of them. What takes
        more than six decimals is rounded to them.
    """
    good = np.isfinite(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
    if not divisor:
        return np.zeros(len(values), np.int64), np.zeros(len(values), bool), 0
    numbers = np.where(good, values, 0)
    factor = Fraction(scalar, divisor)
    for places in range(_DECIMALS + 1):
        step = factor * 10**places
        if values.dtype.kind in "iu" and step.denominator == 1:
            return numbers.astype(np.int64) * step.numerator, good, -places
        product = numbers.astype(np.float64) * float(step)
        whole = np.rint(product)
        if np.abs(product - whole).max(initial=0.0) < 1e-9 * 10**places:
            return whole.astype(np.int64), good, -places
    return (
        np.rint(numbers.astype(np.float64) * float(factor) * 10**_DECIMALS).astype(np.int64),
        good,
        -_DECIMALS,
    )
