"""How a device writes numbers, characters and times: the formats of ST-00 (C12.19, GEN_CONFIG)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class CharFormat(IntEnum):
    """How characters are written."""

    ASCII = 1
    LATIN_1 = 2
    UTF_8 = 3
    UTF_16 = 4
    UTF_32 = 5


class TimeFormat(IntEnum):
    """How times are written."""

    NONE = 0
    BCD = 1
    UINT8 = 2
    MINUTES = 3
    SECONDS = 4


class IntFormat(IntEnum):
    """How integers with a sign are written."""

    TWOS_COMPLEMENT = 0
    ONES_COMPLEMENT = 1
    SIGN_MAGNITUDE = 2


class NiFormat(IntEnum):
    """How non-integers are written: the formats of NI_FORMAT1 and NI_FORMAT2."""

    FLOAT64 = 0
    FLOAT32 = 1
    CHAR12 = 2
    CHAR6 = 3
    INT32_4_DECIMALS = 4
    BCD6 = 5
    BCD4 = 6
    INT24 = 7
    INT32 = 8
    INT40 = 9
    INT48 = 10
    INT64 = 11
    BCD8 = 12
    CHAR21 = 13


Order = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of one device.

    Attributes:
        order: of the octets of numbers; DATA_ORDER 0 is "little".
        char: how characters are written; a number that the standard has not is kept, and text in
            it is read octet by octet.
        time: how times are written.
        integer: how integers with a sign are written.
        ni1: what ``ni1`` is.
        ni2: what ``ni2`` is.
        bcd_ids: identifiers are BCD digits instead of characters.
    """

    order: Order = "little"
    char: int = CharFormat.ASCII
    time: TimeFormat = TimeFormat.UINT8
    integer: IntFormat = IntFormat.TWOS_COMPLEMENT
    ni1: NiFormat = NiFormat.INT48
    ni2: NiFormat = NiFormat.INT32
    bcd_ids: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Return the formats that the values of ST-00 say.

        Raises:
            ValueError: they say a format that the standard does not have.
        """
        chars, numbers, others = (config[f"FORMAT_CONTROL_{number}"] for number in (1, 2, 3))
        return cls(
            order="big" if chars["DATA_ORDER"] else "little",
            char=chars["CHAR_FORMAT"],
            time=TimeFormat(numbers["TM_FORMAT"]),
            integer=IntFormat(numbers["INT_FORMAT"]),
            ni1=NiFormat(others["NI_FORMAT1"]),
            ni2=NiFormat(others["NI_FORMAT2"]),
            bcd_ids=bool(numbers["ID_FORM"]),
        )
