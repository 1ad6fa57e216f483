"""The security counter: what keeps a device from going back to an image with a known hole.

A journal over two blocks. A value is appended to the block that holds the highest one; when that
is full, the other block is erased and the value goes there. So the highest value stays readable
whatever is cut, and the counter never falls.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.firmware.flash import ERASED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.firmware.flash import Area

_ENTRY: Final = struct.Struct("<II")
_SEED: Final = zlib.crc32(b"security counter")  # so that erased octets are no entry


@dataclass(frozen=True, slots=True)
class SecurityCounter:
    """The counter over its area, of two blocks."""

    area: Area

    def value(self) -> int:
        """Return the highest value ever kept; 0 in a new device."""
        return max((value for _, value in self._entries()), default=0)

    def raise_to(self, value: int) -> None:
        """Keep a value; one that is not higher changes nothing."""
        highest = max(self._entries(), key=lambda entry: entry[1], default=(0, 0))
        if value <= highest[1]:
            return
        block = self.area.erase_block
        first = highest[0] // block * block
        free = self._free(first)
        if free is None:
            free = block - first
            self.area.erase(free)
        entry = _ENTRY.pack(value, zlib.crc32(value.to_bytes(4, "little"), _SEED))
        self.area.write(free, entry.ljust(self._width, ERASED))

    @property
    def _width(self) -> int:
        return self.area.units(_ENTRY.size)

    def _places(self, first: int) -> range:
        last = first + self.area.erase_block - self._width
        return range(first, last + 1, self._width)

    def _entries(self) -> Iterator[tuple[int, int]]:
        for first in self.area.blocks():
            data = self.area.read(first, self.area.erase_block)
            end = first + len(data.rstrip(ERASED))
            for place in self._places(first):
                if place >= end:
                    break
                value, check = _ENTRY.unpack_from(data, place - first)
                if check == zlib.crc32(value.to_bytes(4, "little"), _SEED):
                    yield place, value

    def _free(self, first: int) -> int | None:
        places = self._places(first)
        return next((p for p in places if self.area.is_erased(p, self._width)), None)
