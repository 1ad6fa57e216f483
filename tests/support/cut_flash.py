"""A flash that tells what it would hold if the power went at each of its operations.

A unit that is being written may be torn, and so may a block that is being erased; either may also
be done, and nobody told. The program that runs on it has no other memory: so the contents of the
flash are all there is after a cut, and one run gives every cut of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.firmware.flash import Geometry

_TAIL: Final = 16  # a trailer's magic
_NOISE: Final = bytes(range(7, 256)) * 4


@dataclass(frozen=True, slots=True)
class Operation:
    """What was done to a flash, and what it may hold if the power went meanwhile or just after."""

    kind: str
    start: int
    end: int
    cuts: tuple[bytes, ...] = field(repr=False)


@dataclass(slots=True)
class CutFlash:
    """Records its operations; ``allowed`` can forbid them."""

    geometry: Geometry
    data: bytearray = field(repr=False)
    operations: list[Operation] = field(default_factory=list, repr=False)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        unit = self.geometry.write_unit
        assert not offset % unit
        assert not len(data) % unit
        for place in range(0, len(data), unit):
            octets = data[place : place + unit]
            assert self.read(offset + place, unit) == b"\xff" * unit, "a unit is written once"
            self._do("write", offset + place, octets, _torn_unit(octets))

    def erase(self, offset: int) -> None:
        size = self.geometry.erase_block
        assert not offset % size
        self._do("erase", offset, b"\xff" * size, _torn_block(self.read(offset, size)))

    def _do(self, kind: str, start: int, octets: bytes, torn: Iterator[bytes]) -> None:
        end = start + len(octets)
        cuts = [bytes(self.data[:start]) + part + bytes(self.data[end:]) for part in torn]
        self.data[start:end] = octets
        self.operations.append(Operation(kind, start, end, (*cuts, bytes(self.data))))


def _torn_unit(octets: bytes) -> Iterator[bytes]:
    """Some bits not yet cleared; and a unit that reads as noise."""
    yield bytes(octet | 0xF0 for octet in octets)
    yield bytes(octet ^ 0x5A for octet in octets)


def _torn_block(before: bytes) -> Iterator[bytes]:
    """One half erased, or the other; all but a trailer's magic; and noise."""
    half = len(before) // 2
    yield b"\xff" * half + before[half:]
    yield before[:half] + b"\xff" * half
    yield b"\xff" * (len(before) - _TAIL) + before[-_TAIL:]
    yield _NOISE[: len(before)]
