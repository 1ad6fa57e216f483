"""HDLC addresses (IEC 62056-46, 6.4.2): 1, 2 or 4 octets, the last marked by its lowest bit.

=====  ===================  ===================
octets  upper (device)       lower (station)
=====  ===================  ===================
1      7 bits               none
2      7 bits               7 bits
4      14 bits              14 bits
=====  ===================  ===================

The upper part names a logical device, the lower part a station on a multi-drop line. A client's
address always has one octet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.wire.reader import Reader

NO_STATION: Final = 0x00
CLIENT_MANAGEMENT: Final = 0x01
CLIENT_PUBLIC: Final = 0x10
SERVER_MANAGEMENT: Final = 0x01

_PART_BITS: Final[Mapping[int, int]] = {1: 7, 2: 7, 4: 14}


@dataclass(frozen=True, slots=True)
class HdlcAddress:
    """One address, in one of its forms.

    Args:
        upper: the logical device, or the client's SAP.
        lower: the station; None in the form of one octet, and only there.
        size: octets on the line: 1, 2 or 4.

    Raises:
        ValueError: the parts don't fit the form.
    """

    upper: int
    lower: int | None = None
    size: int = 1

    def __post_init__(self) -> None:
        if self.size not in _PART_BITS:
            raise ValueError("an HDLC address has 1, 2 or 4 octets")
        if (self.lower is None) != (self.size == 1):
            raise ValueError("an HDLC address of 2 or 4 octets has a lower part, one of 1 has none")
        for part in (self.upper, self.lower or 0):
            if not 0 <= part <= self.all_stations:
                raise ValueError(f"{part} does not fit an HDLC address of {self.size} octets")

    @classmethod
    def server(cls, upper: int, lower: int | None = None, *, size: int | None = None) -> Self:
        """Return a server's address in the given form, or in the shortest that holds it.

        Raises:
            ValueError: the parts don't fit the form.
        """
        if size is None:
            short = max(upper, lower or 0) <= _largest(2)
            size = 1 if lower is None else 2 if short else 4
        return cls(upper, lower, size)

    @property
    def all_stations(self) -> int:
        """The value that means every device or station in this form (7F or 3FFF)."""
        return _largest(self.size)

    @property
    def calling(self) -> int:
        """The lower part of a device that calls without an address of its own (7E or 3FFE)."""
        return _largest(self.size) - 1

    @property
    def is_broadcast(self) -> bool:
        """Whether more than one device or station is meant."""
        return self.all_stations in (self.upper, self.lower)

    def encode(self) -> bytes:
        if self.lower is None:
            return bytes((self.upper << 1 | 1,))
        if self.size == 2:
            return bytes((self.upper << 1, self.lower << 1 | 1))
        return bytes(
            (
                self.upper >> 6 & 0xFE,
                self.upper << 1 & 0xFE,
                self.lower >> 6 & 0xFE,
                self.lower << 1 & 0xFE | 1,
            )
        )

    @classmethod
    def decode(cls, r: Reader) -> Self:
        """Read one address.

        Raises:
            DecodeError: it has 3 octets or more than 4, or is cut off.
        """
        start = r.offset
        octets: list[int] = []
        while len(octets) < 4:
            octets.append(r.u8())
            if octets[-1] & 1:
                break
        if not octets[-1] & 1 or len(octets) not in _PART_BITS:
            raise DecodeError("an HDLC address of 1, 2 or 4 octets wanted", offset=start)
        parts = [octet >> 1 for octet in octets]
        if len(parts) == 1:
            return cls(parts[0])
        if len(parts) == 2:
            return cls(parts[0], parts[1], 2)
        return cls(parts[0] << 7 | parts[1], parts[2] << 7 | parts[3], 4)


def _largest(size: int) -> int:
    return (1 << _PART_BITS[size]) - 1
