"""Elements of one kind as numpy arrays: many at once, with the values that the codecs give.

An array of elements comes out of a table as a view of the type that ``column_of`` gives, and its
conversion makes integers of 64 bits, floats or moments of it. Decimals become floats here; what is
no number is NaN, and what is no time is NaT, where a codec would refuse the whole table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from openami.c1222.tables.codecs import Codec, SInt, UInt
from openami.c1222.tables.formats import IntFormat, Order, TimeFormat
from openami.c1222.tables.numbers import BcdNumber, Characters, Fixed, Float, parsed
from openami.c1222.tables.times import DateTime

if TYPE_CHECKING:
    from collections.abc import Callable

Values = npt.NDArray[Any]
_NATIVE: Final = {1, 2, 4, 8}
_MARK: Final[dict[Order, str]] = {"little": "<", "big": ">"}
_BCD_MINUS, _BCD_SPACE, _BCD_POINT = 0xA, 0xB, 0xD
_PLAIN: Final = np.isin(np.arange(256), list(b" +-.0123456789"))
"""Characters with which numpy reads the numbers that a codec reads, and no others."""
_LAST_MINUTE: Final = int(np.datetime64("9999-12-31T23:59", "m").astype(np.int64))


@dataclass(frozen=True, slots=True)
class Column:
    """How an array of one element is viewed, and what is made of the view."""

    dtype: np.dtype[Any]
    convert: Callable[[Values], Values]


def column_of(codec: Codec) -> Column:
    """Return the column of a number or a time.

    Raises:
        TypeError: the codec is of neither.
    """
    for kind, column in _COLUMNS.items():
        if isinstance(codec, kind):
            return column(codec)
    raise TypeError(f"{type(codec).__name__} is no column")


def _octets(size: int) -> np.dtype[Any]:
    return np.dtype((np.uint8, (size,)))


def _unsigned(codec: Any) -> Column:
    if codec.size in _NATIVE:
        return Column(np.dtype(f"{_MARK[codec.order]}u{codec.size}"), _as_integers)
    return Column(_octets(codec.size), partial(_joined, order=codec.order))


def _signed(codec: Any) -> Column:
    if codec.size in _NATIVE and codec.form is IntFormat.TWOS_COMPLEMENT:
        return Column(np.dtype(f"{_MARK[codec.order]}i{codec.size}"), _as_integers)
    return Column(_octets(codec.size), partial(_with_sign, codec=codec))


def _as_integers(view: Values) -> Values:
    return view.astype(np.int64, order="C")


def _joined(view: Values, order: Order) -> Values:
    """Return octets as integers without a sign, of 64 bits as with one."""
    octets = view if order == "little" else view[..., ::-1]
    wide = np.zeros((*view.shape[:-1], 8), np.uint8)
    wide[..., : view.shape[-1]] = octets
    return wide.view("<i8")[..., 0].astype(np.int64)


def _with_sign(view: Values, codec: SInt) -> Values:
    sign = np.int64(1) << np.int64(8 * codec.size - 1)
    number = _joined(view, codec.order)
    if codec.size < 8:
        number = (number ^ sign) - sign
    if codec.form is IntFormat.TWOS_COMPLEMENT:
        return number
    if codec.form is IntFormat.ONES_COMPLEMENT:
        return np.where(number < 0, number + 1, number)
    magnitude = number & np.int64((1 << (8 * codec.size - 1)) - 1)
    return np.where(number < 0, -magnitude, number)


def _float(codec: Any) -> Column:
    return Column(np.dtype(f"{_MARK[codec.order]}f{codec.size}"), _as_floats)


def _as_floats(view: Values) -> Values:
    return view.astype(np.float64, order="C")


def _fixed(codec: Any) -> Column:
    integer = _signed(codec.integer)
    return Column(integer.dtype, lambda view: integer.convert(view) / 10_000)


def _characters(codec: Any) -> Column:
    return Column(np.dtype(f"S{codec.size}"), _parsed)


def _parsed(view: Values) -> Values:
    if _PLAIN[np.frombuffer(view.tobytes(), np.uint8)].all():
        try:
            return view.astype(np.float64)
        except ValueError:  # some are blank, or none
            pass
    found = [_number(octets) for octets in view.reshape(-1).tolist()]
    return np.array(found, np.float64).reshape(view.shape)


def _number(octets: bytes) -> float:
    try:
        number = parsed(octets.decode("ascii"))
    except ValueError:
        return np.nan
    return np.nan if number is None else float(number)


def _bcd(codec: Any) -> Column:
    return Column(_octets(codec.size), _from_bcd)


def _from_bcd(view: Values) -> Values:
    """Return what BCD digits say: spaces, a minus, digits with one point or none, spaces."""
    nibbles = np.stack((view >> 4, view & 0x0F), axis=-1)
    nibbles = nibbles.reshape(*view.shape[:-1], 2 * view.shape[-1])
    is_digit = nibbles < 10
    value = np.zeros(view.shape[:-1])
    decimals = np.zeros(view.shape[:-1])
    points = np.zeros(view.shape[:-1], np.int64)
    plain = np.ones(view.shape[:-1], bool)  # nothing yet that has no place where it stands
    begun = np.zeros(view.shape[:-1], bool)
    ended = np.zeros(view.shape[:-1], bool)
    for place in range(nibbles.shape[-1]):  # over digits, not over elements
        nibble, digit = nibbles[..., place], is_digit[..., place]
        space, point = nibble == _BCD_SPACE, nibble == _BCD_POINT
        minus = nibble == _BCD_MINUS
        ended |= begun & space
        plain &= (space | digit | point | minus) & ~(ended & ~space) & ~(minus & begun)
        begun |= ~space
        points += point
        value = np.where(digit, value * 10 + nibble, value)
        decimals += digit & (points > 0)
    plain &= (points < 2) & is_digit.any(axis=-1)
    sign = np.where((nibbles == _BCD_MINUS).any(axis=-1), -1.0, 1.0)
    return np.where(plain, sign * value / 10.0**decimals, np.nan)


def _time(codec: Any) -> Column:
    if codec.form is TimeFormat.NONE:
        return Column(_octets(0), lambda view: np.full(view.shape[:-1], "NaT", "M8[s]"))
    if codec.form in {TimeFormat.BCD, TimeFormat.UINT8}:
        return Column(_octets(codec.size), partial(_from_clock, form=codec.form))
    counted = np.dtype(f"{_MARK[codec.order]}u4")
    if codec.form is TimeFormat.SECONDS:
        return Column(counted, lambda view: view.astype(np.int64).astype("M8[s]"))
    if codec.size == 4:
        return Column(counted, _from_minutes)
    parts = np.dtype([("minutes", counted), ("seconds", "u1")])
    return Column(parts, lambda view: _from_minutes(view["minutes"], view["seconds"]))


def _from_minutes(minutes: Values, seconds: Values | int = 0) -> Values:
    count = minutes.astype(np.int64)
    wrong = (count > _LAST_MINUTE) | (np.asarray(seconds) > 59)
    return np.where(wrong, np.datetime64("NaT", "s"), (count * 60 + seconds).astype("M8[s]"))


def _calendar() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first second of each month less a day, and its days, for years of two digits.

    The month of year 25 and number 6 is the element 25 * 12 + 6.
    """
    year = np.arange(_YEARS)
    months = np.where(year >= 90, year - 70, year + 30)[:, None] * 12 + np.arange(-1, 11)
    months = np.append(months.reshape(-1), months[-1, -1] + 1).astype("M8[M]")
    days = months.astype("M8[D]")
    length = ((months + 1).astype("M8[D]") - days).astype(np.int64)
    return (days.astype(np.int64) - 1) * _DAY, length


_YEARS: Final = 100
_DAY: Final = 86400
_MONTH_STARTS, _MONTH_DAYS = _calendar()
_DIGITS: Final = np.array(
    [high * 10 + low if high < 10 and low < 10 else 255 for high in range(16) for low in range(16)]
)
"""What two BCD digits say; 255, which no part of a time is, where they are none."""
_LOWEST: Final = np.array((0, 1, 1, 0, 0, 0))
_HIGHEST: Final = np.array((_YEARS - 1, 12, 31, 23, 59, 59))
_SECONDS: Final = np.array((_DAY, 3600, 60, 1))


def _from_clock(view: Values, form: TimeFormat) -> Values:
    numbers = _DIGITS[view] if form is TimeFormat.BCD else view.astype(np.int64)
    size = view.shape[-1]
    right = ((numbers >= _LOWEST[:size]) & (numbers <= _HIGHEST[:size])).all(axis=-1)
    month = np.where(right, numbers[..., 0] * 12 + numbers[..., 1], 0)
    seconds = _MONTH_STARTS[month] + numbers[..., 2:] @ _SECONDS[: size - 2]
    right &= numbers[..., 2] <= _MONTH_DAYS[month]
    return np.where(right, seconds.astype("M8[s]"), np.datetime64("NaT", "s"))


_COLUMNS: Final[dict[type[Codec], Callable[[Any], Column]]] = {
    UInt: _unsigned,
    SInt: _signed,
    Float: _float,
    Fixed: _fixed,
    Characters: _characters,
    BcdNumber: _bcd,
    DateTime: _time,
}
