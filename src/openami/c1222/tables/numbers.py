"""Non-integers of tables (C12.19, NI_FORMAT1 and NI_FORMAT2), exact wherever they are written so.

Integers stay integers, decimals of characters and BCD digits become ``Decimal``, and only what is
a float on the wire is a float. Characters or digits that are all spaces are no number: None.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from openami.c1222.tables.codecs import Codec, SInt, bcd_characters, bcd_octets, typed
from openami.c1222.tables.formats import Formats, NiFormat, Order

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[Ee][+-]?[0-9]{1,3})?")
_LEADING_ZERO: Final = re.compile(r"^(-?)0\.")
_MAX_DIGITS: Final = 64
"""Before and after the point, of what is written out: no format holds as many."""
_DECIMALS: Final = 4


@dataclass(frozen=True, slots=True)
class Float(Codec):
    """A float of IEEE 754."""

    size: int
    order: Order

    @property
    def _form(self) -> str:
        return ("<" if self.order == "little" else ">") + ("d" if self.size == 8 else "f")

    def decode(self, octets: bytes) -> float:
        return float(struct.unpack(self._form, octets)[0])

    def encode(self, value: Any) -> bytes:
        number = float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        return struct.pack(self._form, typed(number, float))

    def to_json(self, value: Any) -> float | str:
        number = typed(value, float)
        return number if math.isfinite(number) else str(number)

    def from_json(self, value: Any) -> Any:
        return float(value) if isinstance(value, str) else value


class _Decimals(Codec):
    __slots__ = ()

    def to_json(self, value: Any) -> str | None:
        return None if value is None else str(value)

    def from_json(self, value: Any) -> Decimal | None:
        return None if value is None else parsed(typed(value, str))


@dataclass(frozen=True, slots=True)
class Fixed(_Decimals):
    """An integer of 32 bits with four decimals that are not written."""

    size: int
    integer: SInt

    def decode(self, octets: bytes) -> Decimal:
        return Decimal(self.integer.decode(octets)).scaleb(-_DECIMALS)

    def encode(self, value: Any) -> bytes:
        shifted = bounded(value).scaleb(_DECIMALS)
        if shifted != shifted.to_integral_value():
            raise ValueError(f"{value} has more than {_DECIMALS} decimals")
        return self.integer.encode(int(shifted))


@dataclass(frozen=True, slots=True)
class Characters(_Decimals):
    """A number in characters, with spaces before it or after it."""

    size: int

    def decode(self, octets: bytes) -> Decimal | None:
        return parsed(octets.decode("ascii"))

    def encode(self, value: Any) -> bytes:
        return written(value, self.size).encode("ascii")


@dataclass(frozen=True, slots=True)
class BcdNumber(_Decimals):
    """A number in BCD digits."""

    size: int

    def decode(self, octets: bytes) -> Decimal | None:
        return parsed(bcd_characters(octets))

    def encode(self, value: Any) -> bytes:
        return bcd_octets(written(value, 2 * self.size), self.size)


def parsed(text: str) -> Decimal | None:
    """Return the number in ``text``; None if that is blank."""
    digits = text.strip(" \0")
    if digits and not _NUMBER.fullmatch(digits):
        raise ValueError(f"no number: {text!r}")
    return bounded(Decimal(digits)) if digits else None


def bounded(value: Any) -> Decimal:
    """Return a finite number of few digits as a ``Decimal``."""
    number = value if isinstance(value, Decimal) else Decimal(typed(value, int))
    if not number.is_finite() or not -_MAX_DIGITS < number.adjusted() < _MAX_DIGITS:
        raise ValueError(f"{number:.3E} has no place in a table")
    return number


def written(value: Any, width: int) -> str:
    """Return a number written out, in so many characters; None is blank."""
    forms = [""] if value is None else _forms(bounded(value))
    fitting = [text for text in forms if len(text) <= width]
    if not fitting:
        raise ValueError(f"{value} is longer than {width} characters")
    return fitting[0].rjust(width)


def _forms(number: Decimal) -> list[str]:
    """Return a number written out, without a zero before its point, and with an exponent."""
    plain = format(number, "f")
    sign, digits, exponent = number.as_tuple()
    mantissa = ("-" if sign else "") + "".join(map(str, digits))
    return [plain, _LEADING_ZERO.sub(r"\1.", plain), f"{mantissa}E{exponent}"]


_FLOATS: Final = {NiFormat.FLOAT64: 8, NiFormat.FLOAT32: 4}
_CHARACTERS: Final = {NiFormat.CHAR12: 12, NiFormat.CHAR6: 6, NiFormat.CHAR21: 21}
_BCD: Final = {NiFormat.BCD6: 6, NiFormat.BCD4: 4, NiFormat.BCD8: 8}
_INTEGERS: Final = {
    NiFormat.INT24: 3,
    NiFormat.INT32: 4,
    NiFormat.INT40: 5,
    NiFormat.INT48: 6,
    NiFormat.INT64: 8,
}


def non_integer(form: NiFormat, formats: Formats) -> Codec:
    """Return the codec of a format."""
    if form in _FLOATS:
        return Float(_FLOATS[form], formats.order)
    if form in _CHARACTERS:
        return Characters(_CHARACTERS[form])
    if form in _BCD:
        return BcdNumber(_BCD[form])
    if form in _INTEGERS:
        return SInt(_INTEGERS[form], formats.order, formats.integer)
    return Fixed(4, SInt(4, formats.order, formats.integer))
