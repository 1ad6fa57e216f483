"""Accuracy classes: the limits of error by current and power factor, and the points to test at.

IEC 62053-21:2003 tables 6 and 7 (class 1, direct connected) and IEC 62053-22:2003 tables 4 and 5
(class 0.5S); currents are parts of the basic or nominal one. Reference conditions. The first table
of each is for single-phase meters and for polyphase ones whose phases are loaded alike, the second
for polyphase ones with a load on one phase alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNITY: Final = "1"
INDUCTIVE: Final = "0.5 inductive"
CAPACITIVE: Final = "0.8 capacitive"

ANGLES: Final[Mapping[str, float]] = {
    UNITY: 0.0,
    INDUCTIVE: math.acos(0.5),
    CAPACITIVE: -math.acos(0.8),
}
"""Radians that the current lags at each power factor."""

_PARTS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Limit:
    """From ``least`` (a part of the basic current) on, the error is at most so many per cent."""

    least: float
    percent: float


@dataclass(frozen=True, slots=True)
class MeterClass:
    """A class of accuracy.

    Args:
        name: as it stands on a meter.
        source: the standard and its tables.
        start: the current at which a meter begins to count, a part of the basic one.
        limits: by power factor, from the smallest current on.
        alone: the same with a load on one phase of three.
    """

    name: str
    source: str
    start: float
    limits: Mapping[str, tuple[Limit, ...]]
    alone: Mapping[str, tuple[Limit, ...]]

    def limit(self, factor: str, part: float, *, alone: bool = False) -> float | None:
        """Return the per cent allowed at a part of the basic current; None: nothing is said.

        Args:
            factor: power factor, one of ``ANGLES``.
            part: of the basic current.
            alone: on one phase of three, the others have no load.
        """
        limits = (self.alone if alone else self.limits).get(factor, ())
        found = [each.percent for each in limits if each.least <= part + 1e-9]
        return found[-1] if found else None

    def points(self, most: float, *, alone: bool = False) -> Iterator[tuple[str, float]]:
        """Yield power factors and parts of the basic current to test at, up to the maximum."""
        parts = sorted({*(part for part in _PARTS if part < most), most / 2, most})
        for factor in ANGLES:
            for part in parts:
                if self.limit(factor, part, alone=alone) is not None:
                    yield factor, part


_ONE: Final = (Limit(0.1, 1.5), Limit(0.2, 1.0))
_HALF: Final = (Limit(0.02, 1.0), Limit(0.1, 0.6))

CLASSES: Final[Mapping[str, MeterClass]] = {
    each.name: each
    for each in (
        MeterClass(
            "1",
            "IEC 62053-21, tables 6 and 7",
            0.004,
            {UNITY: (Limit(0.05, 1.5), Limit(0.1, 1.0)), INDUCTIVE: _ONE, CAPACITIVE: _ONE},
            {UNITY: (Limit(0.1, 2.0),), INDUCTIVE: (Limit(0.2, 2.0),)},
        ),
        MeterClass(
            "0.5S",
            "IEC 62053-22, tables 4 and 5",
            0.001,
            {UNITY: (Limit(0.01, 1.0), Limit(0.05, 0.5)), INDUCTIVE: _HALF, CAPACITIVE: _HALF},
            {UNITY: (Limit(0.05, 0.6),), INDUCTIVE: (Limit(0.1, 1.0),)},
        ),
    )
}
"""By name."""
