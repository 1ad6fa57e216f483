"""What an OBIS code means, in words (IEC 62056-61; Blue Book, OBIS of electricity and abstract).

Electricity codes are put together from their value groups, so that every code of the scheme has a
name; abstract objects and codes with a name of their own stand in a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.core.obis import Obis

# Value group C of the totals; a phase has the same at 20, 40 or 60 more.
_TOTALS: Final[Mapping[int, str]] = {
    1: "active import", 2: "active export", 3: "reactive import", 4: "reactive export",
    5: "reactive quadrant 1", 6: "reactive quadrant 2", 7: "reactive quadrant 3",
    8: "reactive quadrant 4", 9: "apparent import", 10: "apparent export", 11: "current",
    12: "voltage", 13: "power factor", 14: "frequency", 15: "active, absolute sum",
    16: "active, net", 17: "active quadrant 1", 18: "active quadrant 2", 19: "active quadrant 3",
    20: "active quadrant 4",
}  # fmt: skip
_OTHERS: Final[Mapping[int, str]] = {
    81: "angle", 82: "pulses", 83: "losses", 91: "current N", 92: "voltage N",
}  # fmt: skip
_ENERGIES: Final = frozenset({*range(1, 11), *range(15, 21)})

# Value group D: how the quantity was processed.
_PROCESSING: Final[Mapping[int, str]] = {
    0: "billing period average", 1: "cumulative minimum", 2: "cumulative maximum", 3: "minimum",
    4: "average, running period", 5: "average, last period", 6: "maximum", 7: "now",
    8: "energy", 9: "energy of the billing period", 10: "energy since the last but one period",
    24: "average 3, running", 25: "average 3, last", 27: "average 5, running",
    28: "average 5, last", 29: "energy of the interval", 30: "energy of the long interval",
    31: "lower limit", 32: "count below the limit", 33: "time below the limit",
    34: "depth below the limit", 35: "upper limit", 36: "count above the limit",
    37: "time above the limit", 38: "height above the limit", 39: "limit for missing",
    40: "count of missing", 41: "time missing",
}  # fmt: skip
_OCCURRENCES: Final[Mapping[int, str]] = {32: "sags", 36: "swells"}
_ENERGY_PROCESSING: Final = frozenset({8, 9, 10, 29, 30})
_VOLTAGE: Final = 12

# Value group E of what is measured now: harmonics, and angles by the two phasors between which they
# are.
_NOW: Final = 7
_ANGLE: Final = 81
_HARMONICS: Final[Mapping[int, str]] = {1: "fundamental", 124: "distortion"}
_PHASORS: Final[Mapping[int, str]] = {
    0: "U L1", 1: "U L2", 2: "U L3", 4: "I L1", 5: "I L2", 6: "I L3", 7: "I N",
}  # fmt: skip

# Codes with a name of their own, without group F; None stands for any value of that group.
_NAMED: Final[Mapping[tuple[int, int | None, int, int, int | None], str]] = {
    (0, None, 0, 1, 0): "billing period counter",
    (0, None, 0, 1, 2): "end of the last billing period",
    (0, None, 1, 0, None): "clock",
    (0, None, 10, 0, 0): "script: meter reset",
    (0, None, 10, 0, 1): "script: end of billing period",
    (0, None, 10, 0, 100): "script: tariff",
    (0, None, 10, 0, 106): "script: disconnect control",
    (0, None, 10, 0, 107): "script: image activation",
    (0, None, 10, 0, 108): "script: push",
    (0, None, 11, 0, None): "special days",
    (0, None, 12, 0, None): "schedule",
    (0, None, 13, 0, None): "activity calendar",
    (0, None, 14, 0, None): "register activation",
    (0, None, 15, 0, 0): "schedule: end of billing period",
    (0, None, 15, 0, 1): "schedule: disconnect control",
    (0, None, 15, 0, 2): "schedule: image activation",
    (0, None, 16, 0, None): "register monitor",
    (0, None, 16, 1, None): "alarm monitor",
    (0, None, 17, 0, None): "limiter",
    (0, None, 20, 0, None): "optical port set-up",
    (0, None, 22, 0, None): "HDLC set-up",
    (0, None, 24, 1, None): "M-Bus client",
    (0, None, 25, 0, None): "TCP-UDP set-up",
    (0, None, 25, 9, None): "push set-up",
    (0, None, 40, 0, 0): "association, current",
    (0, None, 40, 0, None): "association",
    (0, None, 41, 0, None): "SAP assignment",
    (0, None, 42, 0, None): "COSEM logical device name",
    (0, None, 43, 0, None): "security set-up",
    (0, None, 43, 1, None): "invocation counter",
    (0, None, 44, 0, None): "image transfer",
    (0, None, 96, 1, 0): "serial number",
    (0, None, 96, 1, None): "device ID",
    (0, None, 96, 2, 0): "changes of the configuration",
    (0, None, 96, 3, 10): "disconnect control",
    (0, None, 96, 7, 9): "long power failures, any phase",
    (0, None, 96, 7, 19): "duration of the last long power failure, any phase",
    (0, None, 96, 7, 21): "power failures, any phase",
    (0, None, 96, 7, None): "power failures",
    (0, None, 96, 10, None): "profile status",
    (0, None, 96, 11, None): "event code",
    (0, None, 96, 13, 0): "message to the customer's port",
    (0, None, 96, 13, 1): "message to the display",
    (0, None, 96, 14, None): "active tariff",
    (0, None, 96, 15, None): "event counter",
    (0, None, 96, 50, 0): "pairing of displays",
    (0, None, 96, 51, 0): "what the utility says to the household",
    (0, None, 96, 52, 0): "what displays are told each second",
    (0, None, 96, 128, 0): "why the last firmware was refused",
    (0, None, 96, 128, 1): "how far the trial of the firmware that runs is",
    (0, None, 97, 97, None): "error register",
    (0, None, 97, 98, 0): "alarm register",
    (0, None, 97, 98, 10): "alarm filter",
    (0, None, 98, 1, None): "billing profile",
    (0, None, 99, 98, 0): "event log: standard",
    (0, None, 99, 98, 1): "event log: fraud",
    (0, None, 99, 98, 2): "event log: disconnect",
    (0, None, 99, 98, 3): "event log: M-Bus",
    (0, None, 99, 98, 4): "event log: communication",
    (0, None, 99, 98, 5): "event log: power quality",
    (0, None, 99, 98, 6): "event log: security",
    (0, None, 99, 98, 7): "event log: power",
    (0, None, 99, 98, 8): "event log: clock",
    (1, None, 0, 2, 0): "firmware identifier",
    (1, None, 0, 2, 8): "firmware signature",
    (1, None, 0, 3, 0): "meter constant, active energy",
    (1, None, 0, 3, 1): "meter constant, reactive energy",
    (1, None, 0, 4, 2): "current transformer ratio",
    (1, None, 0, 4, 3): "voltage transformer ratio",
    (1, None, 0, 6, 0): "rated voltage",
    (1, None, 0, 6, 1): "rated current",
    (1, None, 0, 6, 2): "rated frequency",
    (1, None, 0, 6, 3): "maximum current",
    (1, None, 0, 8, 0): "measurement period",
    (1, None, 0, 8, 4): "recording interval, load profile",
    (1, None, 0, 8, 5): "recording interval, daily profile",
    (1, None, 98, 1, None): "billing profile",
    (1, None, 99, 1, None): "load profile",
    (1, None, 99, 2, None): "daily profile",
    (1, None, 99, 97, None): "event log: power failure",
}  # fmt: skip


def _named(obis: Obis) -> str | None:
    a, b, c, d, e, _ = obis.groups
    for key in ((a, b, c, d, e), (a, None, c, d, e), (a, None, c, d, None)):
        if (name := _NAMED.get(key)) is not None:
            counted = key[4] is None and e not in (0, 255)
            return f"{name} {e}" if counted else name
    return None


def _quantity(c: int) -> tuple[int, str] | None:
    """Return the base quantity and its name, with the phase where it has one."""
    if c in _OTHERS:
        return c, _OTHERS[c]
    phase, base = divmod(c - 1, 20)
    if not 0 <= phase <= 3:
        return None
    name = _TOTALS[base + 1]
    return base + 1, name if phase == 0 else f"{name} L{phase}"


def _electricity(obis: Obis) -> str | None:
    _, _, c, d, e, f = obis.groups
    quantity = _quantity(c)
    processing = _PROCESSING.get(d)
    if quantity is None or processing is None:
        return None
    base, name = quantity
    if base in _ENERGIES and d not in _ENERGY_PROCESSING:
        name = f"{name} power"
    if base == _VOLTAGE and d in _OCCURRENCES:
        processing = _OCCURRENCES[d]
    parts = [name, processing]
    if base == _ANGLE and d == _NOW:
        parts.append(_between(e))
    elif e:
        parts.append(_HARMONICS.get(e, f"harmonic {e}") if d == _NOW else f"rate {e}")
    if f != 255:
        parts.append(f"billing period {f}")
    return ", ".join(parts)


def _between(e: int) -> str:
    to, of = divmod(e, 10)
    return f"{_PHASORS[of]} to {_PHASORS[to]}" if {to, of} <= _PHASORS.keys() else f"number {e}"


def describe(obis: Obis) -> str:
    """Return the meaning of a code in a few words; an empty text if the scheme has none."""
    if (name := _named(obis)) is not None:
        return name
    if obis.groups[0] == 1:
        return _electricity(obis) or ""
    return ""
