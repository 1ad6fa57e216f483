"""Which table: standard or the manufacturer's, in force or pending."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from openami.core.errors import ConfigError

MAX_NUMBER: Final = 0x7FF
"""A table's number has eleven bits."""
_MANUFACTURER: Final = 0x0800
_PENDING: Final = 0x1000
_NAME: Final = re.compile(r"(PENDING )?(ST|MT)([0-9]{1,4})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class TableId:
    """A table's number as C12.22 names it: ``ST23``, ``MT5``, ``PENDING ST54``."""

    number: int
    manufacturer: bool = False
    pending: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.number <= MAX_NUMBER:
            raise ConfigError(f"a table's number is 0 to {MAX_NUMBER}", code="c1219.table")

    def __str__(self) -> str:
        pending = "PENDING " if self.pending else ""
        return f"{pending}{'MT' if self.manufacturer else 'ST'}{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the table that ``text`` names.

        Raises:
            ConfigError: it names none.
        """
        match = _NAME.fullmatch(text)
        if match is None:
            raise ConfigError(f"no table: {text!r}", hint="ST23, MT5", code="c1219.table")
        return cls(int(match[3]), match[2].upper() == "MT", match[1] is not None)

    @classmethod
    def from_octets(cls, number: int) -> Self:
        """Return the table of a number of sixteen bits; those that have no meaning are ignored."""
        return cls(number & MAX_NUMBER, bool(number & _MANUFACTURER), bool(number & _PENDING))

    @property
    def wire(self) -> int:
        """The number of sixteen bits."""
        return self.number | _MANUFACTURER * self.manufacturer | _PENDING * self.pending

    @property
    def active(self) -> Self:
        """The same table in force."""
        return replace(self, pending=False)


def standard(number: int) -> TableId:
    """Return a standard table."""
    return TableId(number)
