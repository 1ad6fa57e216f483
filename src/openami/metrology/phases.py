"""How a power lies over the phases of a meter where nobody measured that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.metrology.sources import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARES: Final[Mapping[int, tuple[int, ...]]] = {1: (100,), 3: (42, 33, 25)}
"""Per cent of the load on each phase."""


def spread(power: int, phases: int) -> tuple[int, ...]:
    """Return what of a power lies on each of 1 or 3 phases.

    They sum to it to the last unit, since the last phase takes what is left over, and none flows
    against it.
    """
    size, sign = abs(power), -1 if power < 0 else 1
    first = [size * share // 100 for share in SHARES[phases][:-1]]
    return tuple(sign * part for part in (*first, size - sum(first)))


def on_phases(sample: Sample) -> tuple[Sample, ...]:
    """Return what flows on each of three phases: as it was measured, or as the model spreads it."""
    if sample.phases:
        return sample.phases
    pairs = zip(spread(sample.active, 3), spread(sample.reactive, 3), strict=True)
    return tuple(Sample(active, reactive) for active, reactive in pairs)
