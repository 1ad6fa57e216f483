"""A thousand meters behind ten DCUs, on bad lines, with DCUs that die and images that are bad."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.support.dcu_upgrades import START, SimLine, bench
from tests.support.upgrade_meters import NEW, OLD, Killed, SimMeter, serial_of

from openami.core.clock import ManualClock
from openami.fleet.upgrade import Stage

if TYPE_CHECKING:
    from pathlib import Path

DCUS, METERS, BAD = 10, 100, 2
LOSS = 5
KILLS = 0.002
"""Of whatever is done with a meter: each DCU dies several times."""


class Death:
    """Kills a DCU at any moment around what it does, by chance."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.deaths = 0

    def __call__(self) -> None:
        if self._chance.random() < KILLS:
            self.deaths += 1
            raise Killed


async def upgraded(folder: Path, line: SimLine) -> dict[str, Stage]:
    """See an order through, however often the DCU dies; return how the meters ended."""
    clock = ManualClock(START)
    while True:
        try:
            async with bench(folder, line, clock=clock) as made:
                await made.upgrade()
                told = await made.report()
                assert told["counts"] == {"confirmed": METERS - BAD, "reverted": BAD}
                assert told["codes"] == {"upgrade.reverted": BAD}
                return made.stages()
        except Killed:
            clock.advance(5.0)


@pytest.mark.fums("DES-2", "UC1-end")
@pytest.mark.parametrize("number", range(DCUS))
async def test_good_meters_end_upgraded_bad_ones_named_and_nobody_twice(
    tmp_path: Path, number: int
) -> None:
    chance = random.Random(number)
    bad = set(chance.sample(range(METERS), BAD))
    meters = [
        SimMeter(serial_of(number * METERS + n), faults=frozenset({"reverts"} if n in bad else ()))
        for n in range(METERS)
    ]
    death = Death(chance)
    line = SimLine(meters, death)
    line.loss, line.chance = LOSS, chance
    stages = await upgraded(tmp_path, line)
    assert death.deaths > 0
    for n, meter in enumerate(meters):
        assert stages[meter.serial] is (Stage.REVERTED if n in bad else Stage.CONFIRMED)
        assert meter.version == (OLD if n in bad else NEW)
        assert meter.tried == 1
        assert not meter.wrongs
