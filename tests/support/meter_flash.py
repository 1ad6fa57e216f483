"""A meter's flash, made while there is room for it: it is no part of a disk that is full later."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from openami.meter.factory import FLASH_FILE, KEY_FILE, meter_board

if TYPE_CHECKING:
    from pathlib import Path


def make_flash(folder: Path) -> None:
    """Let a meter leave the factory in a new folder."""
    folder.mkdir()
    with ExitStack() as stack:
        meter_board(folder, None, stack)


def move_flash(made: Path, state: Path) -> None:
    """Put what ``make_flash`` made into the folder of a meter."""
    for name in (FLASH_FILE, KEY_FILE):
        (made / name).rename(state / name)
