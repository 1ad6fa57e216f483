"""What the baseline of demand response is wrong by, on days without events of real homes.

Eight homes over a year, half-hourly (their origin is in the meter's data folder). Every day from
the 46th on is taken for a day of an event that there was not, at three times of the day: what the
method says was saved is its error. Then the same for the method's alternatives, and how long the
baselines of ten thousand homes take.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np

from openami.mdm.baseline import LOOK_BACK, METHOD, Rule, adjusting, back_test, baselines
from openami.mdm.tariffs.calendar import public_holidays
from openami.meter.recordings import household_energy

EVENTS = {"08:00 to 10:00": (16, 20), "14:00 to 17:00": (28, 34), "17:00 to 20:00": (34, 40)}
RULES = {
    "ten, moved by half": METHOD,
    "ten, not moved": Rule(bound=0.0),
    "ten, moved by all": Rule(weight=1.0),
    "highest 5 of 10": Rule(best=5),
}
STEP_S = 1800
HOMES = 10_000


def kinds(start: int, days: int) -> np.ndarray:
    """Return of each day whether it is a working day, where the homes are."""
    found = []
    for day in range(days):
        date = datetime.fromtimestamp(start + day * 86_400, UTC).date()
        free = date.weekday() > 4 or date in public_holidays("AU", "NSW", date.year)
        found.append(int(free))
    return np.array(found)


def main() -> None:
    """Print the errors of each method, and how long one takes."""
    start, energy = household_energy()
    like = kinds(start, energy.shape[1])
    print(
        f"{energy.shape[0]} homes, {energy.shape[1]} days; bias, error of a home, of all together"
    )
    for name, rule in RULES.items():
        for hours, (first, last) in EVENTS.items():
            event = np.arange(first, last)
            error = back_test(energy, like, event, adjusting(event, STEP_S), rule=rule)
            print(
                f"{name:20} {hours}  {error.bias:+7.1%} {error.mean:6.1%} {error.total:6.1%}"
                f"  ({error.trials} trials)"
            )
    many = np.tile(energy[:, : LOOK_BACK + 1], (HOMES // len(energy), 1, 1))
    event = np.arange(34, 40)
    usable = np.broadcast_to(like[:LOOK_BACK] == like[LOOK_BACK], (len(many), LOOK_BACK))
    began = time.process_time()
    baselines(many[:, :-1], usable, event, adjusting(event, STEP_S), many[:, -1])
    print(f"baselines of {len(many):,} homes: {time.process_time() - began:.2f} s of one core")


if __name__ == "__main__":
    main()
