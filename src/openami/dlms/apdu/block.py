"""General block transfer: any APDU in blocks (Green Book 9.3.13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.dlms.apdu.common import Tag
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from openami.wire.reader import Reader

_LAST: Final = 0x80
_STREAMING: Final = 0x40
_WINDOW: Final = 0x3F


@dataclass(frozen=True, slots=True)
class GeneralBlockTransfer:
    """A block and the acknowledgement of the other direction's blocks."""

    last: bool
    streaming: bool
    window: int
    number: int
    acknowledged: int
    octets: bytes

    def encode(self) -> bytes:
        control = (_LAST if self.last else 0) | (_STREAMING if self.streaming else 0)
        w = Writer().u8(Tag.GENERAL_BLOCK_TRANSFER).u8(control | self.window & _WINDOW)
        return w.u16(self.number).u16(self.acknowledged).octets(self.octets).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        control = r.u8()
        return cls(
            bool(control & _LAST),
            bool(control & _STREAMING),
            control & _WINDOW,
            r.u16(),
            r.u16(),
            r.take(r.length()),
        )
