"""What a transfer must remember: what is being transferred, and what happened to it, in order.

A record of what was begun, then entries, each in units of its own, behind each other. An entry
that was torn is not one, and the next goes behind it. The entry of a block carries a check of the
block's content: it holds only as long as that is in the slot. A map of bits could do neither: a
unit of flash is written once.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import StoreFullError
from openami.firmware.flash import ERASED, align

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.firmware.flash import Area

WORN: Final = "firmware.transfer.worn"
"""Code: the power went too often, the transfer has to begin anew."""
MAX_IDENTIFIER: Final = 64  # octets, as class 18 of the meter bounds them
MAX_NUMBER: Final = 0xFF_FFFF
# Beyond one entry for each block: the result of the verification, and one for each time that the
# power went while an entry was being written; after that, a transfer has to begin anew.
SPARE: Final = 16

_RECORD: Final = struct.Struct("<4sIIBB64sI")
_MAGIC: Final = b"OATJ"
_HEAD: Final = 4  # kind and number
_CHECK: Final = 4


@dataclass(frozen=True, slots=True)
class Begun:
    """What a transfer was begun with."""

    slot: int
    identifier: bytes
    size: int
    block_size: int

    @property
    def blocks(self) -> int:
        return -(-self.size // self.block_size)

    def encode(self) -> bytes:
        fields = (self.size, self.block_size, self.slot, len(self.identifier), self.identifier)
        body = _RECORD.pack(_MAGIC, *fields, 0)[:-_CHECK]
        return body + zlib.crc32(body).to_bytes(_CHECK, "little")

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """Return what was begun; ``None`` if it was cut, or nothing was."""
        magic, size, block_size, slot, length, identifier, check = _RECORD.unpack(data)
        if magic != _MAGIC or check != zlib.crc32(data[:-_CHECK]):
            return None
        return cls(slot, identifier[:length], size, block_size)


class Entry(IntEnum):
    """What happened."""

    BLOCK = 1  # the block of that number is in the slot
    VERIFIED = 2
    REFUSED = 3


class Journal:
    """The journal over its area."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._width = area.units(_HEAD + _CHECK)
        first = align(_RECORD.size, self._width)
        self._places = range(first, area.size - self._width + 1, self._width)
        self._used = 0

    def begun(self) -> Begun | None:
        """Return what was begun; ``None`` if nothing was, or the power went before it was."""
        return Begun.decode(self._area.read(0, _RECORD.size))

    def begin(self, begun: Begun) -> None:
        """Write the record; the area must have been cleared."""
        self._area.write(0, begun.encode().ljust(self._places.start, ERASED))

    def clear(self) -> None:
        """Forget everything. Cut, it holds what it held, or less of that."""
        for block in self._area.blocks():
            self._area.erase(block)

    def read(self, content: Callable[[int], bytes]) -> list[tuple[Entry, int]]:
        """Return what happened and is still so, in order; to be called before ``append``.

        Args:
            content: returns what the slot holds of the block of that number.
        """
        data = self._area.read(0, self._area.size)
        end = len(data.rstrip(ERASED))
        used = [place for place in self._places if place < end]
        self._used = len(used)
        found = []
        for place in used:
            kind, number = data[place], int.from_bytes(data[place + 1 : place + _HEAD], "little")
            entry = _KINDS.get(kind)
            held = content(number) if entry is Entry.BLOCK else b""
            if entry and data.startswith(_entry(entry, number, held), place):
                found.append((entry, number))
        return found

    def append(self, kind: Entry, number: int = 0, content: bytes = b"") -> None:
        """Keep an entry; one of a block holds as long as the slot holds ``content``.

        One that is there already is not kept again: blocks that were lost come again.

        Raises:
            StoreFullError: no room is left (``firmware.transfer.worn``).
        """
        entry = _entry(kind, number, content)
        if kind is Entry.BLOCK and self._holds(entry):
            return
        if self._used == len(self._places):
            message = "the power went too often during this transfer"
            raise StoreFullError(message, hint="begin anew", code=WORN)
        place = self._places[self._used]
        self._used += 1  # also if the write fails: what was torn is not written again
        self._area.write(place, entry.ljust(self._width, ERASED))

    def takes(self, blocks: int) -> bool:
        """Tell whether an image of so many blocks can be followed."""
        return blocks + SPARE <= len(self._places) and blocks <= MAX_NUMBER

    def _holds(self, entry: bytes) -> bool:
        used = self._area.read(self._places.start, self._used * self._width)
        found = used.find(entry)
        return found >= 0 and not found % self._width


def _entry(kind: Entry, number: int, content: bytes) -> bytes:
    head = bytes((kind,)) + number.to_bytes(_HEAD - 1, "little")
    return head + zlib.crc32(head + content).to_bytes(_CHECK, "little")


_KINDS: Final = {int(kind): kind for kind in Entry}
