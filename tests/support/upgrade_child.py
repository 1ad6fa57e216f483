"""Upgrades two meters in a process that is killed without warning at its n-th chance.

The meters outlive it: how they are is in a file, written whenever anything was done with them.
"""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

from tests.support.dcu_upgrades import START, Bench, SimLine, bench, meters_of
from tests.support.forks import serve
from tests.support.killer import Killer
from tests.support.upgrade_meters import SimMeter

from openami.core.clock import ManualClock
from openami.store.upgrades import Upgrades


def load(folder: Path) -> list[SimMeter]:
    """Return the meters as they are."""
    file = folder / "meters"
    if not file.exists():
        return meters_of("reverts", clean=2)
    return [SimMeter(**kept) for kept in pickle.loads(file.read_bytes())]


def save(folder: Path, meters: list[SimMeter], clock: ManualClock) -> None:
    kept = [{f.name: getattr(meter, f.name) for f in fields(meter)} for meter in meters]
    part = folder / "meters.part"
    part.write_bytes(pickle.dumps(kept))
    part.replace(folder / "meters")
    (folder / "clock").write_text(repr(clock.now()))


async def main(folder: Path, killer: Killer) -> None:
    meters = load(folder)
    shown = folder / "clock"
    clock = ManualClock(float(shown.read_text()) if shown.exists() else START)
    line = SimLine(meters)

    def acted() -> None:
        save(folder, meters, clock)
        killer()

    line.acted = acted
    async with bench(folder, line, clock=clock) as made:
        await tell(made, folder)
        await made.upgrade()
        await tell(made, folder)


async def tell(made: Bench, folder: Path) -> None:
    """Hand a report over, as to a head-end that keeps it."""
    bodies, sent = await made.book.reports()
    with (folder / "reports").open("a") as file:
        for body in bodies:
            file.write(repr(body) + "\n")
            file.flush()
    await made.book.told(sent, {body["campaign"]: body["number"] for body in bodies})


def run(folder: str, left: str) -> None:
    killer = Killer(int(left))
    for name in ("keep", "acknowledge", "keep_manifest", "keep_image"):
        watched: Any = _watched(getattr(Upgrades, name), killer)
        setattr(Upgrades, name, watched)
    asyncio.run(main(Path(folder), killer))


def _watched(real: Any, killer: Killer) -> Any:
    def called(*arguments: Any) -> Any:
        killer()
        given = real(*arguments)
        killer()
        return given

    return called


if __name__ == "__main__":
    serve(run)
