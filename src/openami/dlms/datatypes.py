"""The types of COSEM data: their tags, their names, and bit-strings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class DataType(IntEnum):
    """Tags of the CHOICE Data."""

    NULL = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    INT32 = 5
    UINT32 = 6
    OCTETS = 9
    VISIBLE = 10
    UTF8 = 12
    BCD = 13
    INT8 = 15
    INT16 = 16
    UINT8 = 17
    UINT16 = 18
    COMPACT_ARRAY = 19
    INT64 = 20
    UINT64 = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATETIME = 25
    DATE = 26
    TIME = 27
    DONT_CARE = 255


@dataclass(frozen=True, slots=True)
class BitString:
    """``size`` bits, bit 0 first: the most significant bit of the first octet."""

    octets: bytes
    size: int

    def __post_init__(self) -> None:
        if len(self.octets) != (self.size + 7) // 8:
            raise ValueError(f"{self.size} bits don't take {len(self.octets)} octets")

    @classmethod
    def of(cls, bits: str) -> Self:
        """Read zeros and ones, bit 0 first; unused bits of the last octet are 0."""
        size = len(bits)
        octets = (size + 7) // 8
        return cls(int(bits.ljust(octets * 8, "0") or "0", 2).to_bytes(octets, "big"), size)

    def __getitem__(self, index: int) -> bool:
        if not 0 <= index < self.size:
            raise IndexError(index)
        return bool(self.octets[index // 8] & (0x80 >> index % 8))

    def __len__(self) -> int:
        return self.size

    def __str__(self) -> str:
        return "".join(f"{octet:08b}" for octet in self.octets)[: self.size]


_NAMES: Final[Mapping[DataType, str]] = {
    DataType.NULL: "null-data",
    DataType.ARRAY: "array",
    DataType.STRUCTURE: "structure",
    DataType.BOOLEAN: "boolean",
    DataType.BIT_STRING: "bit-string",
    DataType.INT32: "double-long",
    DataType.UINT32: "double-long-unsigned",
    DataType.OCTETS: "octet-string",
    DataType.VISIBLE: "visible-string",
    DataType.UTF8: "utf8-string",
    DataType.BCD: "bcd",
    DataType.INT8: "integer",
    DataType.INT16: "long",
    DataType.UINT8: "unsigned",
    DataType.UINT16: "long-unsigned",
    DataType.COMPACT_ARRAY: "compact-array",
    DataType.INT64: "long64",
    DataType.UINT64: "long64-unsigned",
    DataType.ENUM: "enum",
    DataType.FLOAT32: "float32",
    DataType.FLOAT64: "float64",
    DataType.DATETIME: "date-time",
    DataType.DATE: "date",
    DataType.TIME: "time",
    DataType.DONT_CARE: "don't-care",
}


def type_name(kind: DataType) -> str:
    """Return the standard's name of a type."""
    return _NAMES[kind]
