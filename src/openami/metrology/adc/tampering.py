"""What a converter sees of tampering, from one pass to the next.

A hint each, no proof: a roof that feeds in on one phase looks like a current transformer that was
turned round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from openami.metrology.adc.disturbances import INTERRUPTION, Disturbance, QualityEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from openami.metrology.adc.measure import Measurement
    from openami.metrology.adc.waves import Floats

    Marks = NDArray[np.bool_]

PLAIN: Final = 10
"""Times the least power that counts (or its current): what is below may be noise, or a filter's."""

FIELD: Final = 0.02
"""Of a channel's scale: converters are off by a fifth of that, and loads behind a current
transformer shift nothing."""

_TURNED: Final = 60.0  # degrees from 120 that the second phase may lag and still be the second


class TamperWatch:
    """Tells when a sign of tampering begins and when it is gone.

    Args:
        nominal: V.
        least: W of a phase below which nothing counts.
        full: codes from the middle of a channel's scale to its end.
    """

    def __init__(self, nominal: float, least: float, full: int) -> None:
        self._nominal = nominal
        self._least = least
        self._full = full
        self._since: dict[tuple[int, int, Disturbance], int] = {}

    def look(self, found: Measurement, offsets: Floats, at: int) -> Iterator[QualityEvent]:
        """Yield what begins and ends with a pass that began at millisecond ``at``.

        Args:
            found: what was measured.
            offsets: codes, means of volts and amperes, (2, meters, phases).
            at: when the pass began.
        """
        signs = {
            (meter, phase, kind)
            for kind, marks in self._signs(found, offsets).items()
            for meter, phase in np.argwhere(marks).tolist()
        }
        for meter, phase, kind in sorted(signs - self._since.keys()):
            self._since[meter, phase, kind] = at
            yield QualityEvent(meter, phase, kind, at)
        for key in sorted(self._since.keys() - signs):
            since = self._since.pop(key)
            yield QualityEvent(*key, since, at - since)

    def _signs(self, found: Measurement, offsets: Floats) -> Mapping[Disturbance, Marks]:
        plain = PLAIN * self._least
        missing = found.voltage < INTERRUPTION * self._nominal
        gives, takes = found.metered <= -plain, found.metered >= plain
        reversed_one = gives & (gives.sum(-1, keepdims=True) == 1) & takes.any(-1, keepdims=True)
        return {
            Disturbance.NO_VOLTAGE: missing & (found.current > plain / self._nominal),
            Disturbance.REVERSED_PHASE: reversed_one,
            Disturbance.SEQUENCE: _sequence(found.turn, missing),
            Disturbance.MAGNET: (np.abs(offsets) > FIELD * self._full).any(0),
        }


def _sequence(turn: Floats, missing: Marks) -> Marks:
    """Mark the second of three phases where it lags as the third should."""
    wrong = np.zeros(turn.shape, bool)
    if turn.shape[1] == 3:
        wrong[:, 1] = (np.abs(turn[:, 1] + 120) < _TURNED) & ~missing.any(-1)
    return wrong
