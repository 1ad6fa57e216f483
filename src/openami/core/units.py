"""Physical units of the COSEM enumeration (Blue Book, table of units) and exact quantities."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final


class Unit(IntEnum):
    """Codes of the units that electricity meters use."""

    YEAR = 1
    MONTH = 2
    WEEK = 3
    DAY = 4
    HOUR = 5
    MINUTE = 6
    SECOND = 7
    DEGREE = 8
    DEGREE_CELSIUS = 9
    W = 27
    VA = 28
    VAR = 29
    WH = 30
    VAH = 31
    VARH = 32
    A = 33
    C = 34
    V = 35
    V_PER_M = 36
    F = 37
    OHM = 38
    HZ = 44
    PULSES = 45
    PERCENT = 56
    AH = 57
    COUNT = 255


SYMBOLS: Final[dict[Unit, str]] = {
    Unit.YEAR: "a", Unit.MONTH: "mo", Unit.WEEK: "wk", Unit.DAY: "d", Unit.HOUR: "h",
    Unit.MINUTE: "min", Unit.SECOND: "s", Unit.DEGREE: "°", Unit.DEGREE_CELSIUS: "°C",
    Unit.W: "W", Unit.VA: "VA", Unit.VAR: "var", Unit.WH: "Wh", Unit.VAH: "VAh",
    Unit.VARH: "varh", Unit.A: "A", Unit.C: "C", Unit.V: "V", Unit.V_PER_M: "V/m", Unit.F: "F",
    Unit.OHM: "Ω", Unit.HZ: "Hz", Unit.PULSES: "1/(Wh, varh, VAh)", Unit.PERCENT: "%",
    Unit.AH: "Ah", Unit.COUNT: "",
}  # fmt: skip


def symbol(code: int) -> str:
    """Return the symbol of a unit code; an unlisted code gives ``unit N``."""
    try:
        return SYMBOLS[Unit(code)]
    except ValueError:
        return f"unit {code}"


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact value: ``value`` times ten to the power of ``scaler``, in ``unit``."""

    value: int
    scaler: int
    unit: int

    def decimal(self) -> Decimal:
        """Return the exact value in the unit."""
        return Decimal(self.value).scaleb(self.scaler)

    def __str__(self) -> str:
        number = format(self.decimal(), "f")
        return f"{number} {symbol(self.unit)}".rstrip()
