"""Self reads: all that a billing period ends with, by rate, kept when it ended.

What the billing profile has no columns for is here: tables of C12.19 want every register and every
demand of a rate.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.metrology.demand import DEMANDS, Maximum
from openami.metrology.energy import RATES, Channel

if TYPE_CHECKING:
    from openami.metrology.demand import Demand
    from openami.metrology.energy import Energy

CHANNELS: Final = (Channel.IMPORT, Channel.EXPORT)
"""What is counted by rate."""

_WHOLE: Final = RATES + 1  # the total, and each rate
_ROW: Final = struct.Struct(f">II{len(CHANNELS) * _WHOLE}I{2 * _WHOLE}I")
_PLACES: Final = tuple(DEMANDS.index((Channel.IMPORT, rate)) for rate in range(_WHOLE))


@dataclass(frozen=True, slots=True)
class SelfRead:
    """Registers and demands at a moment; of each the total first, then the rates.

    Attributes:
        at: the moment, by the meter's clock (UTC seconds).
        resets: how many billing periods had ended before.
        energy: what the registers of each of ``CHANNELS`` showed.
        demand: the largest demand of the import in the billing period.
    """

    at: int
    resets: int
    energy: tuple[tuple[int, ...], ...]
    demand: tuple[Maximum, ...]

    @classmethod
    def take(cls, at: int, resets: int, energy: Energy, demand: Demand) -> Self:
        """Return what the meter shows."""
        return cls(
            at,
            resets,
            tuple(
                tuple(energy.register(channel, rate) for rate in range(_WHOLE))
                for channel in CHANNELS
            ),
            tuple(demand.maximum[place] for place in _PLACES),
        )

    def encode(self) -> bytes:
        """Return a row."""
        energy = [value for registers in self.energy for value in registers]
        demand = [value for top in self.demand for value in (top.watts, top.at)]
        return _ROW.pack(self.at, self.resets, *energy, *demand)

    @classmethod
    def decode(cls, row: bytes) -> Self:
        """Return what ``encode`` gave."""
        at, resets, *numbers = _ROW.unpack(row)
        split = len(CHANNELS) * _WHOLE
        energy, demand = numbers[:split], numbers[split:]
        return cls(
            at,
            resets,
            tuple(tuple(energy[first : first + _WHOLE]) for first in range(0, split, _WHOLE)),
            tuple(Maximum(*demand[first : first + 2]) for first in range(0, 2 * _WHOLE, 2)),
        )
