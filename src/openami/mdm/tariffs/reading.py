"""A parsed TOML table, read key by key: what is wrong is said with its place."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

# The dearest power of the world in its smallest currency has fewer digits.
MAX_DIGITS: Final = 12
MAX_PLACES: Final = 6
# A title or a source stands on a line or two of a bill.
MAX_TEXT: Final = 400
# Charges, rows, steps, hours: the largest tariffs known have some dozens of each.
MAX_ITEMS: Final = 256


def refuse(where: str, reason: str, code: str, hint: str | None = None) -> NoReturn:
    """Raise ConfigError with the place before the reason."""
    raise ConfigError(f"{where}: {reason}", code=code, hint=hint)


class Table:
    """One table of a tariff's file; ``done`` refuses keys that nobody has asked for.

    All methods raise ConfigError: ``tariff.field`` where a key is missing, unknown or of another
    type, ``tariff.value`` where it can not have that value.
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self._values = values
        self._asked: set[str] = set()

    def place(self, key: str) -> str:
        """Return where a key stands."""
        return f"{self.where}.{key}" if self.where else key

    def has(self, key: str) -> bool:
        return key in self._values

    def keys(self) -> Iterator[str]:
        """Yield the keys of a table whose keys are names."""
        self._asked.update(self._values)
        yield from self._values

    def done(self) -> None:
        """Refuse keys that nobody has asked for."""
        unknown = sorted(set(self._values) - self._asked)
        if unknown:
            known = ", ".join(sorted(self._asked))
            refuse(self.place(unknown[0]), "is not known", "tariff.field", f"there are: {known}")

    def _value(self, key: str, kind: type | tuple[type, ...], called: str) -> Any:
        self._asked.add(key)
        if key not in self._values:
            refuse(self.place(key), f"is missing; it is {called}", "tariff.field")
        value = self._values[key]
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            refuse(self.place(key), f"is not {called}", "tariff.field")
        return value

    def text(self, key: str) -> str:
        value: str = self._value(key, str, "a text")
        if not value or len(value) > MAX_TEXT or not value.isprintable():
            refuse(self.place(key), f"has 1 to {MAX_TEXT} printable characters", "tariff.value")
        return value

    def optional(self, key: str) -> str | None:
        self._asked.add(key)
        return self.text(key) if key in self._values else None

    def word(self, key: str, words: Collection[str], default: str | None = None) -> str:
        """Return a text that is one of ``words``."""
        self._asked.add(key)
        if default is not None and key not in self._values:
            return default
        value = self.text(key)
        if value not in words:
            refuse(self.place(key), f"{value!r} is none of {', '.join(words)}", "tariff.value")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        self._asked.add(key)
        return self._value(key, bool, "true or false") if key in self._values else default

    def whole(self, key: str) -> int:
        value: int = self._value(key, int, "a whole number")
        if not 0 < value < 10**9:
            refuse(self.place(key), "is 1 or more", "tariff.value")
        return value

    def day(self, key: str) -> date:
        value: date = self._value(key, date, "a date such as 2024-07-01")
        if isinstance(value, datetime):
            refuse(self.place(key), "is a date without a time", "tariff.field")
        return value

    def number(self, key: str, *, least: int | None = 0) -> Decimal:
        """Return an exact number; ``least`` None: it may be negative."""
        value = self._value(key, (str, int), 'a number as a text, such as "214.6", or a whole one')
        return exact(self.place(key), value, least)

    def names(
        self, key: str, known: Collection[str], default: Collection[str] | None = None
    ) -> Any:
        """Return a list of names, each of ``known`` and there once."""
        self._asked.add(key)
        if default is not None and key not in self._values:
            return tuple(default)
        values = self._list(key, "a list of names")
        for value in values:
            if value not in known:
                refuse(self.place(key), f"{value!r} is not known", "tariff.reference")
        if len(set(values)) < len(values) or not values:
            refuse(self.place(key), "has each name once, and one at least", "tariff.value")
        return tuple(values)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; none, if the key is not there."""
        self._asked.add(key)
        values = self._list(key, "a list of texts") if key in self._values else []
        return tuple(
            Table(self.place(key), {str(at): v}).text(str(at)) for at, v in enumerate(values)
        )

    def days(self, key: str) -> frozenset[date]:
        """Return a list of dates; none, if the key is not there."""
        self._asked.add(key)
        values = self._list(key, "a list of dates") if key in self._values else []
        return frozenset(
            Table(self.place(key), {str(at): v}).day(str(at)) for at, v in enumerate(values)
        )

    def months(self, key: str) -> frozenset[int]:
        values = self._list(key, "a list of months")
        if not all(type(value) is int and 1 <= value <= 12 for value in values):
            refuse(self.place(key), "has months from 1 to 12", "tariff.value")
        return frozenset(values)

    def table(self, key: str) -> Table:
        return Table(self.place(key), self._value(key, dict, "a table"))

    def tables(self, key: str, *, needed: bool = True) -> list[Table]:
        """Return a list of tables."""
        self._asked.add(key)
        if not needed and key not in self._values:
            return []
        values = self._list(key, "a list of tables")
        if not values:
            refuse(self.place(key), "has one at least", "tariff.value")
        for at, value in enumerate(values):
            if not isinstance(value, dict):
                refuse(f"{self.place(key)}[{at}]", "is not a table", "tariff.field")
        return [Table(f"{self.place(key)}[{at}]", value) for at, value in enumerate(values)]

    def _list(self, key: str, called: str) -> list[Any]:
        values: list[Any] = self._value(key, list, called)
        if len(values) > MAX_ITEMS:
            refuse(self.place(key), f"has at most {MAX_ITEMS}", "tariff.value")
        return values


def exact(where: str, value: str | int, least: int | None = 0) -> Decimal:
    """Return a number with a bounded number of digits; ConfigError ``tariff.value``."""
    try:
        number = Decimal(value)
        fits = abs(number) < 10**MAX_DIGITS and number == round(number, MAX_PLACES)
    except ArithmeticError:
        refuse(where, f"{str(value)[:40]!r} is no number", "tariff.value")
    if not fits:
        reason = f"has at most {MAX_DIGITS} digits before and {MAX_PLACES} after the point"
        refuse(where, reason, "tariff.value")
    if least is not None and number < least:
        refuse(where, f"is {least} or more", "tariff.value")
    return number.normalize() + 0
