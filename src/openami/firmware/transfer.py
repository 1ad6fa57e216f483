"""An image, block by block, into the slot that is not running.

The blocks come in any order, and again; what is in the slot is in the journal too, and survives a
cut at any operation. A block whose unit was torn cannot be written over: the flash's block around
it is erased, and what was in it is missing again.

What a peer does wrong raises ``RemoteProtocolError`` with one of these codes:
``firmware.transfer.size``, ``.identifier``, ``.trial``, ``.state``, ``.block``, ``.differs``,
``.incomplete``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import (
    ConfigError,
    DecodeError,
    RemoteProtocolError,
    SecurityError,
)
from openami.firmware.boot import NOT_NEWER
from openami.firmware.counter import SecurityCounter
from openami.firmware.flash import ERASED
from openami.firmware.image import Image
from openami.firmware.journal import MAX_IDENTIFIER, Begun, Entry, Journal
from openami.firmware.slot import Slot, SlotState
from openami.firmware.verify import check_dependency, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openami.firmware.boot import Booted
    from openami.firmware.flash import Area, Layout
    from openami.firmware.verify import Target

MAX_BLOCK: Final = 0xFFFF  # octets; a block of class 18 fits in one APDU


class TransferState(IntEnum):
    """Numbered as image_transfer_status is (Blue Book 4.4.6, attribute 6)."""

    NOT_INITIATED = 0
    INITIATED = 1
    VERIFICATION_SUCCESSFUL = 3
    VERIFICATION_FAILED = 4
    ACTIVATION_INITIATED = 5
    ACTIVATION_SUCCESSFUL = 6
    ACTIVATION_FAILED = 7


class Transfer:
    """The transfer of one device, opened anew after each boot.

    Args:
        layout: the flash.
        booted: what runs; its slot is never written.
        block_size: octets of a block, whole write units; a transfer that was begun with another
            size is over.

    Raises:
        ConfigError: blocks of that size cannot be written (``config.flash``).
    """

    def __init__(self, layout: Layout, booted: Booted, *, block_size: int) -> None:
        unit = layout.transfer.write_unit
        if not 0 < block_size <= MAX_BLOCK or block_size % unit:
            message = f"blocks of whole write units ({unit} octets) wanted"
            raise ConfigError(message, code="config.flash")
        self.block_size = block_size
        self._slots = tuple(Slot(area) for area in layout.slots)
        self._booted = booted
        self._counter = SecurityCounter(layout.counter)
        self._journal = Journal(layout.transfer)
        self._begun: Begun | None = None
        self._present = bytearray()
        self._verdict: Entry | None = None
        self._load()

    @property
    def identifier(self) -> bytes:
        """What the transfer was begun with; empty if none was."""
        return self._begun.identifier if self._begun else b""

    @property
    def size(self) -> int:
        """Octets of the image; 0 if no transfer was begun."""
        return self._begun.size if self._begun else 0

    @property
    def slot(self) -> int | None:
        """The number of the slot that it goes into."""
        return self._begun.slot if self._begun else None

    @property
    def blocks(self) -> int:
        return len(self._present)

    @property
    def first_gap(self) -> int:
        """The number of the first block that is missing; the number of blocks if none is."""
        gap = self._present.find(0)
        return self.blocks if gap < 0 else gap

    def has(self, number: int) -> bool:
        """Tell whether a block is in the slot, and would be after a cut."""
        return 0 <= number < self.blocks and bool(self._present[number])

    @property
    def state(self) -> TransferState:
        """Where the transfer is; after an activation, what the boot code made of the image."""
        if self._begun is None:
            return TransferState.NOT_INITIATED
        if self._verdict is not Entry.VERIFIED:
            refused = self._verdict is Entry.REFUSED
            return TransferState.VERIFICATION_FAILED if refused else TransferState.INITIATED
        slot = self._slots[self._begun.slot]
        match slot.state():
            case SlotState.CONFIRMED:
                return TransferState.ACTIVATION_SUCCESSFUL
            case SlotState.EMPTY if slot.has_header():
                return TransferState.VERIFICATION_SUCCESSFUL
            case SlotState.EMPTY:  # the boot code has erased it
                return TransferState.ACTIVATION_FAILED
        return TransferState.ACTIVATION_INITIATED

    def begin(self, identifier: bytes, size: int) -> None:
        """Forget what there is, activated or not, and make room for an image.

        Raises:
            RemoteProtocolError: the image does not fit (``.size``), the identifier is too long
                (``.identifier``), or the slot holds what a trial goes back to (``.trial``).
        """
        number = self._idle()
        slot = self._slots[number]
        begun = Begun(number, identifier, size, self.block_size)
        if not 0 < size <= slot.capacity or not self._journal.takes(begun.blocks):
            raise _refused(f"an image of {size} octets does not fit", "size")
        if len(identifier) > MAX_IDENTIFIER:
            raise _refused(f"an identifier of at most {MAX_IDENTIFIER} octets wanted", "identifier")
        self._forget()
        slot.erase_trailer()  # first: what was there is booted whole, or not at all
        self._journal.clear()
        slot.erase_image()
        self._journal.begin(begun)
        self._load()

    def put(self, number: int, block: bytes) -> None:
        """Keep a block; the same block again changes nothing.

        Raises:
            RemoteProtocolError: no block is wanted now (``.state``), there is no such block or it
                has another size (``.block``), or it was another one before (``.differs``).
            StoreFullError: the power went too often: begin anew (``firmware.transfer.worn``).
        """
        begun = self._require(TransferState.INITIATED, TransferState.VERIFICATION_SUCCESSFUL)
        offset = number * begun.block_size
        if not 0 <= number < self.blocks or len(block) != min(
            begun.block_size, begun.size - offset
        ):
            raise _refused("no such block, or of another size", "block")
        area = self._slots[begun.slot].area
        if self._present[number]:
            if area.read(offset, len(block)) != block:
                raise _refused("the block was another one before", "differs")
            return
        self._write(area, offset, block.ljust(area.units(len(block)), ERASED))
        self._journal.append(Entry.BLOCK, number, block)
        self._present[number] = True

    def verify(self, target: Target, *, check: Callable[[Image], object] | None = None) -> Image:
        """Return the image, if it may be activated.

        Args:
            target: the device.
            check: looks into the image after all else is right; raises ``DecodeError`` or
                ``SecurityError`` if it is refused.

        Raises:
            RemoteProtocolError: blocks are missing (``.incomplete``), or it is too early or too
                late (``.state``).
            DecodeError: it is no image.
            SecurityError: it is refused, ``firmware.version`` if it is not newer than what runs.
        """
        begun = self._require(
            TransferState.INITIATED,
            TransferState.VERIFICATION_FAILED,
            TransferState.VERIFICATION_SUCCESSFUL,
        )
        if self.first_gap < self.blocks:
            raise _refused(f"block {self.first_gap} is missing", "incomplete")
        try:
            image = Image.decode(self._slots[begun.slot].area.read(0, begun.size))
            verify(image, target, counter=self._counter.value())
            self._check_step(image)
            if check is not None:
                check(image)
        except (DecodeError, SecurityError):
            self._judge(Entry.REFUSED)
            raise
        self._judge(Entry.VERIFIED)
        return image

    def activate(self) -> None:
        """Let the boot code try the image at the next boot.

        Raises:
            RemoteProtocolError: it has not been verified (``.state``).
        """
        begun = self._require(
            TransferState.VERIFICATION_SUCCESSFUL, TransferState.ACTIVATION_INITIATED
        )
        slot = self._slots[begun.slot]
        if slot.state() is SlotState.EMPTY:
            slot.set_pending()

    def _idle(self) -> int:
        running = self._booted.slot
        settled = self._slots[running].state() is SlotState.CONFIRMED
        if not settled and not self._booted.rescued:
            raise _refused("the image that runs has not confirmed yet", "trial")
        return 1 - running

    def _require(self, *states: TransferState) -> Begun:
        if self._begun is None or self.state not in states:
            raise _refused(f"not in the state {self.state.name}", "state")
        return self._begun

    def _check_step(self, image: Image) -> None:
        running = self._booted.version
        for wanted in image.dependencies:
            if wanted.image == 0:
                check_dependency(wanted, running)
        if image.version <= running:
            raise SecurityError(f"{running} runs, a newer version wanted", code=NOT_NEWER)

    def _judge(self, verdict: Entry) -> None:
        if self._verdict is not verdict:
            self._journal.append(verdict)
            self._verdict = verdict

    def _write(self, area: Area, offset: int, data: bytes) -> None:
        unit, found = area.write_unit, area.read(offset, len(data))
        torn = {
            (offset + place) // area.erase_block
            for place in range(0, len(data), unit)
            if found[place : place + unit] not in (data[place : place + unit], ERASED * unit)
        }
        for block in sorted(torn):
            area.erase(block * area.erase_block)
        if torn:
            self._load()  # with what else was in those blocks missing
            found = area.read(offset, len(data))
        for start, end in _runs(found, data, unit):
            area.write(offset + start, data[start:end])

    def _forget(self) -> None:
        self._begun, self._present, self._verdict = None, bytearray(), None

    def _load(self) -> None:
        begun = self._journal.begun()
        if begun is None or begun.block_size != self.block_size:
            return
        self._begun, self._present = begun, bytearray(begun.blocks)
        for kind, number in self._journal.read(lambda number: self._content(begun, number)):
            if kind is not Entry.BLOCK:
                self._verdict = kind
            elif number < self.blocks:
                self._present[number] = True

    def _content(self, begun: Begun, number: int) -> bytes:
        """Return what the slot holds of a block; nothing for a number that is no block's."""
        offset = number * begun.block_size
        size = min(begun.block_size, begun.size - offset)
        return self._slots[begun.slot].area.read(offset, size) if size > 0 else b""


def _runs(found: bytes, wanted: bytes, unit: int) -> Iterator[tuple[int, int]]:
    """Return from where to where whole units differ."""
    start = None
    for place in range(0, len(wanted) + unit, unit):
        differs = found[place : place + unit] != wanted[place : place + unit]
        if differs and start is None:
            start = place
        elif not differs and start is not None:
            yield start, place
            start = None


def _refused(message: str, code: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, code=f"firmware.transfer.{code}")
