"""How a meter's engine measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from openami.metrology.events import CAPACITY
from openami.metrology.tariff import TIME_OF_USE, Tariff
from openami.metrology.zone import Zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.metrology.events import Ring


class Grid(NamedTuple):
    """What the mains are: nominal voltage to neutral in mV, frequency in hundredths of a hertz."""

    nominal: int
    frequency: int

    def __str__(self) -> str:
        """Return volts and hertz, such as ``220/60``."""
        return f"{self.nominal // 1000}/{self.frequency // 100}"


EUROPE: Final = Grid(230_000, 5000)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How a meter measures.

    Args:
        zone: local time at birth; can be set later.
        period: seconds between captures of the load profile; a divisor of a day, at most an hour.
        phases: 1 or 3.
        drift_ppb: nanoseconds that the clock gains in a second.
        offset: seconds that the clock is wrong at birth.
        grid: voltage and frequency.
        tariff: which rate energy is counted under.
        capacity: rows that each ring keeps.
    """

    zone: Zone = field(default_factory=Zone)
    period: int = 900
    phases: int = 1
    drift_ppb: int = 0
    offset: float = 0.0
    grid: Grid = EUROPE
    tariff: Tariff = TIME_OF_USE
    capacity: Mapping[Ring, int] = field(default_factory=lambda: CAPACITY)

    def __post_init__(self) -> None:
        if not 60 <= self.period <= 3600 or 3600 % self.period:
            raise ValueError("a load profile's period divides an hour and is at least a minute")
        if self.phases not in {1, 3}:
            raise ValueError("a meter has 1 or 3 phases")
