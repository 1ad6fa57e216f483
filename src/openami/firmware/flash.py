"""NOR flash as a device's firmware sees it, in areas, and one in memory.

A block is erased as a whole, to FF. A unit is written once between two erases: flash that corrects
errors cannot clear more bits of a unit that has been written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from openami.core.errors import ConfigError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

ERASED: Final = b"\xff"
WRITE_UNITS: Final = (1, 2, 4, 8, 16, 32)  # those that MCUboot and imgtool know
MAX_FLASH: Final = 256 << 20  # octets; a meter's has a few MiB, and one in memory takes as much
_COUNTER_BLOCKS: Final = 2
_LEAST_SLOT: Final = 2  # blocks: the image, and the trailer, which has the last one for itself
# A block holds the trailer: four fields, each as wide as a write unit and 8 octets at least, and
# the magic, which takes up to two more.
_TRAILER_FIELDS: Final = 6
_LEAST_FIELD: Final = 8


@dataclass(frozen=True, slots=True)
class Geometry:
    """Octets of a flash, of what is erased at once, and of what is written at once.

    Raises:
        ConfigError: no flash of a meter is like that (``config.flash``).
    """

    size: int
    erase_block: int
    write_unit: int

    def __post_init__(self) -> None:
        if self.write_unit not in WRITE_UNITS:
            raise _unfit(f"a write unit of {', '.join(map(str, WRITE_UNITS))} octets wanted")
        least = _TRAILER_FIELDS * max(self.write_unit, _LEAST_FIELD)
        if self.erase_block < least or self.erase_block % self.write_unit:
            raise _unfit(f"blocks of whole write units, at least {least} octets, wanted")
        if not 0 < self.size <= MAX_FLASH or self.size % self.erase_block:
            raise _unfit(f"whole blocks, at most {MAX_FLASH} octets, wanted")


class Flash(Protocol):
    """A medium. ``Area`` is what uses it, and holds to its rules."""

    @property
    def geometry(self) -> Geometry: ...

    def read(self, offset: int, size: int) -> bytes:
        """Return octets.

        Raises:
            StoreError: the medium fails, here and below.
        """
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Write whole units, all of them erased; kept when this returns."""

    def erase(self, offset: int) -> None:
        """Erase the block that begins at ``offset``; done when this returns."""


@dataclass(slots=True)
class RamFlash:
    """A flash in memory, new from the factory."""

    geometry: Geometry
    data: bytearray = field(default_factory=bytearray, repr=False)

    def __post_init__(self) -> None:
        if not self.data:
            self.data.extend(ERASED * self.geometry.size)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        self.data[offset : offset + len(data)] = data

    def erase(self, offset: int) -> None:
        block = self.geometry.erase_block
        self.data[offset : offset + block] = ERASED * block


@dataclass(frozen=True, slots=True)
class Area:
    """A part of a flash, of whole blocks; offsets count from its start.

    What breaks the rules of the flash raises ``LocalProtocolError`` (``firmware.flash``), and
    changes nothing.
    """

    flash: Flash = field(repr=False)
    start: int
    size: int

    @property
    def erase_block(self) -> int:
        return self.flash.geometry.erase_block

    @property
    def write_unit(self) -> int:
        return self.flash.geometry.write_unit

    def read(self, offset: int, size: int) -> bytes:
        self._check(offset, size, 1)
        return self.flash.read(self.start + offset, size)

    def is_erased(self, offset: int, size: int) -> bool:
        return self.read(offset, size) == ERASED * size

    def write(self, offset: int, data: bytes) -> None:
        """Write whole units that are erased."""
        self._check(offset, len(data), self.write_unit)
        if not self.is_erased(offset, len(data)):
            raise _broken("a unit is written once")
        self.flash.write(self.start + offset, data)

    def erase(self, offset: int) -> None:
        """Erase the block that begins at ``offset``."""
        self._check(offset, self.erase_block, self.erase_block)
        self.flash.erase(self.start + offset)

    def blocks(self) -> Iterator[int]:
        """Return where each block begins, the first one first."""
        return iter(range(0, self.size, self.erase_block))

    def units(self, size: int) -> int:
        """Return ``size``, rounded up to whole units."""
        return align(size, self.write_unit)

    def _check(self, offset: int, size: int, unit: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise _broken("octets outside of the area")
        if offset % unit or size % unit:
            raise _broken(f"a multiple of {unit} wanted")


@dataclass(frozen=True, slots=True)
class Layout:
    """What is where: two slots for images, the state of a transfer, the security counter."""

    slots: tuple[Area, Area]
    transfer: Area
    counter: Area

    @classmethod
    def over(cls, flash: Flash, *, slot_size: int, transfer_size: int) -> Self:
        """Lay out a flash from its first octet.

        Args:
            flash: the medium.
            slot_size: octets of each slot; the last block of it is the trailer's.
            transfer_size: octets for the state of a transfer: a write unit, and 8 at least, for
                each block of an image, and 1 KiB.

        Raises:
            ConfigError: it does not fit, or a part is not whole blocks (``config.flash``).
        """
        block = flash.geometry.erase_block
        sizes = (slot_size, slot_size, transfer_size, _COUNTER_BLOCKS * block)
        if any(size <= 0 or size % block for size in sizes) or slot_size < _LEAST_SLOT * block:
            raise _unfit("parts of whole blocks wanted, slots of two at least")
        if sum(sizes) > flash.geometry.size:
            raise _unfit(f"{sum(sizes)} octets wanted, {flash.geometry.size} there")
        starts = (sum(sizes[:place]) for place in range(len(sizes)))
        one, other, transfer, counter = (
            Area(flash, start, size) for start, size in zip(starts, sizes, strict=True)
        )
        return cls((one, other), transfer, counter)


def align(size: int, unit: int) -> int:
    """Return ``size``, rounded up to a multiple of ``unit``."""
    return -(-size // unit) * unit


def _unfit(message: str) -> ConfigError:
    return ConfigError(f"flash: {message}", code="config.flash")


def _broken(message: str) -> LocalProtocolError:
    return LocalProtocolError(f"flash: {message}", code="firmware.flash")
