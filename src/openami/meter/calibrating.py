"""The calibration of a measuring part, as its memory has it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from openami.core.errors import ConfigError
from openami.meter.measuring import MEMORY_FILE
from openami.metrology.accuracy import calibrated
from openami.metrology.part import PartRecord
from openami.store.measuring import PartMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openami.metrology.adc.calibration import Calibration
    from openami.metrology.adc.frontend import FrontEnd

Constants = tuple[str, tuple["Calibration", ...]]
"""The front end's name, and the constants of each phase."""


def constants_of(state: Path) -> Constants:
    """Return the constants of the part whose memory is in a folder.

    Raises:
        ConfigError: there is none.
        DecodeError: its memory is damaged.
        StoreError: the memory cannot be used, or the part is running.
    """
    with closing(_memory(state)) as memory:
        front, record = _load(memory)
    return front, record.calibrations


def calibrate_part(state: Path, front_of: Callable[[str], FrontEnd]) -> Constants:
    """Calibrate each phase of the part whose memory is in a folder; return the new constants.

    Args:
        state: the folder.
        front_of: gives the front end of a name.

    Raises:
        ConfigError: there is none.
        DecodeError: its memory is damaged.
        StoreError: the memory cannot be used, or the part is running.
    """
    with closing(_memory(state)) as memory:
        front, record = _load(memory)
        chance = np.random.default_rng()
        found = tuple(calibrated(front_of(front), chance) for _ in record.calibrations)
        memory.keep(front, replace(record, calibrations=found).encode())
    return front, found


def _memory(state: Path) -> PartMemory:
    path = state / MEMORY_FILE
    if not path.exists():
        raise ConfigError(
            f"{state} holds no measuring part", hint="openami metrology run makes one"
        )
    return PartMemory(path)


def _load(memory: PartMemory) -> tuple[str, PartRecord]:
    found = memory.load()
    if found is None:
        raise ConfigError("the measuring part has never begun")
    return found[0], PartRecord.decode(found[1])
