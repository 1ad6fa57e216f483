"""Energy registers of many meters: whole micro-watt-hours with an exact carry.

Each pass's energy becomes a whole number of nanojoules once; from there on only whole numbers are
added, and nothing that a register does not show yet is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from openami.metrology.energy import Channel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openami.metrology.adc.measure import Measurement

    Integers = NDArray[np.int64]

CHANNELS: Final = (
    Channel.IMPORT,
    Channel.EXPORT,
    Channel.QUADRANT_1,
    Channel.QUADRANT_2,
    Channel.QUADRANT_3,
    Channel.QUADRANT_4,
    Channel.APPARENT_IMPORT,
    Channel.APPARENT_EXPORT,
)
"""The columns of a register row."""

PER_MICRO_WH: Final = 3_600_000
"""Nanojoules in a micro-watt-hour."""

_NANO: Final = 1e9
_QUADRANTS: Final = np.array([[4, 3], [5, 2]])  # columns, by whether P and Q are not negative


def rows_of(phases: int) -> int:
    """Return how many rows a meter has: the total, then each phase where there are several."""
    return 1 if phases == 1 else 1 + phases


class Registers:
    """Running totals, (meters, rows, channels), that only ever grow.

    The total of several phases is of their energies' sum in a pass, each with its sign, as one
    meter of the whole would count: import less export of the phases is that of the total, to the
    nanojoule.

    Args:
        meters: how many.
        phases: of each.
        whole: what a memory kept: micro-watt-hours (or micro-varh, micro-VAh).
        rest: nanojoules beside them, less than a micro-watt-hour.
    """

    def __init__(
        self,
        meters: int,
        phases: int,
        whole: Integers | None = None,
        rest: Integers | None = None,
    ) -> None:
        shape = (meters, rows_of(phases), len(CHANNELS))
        self._whole = np.zeros(shape, np.int64) if whole is None else whole.copy()
        self._rest = np.zeros(shape, np.int64) if rest is None else rest.copy()
        if self._whole.shape != shape or self._rest.shape != shape:
            raise ValueError(f"registers of {meters} meters have the shape {shape}")

    @property
    def whole(self) -> Integers:
        """Micro-watt-hours, a copy."""
        return self._whole.copy()

    @property
    def rest(self) -> Integers:
        """Nanojoules beside them, a copy."""
        return self._rest.copy()

    def exact(self, channel: Channel, row: int = 0) -> list[int]:
        """Return every meter's nanojoules, without a bound."""
        at = (slice(None), row, CHANNELS.index(channel))
        pairs = zip(self._whole[at].tolist(), self._rest[at].tolist(), strict=True)
        return [whole * PER_MICRO_WH + rest for whole, rest in pairs]

    def add(self, found: Measurement, least: float) -> None:
        """Count one pass.

        Args:
            found: what was measured.
            least: W and var of a phase below which nothing counts: a meter without a load stands
                still (IEC 62053-21, 8.3.2).
        """
        active = np.where(np.abs(found.metered) < least, 0.0, found.metered)
        reactive = np.where(np.abs(found.reactive) < least, 0.0, found.reactive)
        apparent = np.where((active == 0) & (reactive == 0), 0.0, found.apparent)
        units = (
            np.rint(each * (found.seconds * _NANO)).astype(np.int64)
            for each in (active, reactive, apparent)
        )
        self._count(*map(_with_total, units))

    def _count(self, active: Integers, reactive: Integers, apparent: Integers) -> None:
        taken, inductive = active >= 0, reactive >= 0
        quadrant = _QUADRANTS[taken.astype(np.intp), inductive.astype(np.intp)]
        for columns, amounts in (
            (np.where(taken, 0, 1), np.abs(active)),
            (quadrant, np.abs(reactive)),
            (np.where(taken, 6, 7), apparent),
        ):
            at = columns[..., None]
            before = np.take_along_axis(self._rest, at, -1)
            np.put_along_axis(self._rest, at, before + amounts[..., None], -1)
        carry = self._rest // PER_MICRO_WH
        self._whole += carry
        self._rest -= carry * PER_MICRO_WH


def _with_total(phases: Integers) -> Integers:
    """Return rows: the sum to the last unit, and the phases where there are several."""
    if phases.shape[1] == 1:
        return phases
    return np.concatenate((phases.sum(1, keepdims=True), phases), axis=1)
