"""The conformance block: what the services of an association may use (Green Book 9.4.6.1)."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from openami.wire.reader import Reader
    from openami.wire.writer import Writer

_BITS: Final = 24


def _bit(number: int) -> int:
    return 1 << (_BITS - 1 - number)


class Conformance(IntFlag):
    """The 24 bits; bit 0 is the most significant."""

    GENERAL_PROTECTION = _bit(1)
    GENERAL_BLOCK_TRANSFER = _bit(2)
    READ = _bit(3)
    WRITE = _bit(4)
    UNCONFIRMED_WRITE = _bit(5)
    ATTRIBUTE_0_WITH_SET = _bit(8)
    PRIORITY_MANAGEMENT = _bit(9)
    ATTRIBUTE_0_WITH_GET = _bit(10)
    BLOCK_TRANSFER_WITH_GET = _bit(11)
    BLOCK_TRANSFER_WITH_SET = _bit(12)
    BLOCK_TRANSFER_WITH_ACTION = _bit(13)
    MULTIPLE_REFERENCES = _bit(14)
    INFORMATION_REPORT = _bit(15)
    DATA_NOTIFICATION = _bit(16)
    ACCESS = _bit(17)
    PARAMETERIZED_ACCESS = _bit(18)
    GET = _bit(19)
    SET = _bit(20)
    SELECTIVE_ACCESS = _bit(21)
    EVENT_NOTIFICATION = _bit(22)
    ACTION = _bit(23)

    @property
    def octets(self) -> bytes:
        """The block as the three octets of a bit-string."""
        return int(self).to_bytes(3, "big")

    def names(self) -> tuple[str, ...]:
        """Return the standard's names of the bits that are set, in its order."""
        return tuple(
            bit.name.lower().replace("_", "-")
            for bit in sorted(Conformance, reverse=True)
            if bit in self and bit.name
        )


def write_conformance(w: Writer, conformance: Conformance) -> None:
    """Write ``[APPLICATION 31] IMPLICIT BIT STRING`` in BER, as A-XDR's only such element."""
    w.raw(b"\x5f\x1f\x04\x00").raw(conformance.octets)


def read_conformance(r: Reader) -> Conformance:
    """Read what ``write_conformance`` writes, also with the one-octet tag of old devices.

    Raises:
        DecodeError: it is something else.
    """
    r.expect(0x5F, "conformance block")
    if r.peek() == 0x1F:  # IEC 61334-6 devices wrote the tag in one octet
        r.u8()
    r.expect(0x04, "length of the conformance block")
    r.expect(0x00, "unused bits of the conformance block")
    return Conformance(r.uint(3))
