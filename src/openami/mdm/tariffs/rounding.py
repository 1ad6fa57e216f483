"""How amounts and quantities are rounded: to a step, by a mode; exact on either path."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

Longs = npt.NDArray[np.int64]


def _down(whole: Any, twice: Any, of: Any) -> Any:
    del twice, of
    return whole


def _up(whole: Any, twice: Any, of: Any) -> Any:
    del of
    return whole + (twice > 0)


def _half_up(whole: Any, twice: Any, of: Any) -> Any:
    return whole + (twice >= of)


def _half_even(whole: Any, twice: Any, of: Any) -> Any:
    return whole + ((twice > of) | ((twice == of) & (whole % 2 == 1)))


# Of a magnitude: its whole steps, twice what is over, and how much a step is.
MODES: Final[Mapping[str, Callable[[Any, Any, Any], Any]]] = {
    "down": _down,
    "up": _up,
    "half-up": _half_up,
    "half-even": _half_even,
}
_WORDS: Final = {
    "down": "cut",
    "up": "rounded up",
    "half-up": "rounded half up",
    "half-even": "rounded half to even",
}


@dataclass(frozen=True, slots=True)
class Rounding:
    """A mode and the step that is rounded to; of a negative number the magnitude is rounded."""

    mode: str
    step: Decimal

    def apply(self, value: Fraction | Decimal) -> Decimal:
        """Return a value rounded."""
        steps = Fraction(value) / Fraction(self.step)
        whole, over = divmod(abs(steps.numerator), steps.denominator)
        count = int(MODES[self.mode](whole, 2 * over, steps.denominator))
        return (-count if steps < 0 else count) * self.step

    def divide(self, values: Longs, divisor: int) -> Longs:
        """Return integers over a divisor, rounded to whole numbers: the steps, at once for all."""
        whole, over = np.divmod(np.abs(values), divisor)
        rounded: Longs = np.asarray(MODES[self.mode](whole, 2 * over, divisor), np.int64)
        return np.where(values < 0, -rounded, rounded)

    def __str__(self) -> str:
        return f"{_WORDS[self.mode]} to {self.step:f}"
