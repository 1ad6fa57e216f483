"""Octets written one field after another."""

from __future__ import annotations

from typing import Self


class Writer:
    """Collects octets; every method returns the writer, so that calls chain."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def raw(self, data: bytes | bytearray | memoryview) -> Self:
        self._data += data
        return self

    def u8(self, value: int) -> Self:
        self._data.append(value)
        return self

    def uint(self, value: int, size: int) -> Self:
        """Write an unsigned big-endian number of ``size`` octets; OverflowError if it won't fit."""
        self._data += value.to_bytes(size, "big")
        return self

    def sint(self, value: int, size: int) -> Self:
        """Write a signed big-endian number of ``size`` octets; OverflowError if it won't fit."""
        self._data += value.to_bytes(size, "big", signed=True)
        return self

    def u16(self, value: int) -> Self:
        return self.uint(value, 2)

    def u32(self, value: int) -> Self:
        return self.uint(value, 4)

    def length(self, value: int) -> Self:
        """Write a definite length in its shortest form (X.690 8.1.3, also A-XDR)."""
        self._data += encode_length(value)
        return self

    def octets(self, data: bytes) -> Self:
        """Write a length and ``data``."""
        return self.length(len(data)).raw(data)

    def bytes(self) -> bytes:
        """Return all that was written."""
        return bytes(self._data)


def encode_length(value: int) -> bytes:
    """Return a definite length in its shortest form (X.690 8.1.3, also A-XDR)."""
    if value < 0x80:
        return value.to_bytes(1, "big")
    size = (value.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + value.to_bytes(size, "big")
