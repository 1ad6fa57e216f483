"""The part of a meter's hardware that its firmware lives on: flash, and the maker's public key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.firmware.flash import ERASED, Geometry, Layout, RamFlash
from openami.firmware.slot import Slot

if TYPE_CHECKING:
    from openami.firmware.flash import Flash
    from openami.firmware.keys import ImageKey

ERASE_BLOCK: Final = 32 << 10  # as serial NOR flash has it: 16 erases make room for an image
WRITE_UNIT: Final = 8
SLOT: Final = 512 << 10  # octets: an image of 480 KiB; meters' are under 256 KiB
TRANSFER: Final = 32 << 10  # the journal of 1,920 blocks of an image, twice over

BLOCK_SIZE: Final = 1024
"""Octets of a block of an image: whole write units; one frame carries one to all stations."""

GEOMETRY: Final = Geometry(2 * SLOT + TRANSFER + 2 * ERASE_BLOCK, ERASE_BLOCK, WRITE_UNIT)


@dataclass(frozen=True, slots=True)
class Board:
    """One meter's.

    Args:
        flash: of ``GEOMETRY``; it has left the factory with an image.
        keys: the keys that images are verified by; the maker put them in.
    """

    flash: Flash
    keys: tuple[ImageKey, ...]

    def layout(self) -> Layout:
        """Return what is where in the flash."""
        return Layout.over(self.flash, slot_size=SLOT, transfer_size=TRANSFER)


def factory_flash(image: bytes) -> bytes:
    """Return what a flash holds, from its first octet, that leaves the factory with an image."""
    flash = RamFlash(GEOMETRY)
    Slot(Board(flash, ()).layout().slots[0]).provision(image)
    return bytes(flash.data).rstrip(ERASED)
