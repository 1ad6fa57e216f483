"""Demand: the average power of a period, and the largest of them since the last billing reset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from openami.metrology.clock import SECOND
from openami.metrology.energy import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.metrology.energy import Energy

_MILLI: Final = 1000

DEMANDS: Final = (
    (Channel.IMPORT, 0),
    (Channel.EXPORT, 0),
    (Channel.IMPORT, 1),
    (Channel.IMPORT, 2),
    (Channel.IMPORT, 3),
    (Channel.IMPORT, 4),
)
"""Channels and rates whose demand is followed; new ones come last, since a memory keeps them by
their place."""


@dataclass(frozen=True, slots=True)
class Maximum:
    """The largest demand, in watts, and the end of its period (UTC seconds); 0, 0 if none."""

    watts: int = 0
    at: int = 0


@dataclass(slots=True)
class Demand:
    """Block demand over one period of the load profile."""

    last: list[int] = field(default_factory=lambda: [0] * len(DEMANDS))
    maximum: list[Maximum] = field(default_factory=lambda: [Maximum()] * len(DEMANDS))

    @classmethod
    def of(cls, last: Sequence[int], maximum: Sequence[Maximum]) -> Self:
        """Return what was kept, by a program that perhaps followed fewer."""
        missing = len(DEMANDS) - len(last)
        return cls([*last, *[0] * missing], [*maximum, *[Maximum()] * missing])

    def close(self, energy: Energy, base: Energy, *, elapsed: int, period: int, at: int) -> None:
        """Take in a finished period.

        Args:
            energy: the counters now.
            base: the counters at the period's start.
            elapsed: microseconds that the period really took.
            period: seconds that it should have taken; a longer one counts with its own length, so
                that a clock set back makes no peak.
            at: its end.
        """
        self.last = averages(energy, base, max(elapsed, period * SECOND))
        self.maximum = [
            Maximum(watts, at) if watts > top.watts else top
            for watts, top in zip(self.last, self.maximum, strict=True)
        ]

    def reset(self) -> None:
        """Begin a new billing period."""
        self.maximum = [Maximum()] * len(DEMANDS)


def averages(energy: Energy, base: Energy, microseconds: int) -> list[int]:
    """Return the average power of each of ``DEMANDS`` over a time, in whole watts."""
    return [
        (energy.exact(channel, rate) - base.exact(channel, rate)) // (microseconds * _MILLI)
        for channel, rate in DEMANDS
    ]
