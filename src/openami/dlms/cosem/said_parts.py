"""What the values of ``said`` are checked by and made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from openami.core.errors import DecodeError
from openami.dlms import data as d
from openami.dlms.data import Data, DataType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

MAX_LANGUAGES: Final = 4
MAX_TEXT: Final = 200
"""Characters of a text in one language: four lines on a wall tablet."""
SCALERS: Final = 9
"""Of a decimal number, to either side: nano to giga."""
U32: Final = (1 << 32) - 1
U64: Final = (1 << 64) - 1
_MANTISSA: Final = (1 << 63) - 1
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")

T = TypeVar("T")


def within(what: str, value: int, least: int, most: int) -> None:
    """Check a number; raises ``ValueError``."""
    if not least <= value <= most:
        raise ValueError(f"{what}: {least} to {most}")


def token(what: str, text: str, most: int) -> str:
    """Return ``text`` if it is a name without spaces; raises ``ValueError``."""
    if len(text) > most or not _TOKEN.fullmatch(text):
        raise ValueError(f"{what} has 1 to {most} printable characters of ASCII, and no spaces")
    return text


def check_texts(texts: Mapping[str, str]) -> None:
    """Check texts by their languages; raises ``ValueError``."""
    within("languages", len(texts), 0, MAX_LANGUAGES)
    for language, text in texts.items():
        if not _LANGUAGE.fullmatch(language):
            raise ValueError("a language has two or three small letters")
        within("the length of a text", len(text), 0, MAX_TEXT)


def distinct(what: str, names: list[str], most: int) -> None:
    """Check that no name comes twice; raises ``ValueError``."""
    within(what, len(names), 0, most)
    if len(set(names)) < len(names):
        raise ValueError(f"{what} of different ids wanted")


def number_of(value: Decimal) -> tuple[int, int]:
    """Return a number's mantissa and scaler."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or abs(exponent) > SCALERS:
        raise ValueError(f"a value with at most {SCALERS} decimal places wanted")
    mantissa = int("".join(map(str, digits)) or "0")
    within("a value's digits, as a number", mantissa, 0, _MANTISSA)
    return -mantissa if sign else mantissa, exponent


def checked(make: Callable[[], T]) -> T:
    """Return what ``make`` makes; its ``ValueError`` becomes ``DecodeError``."""
    try:
        return make()
    except ValueError as error:
        raise DecodeError(str(error)) from None


def decimal(value: Decimal) -> tuple[Data, Data]:
    """Return a number's mantissa and scaler as data."""
    mantissa, exponent = number_of(value)
    return d.i64(mantissa), d.i8(exponent)


def texts_data(texts: Mapping[str, str]) -> Data:
    """Return texts by their languages as data."""
    return d.array(*(d.structure(d.visible(name), d.utf8(text)) for name, text in texts.items()))


def texts_of(data: Data) -> Mapping[str, str]:
    """Decode what ``texts_data`` returned; raises ``DecodeError``."""
    pairs = [item.items(2) for item in some(data, MAX_LANGUAGES)]
    return {name.text(): text.text() for name, text in pairs}


def some(data: Data, most: int) -> tuple[Data, ...]:
    """Return the elements of an array of at most ``most``; raises ``DecodeError``."""
    if data.type is not DataType.ARRAY:
        raise DecodeError("an array wanted")
    items = data.items()
    if len(items) > most:
        raise DecodeError(f"at most {most} elements wanted, {len(items)} found")
    return items


def truth(data: Data) -> bool:
    """Decode a boolean; raises ``DecodeError``."""
    if data.type is not DataType.BOOLEAN:
        raise DecodeError("a boolean wanted")
    return bool(data.value)


def member(members: tuple[T, ...], data: Data) -> T:
    """Return the member of a number; raises ``DecodeError``."""
    number = data.integer()
    if not 0 <= number < len(members):
        raise DecodeError(f"a number from 0 to {len(members) - 1} wanted")
    return members[number]
