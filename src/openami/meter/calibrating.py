"""What a measuring part is calibrated to, and the mains that it is made for."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from openami.core.errors import ConfigError
from openami.meter.measuring import MEMORY_FILE
from openami.meter.settings import check_grid, grid_of
from openami.metrology.accuracy import calibrated
from openami.metrology.config import EUROPE, Grid
from openami.metrology.part import PartRecord
from openami.store.measuring import PartMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openami.metrology.adc.calibration import Calibration
    from openami.metrology.adc.frontend import FrontEnd
    from openami.store.measuring import KeptPart


class Constants(NamedTuple):
    """What a part is calibrated to.

    Args:
        front: name of the front end.
        grid: that it is made for.
        phases: the constants of each phase.
    """

    front: str
    grid: Grid
    phases: tuple[Calibration, ...]


def grid_in(state: Path, wanted: Grid | None = None) -> Grid:
    """Return the grid that the part of a folder is made for: a new one for that which is wanted.

    Without a wish that is 230 V and 50 Hz.

    Raises:
        ConfigError: the part is made for another one.
        StoreError: the memory cannot be used, or the part is running.
    """
    if (state / MEMORY_FILE).exists():
        with closing(_memory(state)) as memory:
            found = memory.load()
        if found is not None:
            made_for = grid_of(found.grid)
            check_grid(made_for, wanted)
            return made_for
    return wanted or EUROPE


def constants_of(state: Path) -> Constants:
    """Return the constants of the part whose memory is in a folder.

    Raises:
        ConfigError: there is none.
        DecodeError: its memory is damaged.
        StoreError: the memory cannot be used, or the part is running.
    """
    with closing(_memory(state)) as memory:
        kept, record = _load(memory)
    return Constants(kept.front, grid_of(kept.grid), record.calibrations)


def calibrate_part(state: Path, front_of: Callable[[str, Grid], FrontEnd]) -> Constants:
    """Calibrate each phase of the part whose memory is in a folder; return the new constants.

    The bench has the voltage and the frequency that the part is made for.

    Args:
        state: the folder.
        front_of: gives the front end of a name, at a grid.

    Raises:
        ConfigError: there is none.
        DecodeError: its memory is damaged.
        StoreError: the memory cannot be used, or the part is running.
    """
    with closing(_memory(state)) as memory:
        kept, record = _load(memory)
        grid, chance = grid_of(kept.grid), np.random.default_rng()
        front = front_of(kept.front, grid)
        found = tuple(calibrated(front, chance) for _ in record.calibrations)
        memory.keep(kept.front, replace(record, calibrations=found).encode(), kept.grid)
    return Constants(kept.front, grid, found)


def _memory(state: Path) -> PartMemory:
    path = state / MEMORY_FILE
    if not path.exists():
        raise ConfigError(
            f"{state} holds no measuring part", hint="openami metrology run makes one"
        )
    return PartMemory(path)


def _load(memory: PartMemory) -> tuple[KeptPart, PartRecord]:
    found = memory.load()
    if found is None:
        raise ConfigError("the measuring part has never begun")
    return found, PartRecord.decode(found.record)
