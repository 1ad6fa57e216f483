"""Which rate energy is counted under: one time-of-day plan for weekdays, one for weekends."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.metrology.energy import RATES

if TYPE_CHECKING:
    from datetime import datetime

SWITCHES: Final = 24  # in a day; more would not fit a COSEM day profile of any meter known to us


@dataclass(frozen=True, slots=True)
class Switch:
    """From ``minute`` of the local day on, ``rate`` (1 to 4) holds."""

    minute: int
    rate: int


def _check(plan: tuple[Switch, ...]) -> None:
    minutes = [switch.minute for switch in plan]
    if not plan or len(plan) > SWITCHES or minutes[0] != 0 or sorted(set(minutes)) != minutes:
        raise ValueError("a day's switches begin with minute 0 and rise")
    if any(m % 15 or m >= 1440 for m in minutes):
        raise ValueError("a rate switches on a quarter hour")
    if any(not 1 <= switch.rate <= RATES for switch in plan):
        raise ValueError(f"rates are 1 to {RATES}")


@dataclass(frozen=True, slots=True)
class Tariff:
    """The plans of a week."""

    weekday: tuple[Switch, ...] = (Switch(0, 1),)
    weekend: tuple[Switch, ...] = (Switch(0, 1),)

    def __post_init__(self) -> None:
        _check(self.weekday)
        _check(self.weekend)

    def rate(self, local: datetime) -> int:
        """Return the rate at a local time."""
        plan = self.weekend if local.isoweekday() >= 6 else self.weekday
        minute = local.hour * 60 + local.minute
        return plan[bisect_right([switch.minute for switch in plan], minute) - 1].rate


_DAY: Final = (Switch(0, 1), Switch(8 * 60, 2), Switch(16 * 60, 3), Switch(22 * 60, 1))

TIME_OF_USE: Final = Tariff(_DAY, (Switch(0, 1), Switch(8 * 60, 4), Switch(22 * 60, 1)))
"""Off-peak 22 to 8 (rate 1), mid 8 to 16 (2), peak 16 to 22 (3); weekend days at rate 4."""
