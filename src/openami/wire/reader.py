"""A bounded cursor over octets: every read either succeeds or raises ``DecodeError``."""

from __future__ import annotations

from openami.core.errors import DecodeError


class Reader:
    """Read forward through ``data``.

    Args:
        data: what is read; not copied.
        base: the offset of ``data`` in the message that errors speak of.
    """

    __slots__ = ("_base", "_data", "_end", "_pos")

    def __init__(self, data: bytes | bytearray | memoryview, *, base: int = 0) -> None:
        self._data = data
        self._pos = 0
        self._end = len(data)
        self._base = base

    @property
    def offset(self) -> int:
        """Octets read so far, counted from the start of the message."""
        return self._base + self._pos

    @property
    def remaining(self) -> int:
        """Octets not yet read."""
        return self._end - self._pos

    def error(self, message: str) -> DecodeError:
        """Return (not raise) a ``DecodeError`` at the present offset."""
        return DecodeError(message, offset=self.offset)

    def _take(self, size: int) -> int:
        start = self._pos
        if size < 0 or self._end - start < size:
            raise self.error(f"{size} octets wanted, {self._end - start} left")
        self._pos = start + size
        return start

    def u8(self) -> int:
        start = self._pos
        if start >= self._end:
            raise self.error("1 octet wanted, 0 left")
        self._pos = start + 1
        return self._data[start]

    def peek(self) -> int:
        """Return the next octet without moving."""
        if self._pos >= self._end:
            raise self.error("1 octet wanted, 0 left")
        return self._data[self._pos]

    def uint(self, size: int) -> int:
        """Return an unsigned big-endian number of ``size`` octets."""
        return int.from_bytes(self.take(size), "big")

    def sint(self, size: int) -> int:
        """Return a signed big-endian number of ``size`` octets."""
        return int.from_bytes(self.take(size), "big", signed=True)

    def u16(self) -> int:
        return self.uint(2)

    def u32(self) -> int:
        return self.uint(4)

    def take(self, size: int) -> bytes:
        """Return the next ``size`` octets."""
        start = self._take(size)
        return bytes(self._data[start : start + size])

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(self.remaining)

    def sub(self, size: int) -> Reader:
        """Return a reader over the next ``size`` octets, with offsets of this message."""
        base = self.offset
        return Reader(self.take(size), base=base)

    def length(self) -> int:
        """Return a definite length (X.690 8.1.3, also A-XDR): 1 octet, or 81 to 84 and 1 to 4 more.

        The length is not checked against what is left: an array counts elements, not octets.
        """
        first = self.u8()
        if first < 0x80:
            return first
        size = first & 0x7F
        if not 1 <= size <= 4:  # 80 is indefinite; five octets would count over 4 GiB
            raise DecodeError("a length of 1 to 4 octets wanted", offset=self.offset - 1)
        return self.uint(size)

    def expect(self, value: int, what: str) -> None:
        """Read one octet that must be ``value``."""
        found = self.u8()
        if found != value:
            raise DecodeError(
                f"{what}: {value:02X} wanted, {found:02X} found", offset=self.offset - 1
            )

    def finish(self) -> None:
        """Raise ``DecodeError`` unless everything has been read."""
        if self.remaining:
            raise self.error(f"{self.remaining} octets too many")
