"""A slot: an image from its first octet, and MCUboot's trailer at its end.

From the end: the magic; ``image_ok``, which the image writes when it has tested itself;
``copy_done``, which the boot code writes before the first jump. Each field is as wide as a write
unit, 8 octets at least (MCUboot's design document, "Image trailer" and "Equal slots").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from openami.core.errors import LocalProtocolError, StoreError
from openami.firmware.flash import ERASED, align
from openami.firmware.image import HEADER_SIZE, Image, version_of

if TYPE_CHECKING:
    from openami.firmware.flash import Area
    from openami.firmware.version import Version

MAGIC_SIZE: Final = 16
_LEAST_FIELD: Final = 8
_MAGIC: Final = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
_MAGIC_TAIL: Final = bytes.fromhex("2de15d29410b8d77679c110f1f8a")  # behind the width of a field
_SET: Final = b"\x01"


class SlotState(Enum):
    """What the trailer says of the image; nothing is said of whether it verifies."""

    EMPTY = "empty"  # no magic: never booted
    PENDING = "pending"  # to be tried at the next boot
    TRIED = "tried"  # has been booted once, and has not confirmed
    CONFIRMED = "confirmed"


class _Flag(Enum):
    UNSET = 0
    SET = 1
    BAD = 2  # a write was cut


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot over its area."""

    area: Area

    @property
    def capacity(self) -> int:
        """Octets of the longest image: the last block is the trailer's alone."""
        return self.area.size - self.area.erase_block

    def state(self) -> SlotState:
        if self.area.read(self.area.size - MAGIC_SIZE, MAGIC_SIZE) != self._magic():
            return SlotState.EMPTY
        done, ok = self._flag(self._copy_done), self._flag(self._image_ok)
        if ok is _Flag.SET:
            return SlotState.CONFIRMED
        if done is ok is _Flag.UNSET:
            return SlotState.PENDING
        return SlotState.TRIED

    def version(self) -> Version | None:
        """Return the version that the header says, unchecked; ``None`` if there is no header."""
        return version_of(self.area.read(0, HEADER_SIZE))

    def has_header(self) -> bool:
        """Tell whether the first octets are still there; ``discard`` erases them first."""
        return self.version() is not None

    def image(self) -> Image:
        """Return the image.

        Raises:
            DecodeError: there is none that is well formed.
        """
        return Image.decode(self.area.read(0, self.capacity), padded=True)

    def set_pending(self) -> None:
        """Let the image be tried at the next boot."""
        if not self.area.is_erased(self.capacity, self.area.erase_block):
            self.erase_trailer()  # an earlier call was cut
        width = align(MAGIC_SIZE, self.area.write_unit)
        self.area.write(self.area.size - width, self._magic().rjust(width, ERASED))

    def set_tried(self) -> None:
        """Remember that the image is about to be booted; at most once."""
        self._set(self._copy_done)

    def set_confirmed(self) -> None:
        """Remember that the image has tested itself.

        Raises:
            StoreError: an earlier call was cut; the unit is written once (``firmware.trailer``).
        """
        flag = self._flag(self._image_ok)
        if flag is _Flag.BAD:
            message = "the confirmation was cut, and cannot be written again"
            raise StoreError(message, hint="install an image anew", code="firmware.trailer")
        if flag is _Flag.UNSET:
            self._set(self._image_ok)

    def erase_trailer(self) -> None:
        """Make sure that the image is not booted."""
        self.area.erase(self.capacity)

    def erase_image(self) -> None:
        """Erase all but the trailer."""
        for block in self.area.blocks():
            if block < self.capacity:
                self.area.erase(block)

    def discard(self) -> None:
        """Erase the slot, the trailer last: cut anywhere, the boot code finds it unfit again."""
        self.erase_image()
        self.erase_trailer()

    def provision(self, image: bytes) -> None:
        """Put an image into the slot as confirmed, as a factory does.

        Raises:
            LocalProtocolError: it is longer than the slot (``firmware.flash``).
        """
        if len(image) > self.capacity:
            message = f"flash: an image of at most {self.capacity} octets wanted"
            raise LocalProtocolError(message, code="firmware.flash")
        self.discard()
        self.area.write(0, image.ljust(self.area.units(len(image)), ERASED))
        self.set_pending()
        self.set_confirmed()

    @property
    def _field(self) -> int:
        return max(self.area.write_unit, _LEAST_FIELD)

    @property
    def _image_ok(self) -> int:
        return self.area.size - align(MAGIC_SIZE, self._field) - self._field

    @property
    def _copy_done(self) -> int:
        return self._image_ok - self._field

    def _magic(self) -> bytes:
        if self._field == _LEAST_FIELD:
            return _MAGIC
        return self._field.to_bytes(2, "little") + _MAGIC_TAIL

    def _flag(self, offset: int) -> _Flag:
        found = self.area.read(offset, self._field)
        known = {
            ERASED * self._field: _Flag.UNSET,
            _SET.ljust(self._field, ERASED): _Flag.SET,
        }
        return known.get(found, _Flag.BAD)

    def _set(self, offset: int) -> None:
        self.area.write(offset, _SET.ljust(self._field, ERASED))
